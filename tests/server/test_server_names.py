"""Names and labels over the API, from a real `freud name`."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

import freud
from freud import features, naming
from freud.corpus import Corpus
from freud.models import AudioModel
from freud.naming import Names, detection
from freud.saes import load

SITE = "encoder.blocks.2"
BASE = f"/api/sites/{SITE}/latents"


@pytest.fixture(scope="module")
def named(nano: AudioModel, demo: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result whose latents, those of the bundled SAE, are named after phones on 24 clips."""
    wanted = [clip.id for clip in demo if clip.transcript][::3]
    table = demo.table.filter([clip.id in wanted for clip in demo])
    manifest = {"fingerprint": "few", "parameters": {"layout": "csv"}, "problems": []}
    corpus = Corpus(None, demo.root, manifest, table, lambda: demo.segment_table)
    out = tmp_path_factory.mktemp("named")
    store = freud.collect(nano, corpus, [SITE], out / "activations", progress=False)[SITE]
    sae = load(Path(freud.__file__).parent / "bundled" / "sae")
    index = freud.index(store, sae, out / "features" / SITE / "latents", corpus=corpus, progress=False)
    naming.name(
        index, out / "names" / SITE / "latents", corpus=corpus, kinds=("phone",), controls=False, progress=False
    )
    return out


@pytest.fixture(scope="module")
def names(named: Path) -> Names:
    """What `freud name` wrote."""
    return naming.read(named / "names" / SITE / "latents")


@pytest.fixture(scope="module")
def server(make_client, named: Path) -> TestClient:
    """A server on it."""
    return make_client(path=named)


def test_the_table_can_be_searched_and_sorted_by_name(server: TestClient, names: Names):
    shown = names.shown()
    assert server.get("/api/sites").json()[0]["named"] == len(shown) > 20
    page = server.get(f"{BASE}/features", params={"sort": "score", "n": 200, "named": True}).json()
    assert page["total"] == len(shown)
    scores = [row["score"] for row in page["features"]]
    assert scores == sorted(scores, reverse=True)
    assert {row["feature"]: row["name"] for row in page["features"]}.items() <= shown.items()
    best = {row["feature"]: row for row in names.names()}
    for row in page["features"][:20]:
        assert (row["auc"], row["null"]) == pytest.approx((best[row["feature"]]["auc"], best[row["feature"]]["null"]))
    assert all(row["null"] is None for row in server.get(f"{BASE}/features?named=false").json()["features"])
    wanted = page["features"][0]["name"].split(" ")[0]
    found = server.get(f"{BASE}/features", params={"query": wanted, "n": 200}).json()["features"]
    assert {row["feature"] for row in found} == {f for f, name in shown.items() if wanted in name}
    assert server.get(f"{BASE}/features", params={"named": False}).json()["total"] > 0


def test_a_feature_shows_its_name_with_the_evidence(server: TestClient, names: Names):
    best = next(row for row in names.names() if not row["unnamed"])
    (naming_of,) = server.get(f"{BASE}/features/{best['feature']}").json()["naming"]
    for field in ("name", "short", "label", "kind", "f1", "auc", "null", "clips", "agreement"):
        assert naming_of[field] == pytest.approx(best[field]), field
    assert naming_of["lag"] == pytest.approx(best["lag_ms"] / 1000)
    scores = server.get(f"{BASE}/features/{best['feature']}/scores").json()
    assert scores[0]["label"] == best["label"]
    assert scores[0]["agreement"] == pytest.approx(best["agreement"])


def test_a_labels_page(server: TestClient, names: Names):
    labels = server.get("/api/labels").json()
    assert {label["label"] for label in labels} == set(names.table("labels")["label"].to_pylist())
    page = server.get("/api/label", params={"label": "/s/"}).json()
    expected = naming.label_page([names], "/s/")
    assert expected.latent is not None
    assert (page["label"], page["latent"]["feature"]) == ("phone:S", expected.latent["feature"])
    assert page["neuron"] is None
    assert page["features"][0]["site"] == SITE
    assert page["latent"]["auc"] > 0.7
    answer = server.get("/api/label", params={"label": "zz"})
    assert (answer.status_code, "not among" in answer.json()["detail"]) == (404, True)


def test_the_matrix(server: TestClient, names: Names):
    got, expected = server.get(f"{BASE}/matrix").json(), names.matrix()
    assert (got["labels"], len(got["features"])) == (expected.labels, len(expected.features))
    assert [len(row) for row in got["rates"]] == [len(expected.features)] * len(expected.labels)


def test_a_users_name_goes_first_and_is_kept_with_the_names(server: TestClient, names: Names):
    feature = next(row["feature"] for row in names.names() if not row["unnamed"])
    before = server.get(f"{BASE}/features/{feature}").json()["name"]
    assert server.put(f"{BASE}/features/{feature}/name", json={"name": "my hiss"}).json()["name"] == "my hiss"
    assert names.user_names() == {(feature, "+"): "my hiss"}
    assert server.put(f"{BASE}/features/{feature}/name", json={"name": None}).json()["name"] == before


def test_a_listening_test_asks_blindly_and_scores(server: TestClient, named: Path, names: Names):
    feature = next(row["feature"] for row in names.names() if not row["unnamed"] and row["side"] == "+")
    asked = server.get(f"{BASE}/features/{feature}/questions", params={"n": 8, "seed": 3}).json()
    index = features.read(named / "features" / SITE / "latents")
    items = detection.items(index, names, feature, 8, seed=3)
    told = ("clip", "start", "end", "mark_start", "mark_end")
    assert [list(question) for question in asked] == [list(told)] * len(items)  # nothing else, which might tell
    assert [tuple(question.values()) for question in asked] == [
        tuple(getattr(item, field) for field in told) for item in items
    ]
    truth = [item.fires for item in items]
    assert 0 < sum(truth) < len(truth)
    for given, accuracy in ((truth, 1.0), ([not fires for fires in truth], 0.0)):
        body = {"n": 8, "seed": 3, "answers": given}
        got = server.post(f"{BASE}/features/{feature}/answers", json=body).json()
        assert (got["accuracy"], got["n"], got["positives"]) == (accuracy, len(items), sum(truth))
        assert [each["fires"] for each in got["truth"]] == truth
        assert [each["heard"] for each in got["truth"]] == [item.heard for item in items]
    wrong = server.post(f"{BASE}/features/{feature}/answers", json={"n": 8, "seed": 3, "answers": truth[1:]})
    assert wrong.status_code == 422
    assert "expected one to each" in wrong.json()["detail"]


def test_a_listening_test_needs_names(client: TestClient):
    answer = client.get("/api/sites/encoder.blocks.0/latents/features/1/questions")
    assert answer.status_code == 422
    assert "freud name" in answer.json()["detail"]
