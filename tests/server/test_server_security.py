"""Who is let in: hosts, origins, tokens, paths; and the headers of every answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from served import LATENTS
from starlette.testclient import TestClient

from freud.server.security import is_loopback

TOKEN = "a-token-of-enough-letters"


@pytest.fixture(scope="module")
def guarded(make_client) -> TestClient:
    """A server that can be reached from the network."""
    return make_client(host="0.0.0.0", token=TOKEN)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "localhost:8080", "127.0.0.1"]
)
def test_names_of_this_machine(client: TestClient, host: str):
    assert client.get("/api/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example:7860", "10.0.0.1:7860",
     "192.168.1.5", "localhost@evil.example", "", "[::2]:7860", "evil.example#localhost"],
)  # fmt: skip
def test_other_names_are_refused(client: TestClient, host: str):
    answer = client.get("/api/status", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:3000", "null", "https://127.0.0.1:7860.evil.example", "file://"]
)
def test_other_origins_are_refused(client: TestClient, origin: str, method: str):
    answer = client.request(method, "/api/notes", headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_our_own_origin(client: TestClient):
    assert client.get("/api/notes", headers={"Origin": "http://127.0.0.1:7860"}).status_code == 200


def test_no_cors(client: TestClient):
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "GET"}
    answer = client.options("/api/status", headers=asked)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_other_pages_embed_is_refused(client: TestClient, site: str):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert client.get("/api/status", headers=headers).status_code == 403
    assert client.get("/api/status", headers={**headers, "Sec-Fetch-Mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Authorization": "Bearer "},
     {"Cookie": "freud_token=wrong"}, {"Cookie": "other=1"}, {"Cookie": "freud_token"}, {"Cookie": "\x7f=;;"}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/status", "/api/openapi.json", "/assets/x.js", f"{LATENTS}/features"])
def test_nothing_without_the_token(guarded: TestClient, headers: dict, path: str):
    guarded.cookies.clear()
    answer = guarded.get(path, headers=headers)
    assert answer.status_code == 401
    assert "open the link" in answer.json()["detail"]


def test_the_token_in_the_link_becomes_a_cookie(guarded: TestClient):
    guarded.cookies.clear()
    answer = guarded.get(f"/?token={TOKEN}&view=1", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/?view=1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert guarded.get("/api/status").status_code == 200  # the client keeps it
    guarded.cookies.clear()
    assert guarded.get("/api/status", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert guarded.get(f"/api/status?token={TOKEN}").status_code == 401  # addresses of data end up in logs
    assert guarded.get("/?token=wrong-token-of-some-length").status_code == 401
    away = guarded.get(f"//evil.example/x?token={TOKEN}", follow_redirects=False)
    assert away.headers.get("location", "/").startswith("//") is False


def test_on_the_network_addresses_will_do_but_not_names(guarded: TestClient):
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/api/status", headers={**bearer, "Host": "192.168.1.5:7860"}).status_code == 200
    assert guarded.get("/api/status", headers={**bearer, "Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.8.8.8", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("my.host", False)],
)  # fmt: skip
def test_what_is_this_machine_only(host: str, local: bool):
    assert is_loopback(host) == local


SECRETS = [
    "../manifest.json",
    "..%2f..%2fmanifest.json",
    "..%252fmanifest.json",
    "....//....//etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..\\..\\etc\\passwd",
    "..%5c..%5cmanifest.json",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "C:\\Windows\\win.ini",
    "\x00",
    "%00",
    "clip%00.flac",
    "~/.ssh/id_rsa",
    "notes.sqlite",
    "*",
    "' OR 1=1 --",
    "a" * 101,
]


@pytest.mark.parametrize("path", SECRETS)
def test_no_path_of_a_client_is_opened(client: TestClient, result: Path, path: str):
    quoted = path.replace("\x00", "%00").replace("\\", "%5c").replace(" ", "%20").replace("'", "%27")
    places = [f"/api/clips/{quoted}/audio?format=original", f"/api/clips/{quoted}", f"/{quoted}", f"/assets/{quoted}",
              f"/api/sites/{quoted}/latents/features", f"/api/uploads/{quoted}"]  # fmt: skip
    for place in places:
        answer = client.get(place)
        assert answer.status_code in {404, 405, 422} or "text/html" in answer.headers["content-type"], place
        for leaked in ("root:", "SQLite", '"kind"', "discover"):
            assert leaked not in answer.text


def test_headers_of_every_answer(client: TestClient):
    for path in ("/api/status", "/api/nothing", "/", "/api/clips/x/audio"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy  # nothing from elsewhere
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers


def test_the_page_has_nothing_inline(client: TestClient):
    answer = client.get("/")
    if answer.status_code == 404:
        pytest.skip("the web app is not built")
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", answer.text)
    assert client.get("/some/view?of=it").text == answer.text
    for file in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert not file.startswith(("http", "//"))
        assert client.get(file if file.startswith("/") else f"/{file}").status_code == 200


def test_large_bodies_of_other_routes(client: TestClient):
    answer = client.post("/api/notes", content=b" " * 1_000_001, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert client.post("/api/notes", headers={"Content-Length": "-1"}).status_code == 413
