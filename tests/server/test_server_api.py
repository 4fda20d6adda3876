"""The OpenAPI document: what is checked in is what is served, and nothing that follows it breaks the server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from served import LATENTS, NEURONS, RESIDUAL, Running
from starlette.testclient import TestClient

from freud.corpus import Corpus
from freud.server import document, openapi

ROOT = Path(__file__).parents[2]


schema = schemathesis.openapi.from_dict(openapi())


@pytest.fixture(scope="module")
def running(client: TestClient, run_app: Callable[..., Running]) -> Running:
    """The application of `client`, on a port."""
    return run_app(client.app, lifespan="off")


def test_the_document_that_is_checked_in_is_that_of_the_code():
    path = ROOT / "web" / "openapi.json"
    assert path.read_text() == document.text(), "run: python -m freud.server.document web/openapi.json"


def test_the_document_is_served(client: TestClient):
    assert client.get("/api/openapi.json").json() == openapi()


def test_every_operation_says_what_its_errors_are():
    for path in openapi()["paths"].values():
        for operation in path.values():
            assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
            assert operation["description"]
            assert operation["tags"]
    ids = [operation["operationId"] for path in openapi()["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


@schema.parametrize()
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_nothing_that_is_sent_breaks_the_server(case: Case, running: Running, corpus: Corpus):
    """Whatever the document allows, and much that it does not, with names that exist among those that do not."""
    known = {"site": RESIDUAL, "basis": "latents", "clip": next(iter(corpus)).id}
    parameters = case.path_parameters
    for name, value in known.items():
        if isinstance(parameters, dict) and name in parameters and hash(str(parameters)) % 3:
            parameters[name] = value
    response = case.call(base_url=running.url)
    case.validate_response(response, checks=[not_a_server_error, content_type_conformance, response_schema_conformance])
    if response.status_code >= 400:
        problem = json.loads(response.text)
        assert problem["status"] == response.status_code
        assert problem["detail"]


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/nothing", 404, "there is nothing at /api/nothing"),
        (f"{LATENTS}/features/-1", 422, "path.feature: Input should be greater than or equal to 0"),
        (f"{LATENTS}/features/1/clips?n=0", 422, "query.n"),
        (f"{LATENTS}/features/1/clips?min=inf", 422, "query.min"),
        (f"{LATENTS}/features/1/clips?min=2&max=1", 422, "min 2 is above max 1"),
        (f"/api/sites/{NEURONS}/latents/features", 404, "this result has"),
        ("/api/sites/x/others/features", 422, "'neurons' or 'latents'"),
        (f"/api/clips/x/traces?site={RESIDUAL}&basis=latents", 422, "query.feature: Field required"),
    ],
)
def test_problems_are_sentences(client: TestClient, path: str, status: int, says: str):
    answer = client.get(path)
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert set(answer.json()) == {"type", "title", "status", "detail"}


def test_methods_that_are_not_there(client: TestClient):
    assert client.put("/api/status").status_code == 405
    assert client.post("/anything").status_code == 405
