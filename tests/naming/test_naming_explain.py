"""Explanations, against a stand-in for a chat endpoint that is at times slow, busy, or talks nonsense."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from freud.errors import FreudError
from freud.naming import explain
from freud.naming.explain import Endpoint


class Stand:
    """A chat endpoint. `script` says what it does next: text to answer, a status, or seconds to wait."""

    def __init__(self) -> None:
        self.script: list[object] = []
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stand.asked.append(body)
                stand.keys.append(self.headers["Authorization"])
                step = stand.script.pop(0)
                if isinstance(step, float):
                    time.sleep(step)
                    return
                if isinstance(step, int):
                    self.send_response(step)
                    self.send_header("Retry-After", "7")
                    self.end_headers()
                    return
                data = step if isinstance(step, bytes) else _chat(step)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = Endpoint(f"http://127.0.0.1:{self.server.server_port}/v1", "stand-in", "secret", timeout=0.5)


def _chat(text: object) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    found = Stand()
    found.waited = []  # type: ignore[attr-defined]
    monkeypatch.setattr(explain, "_sleep", found.waited.append)  # type: ignore[attr-defined]
    yield found
    found.server.shutdown()
    found.server.server_close()


MESSAGES = [{"role": "system", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "y" * 400}]}]


def test_an_answer_is_asked_for_once(stand: Stand, tmp_path: Path) -> None:
    stand.script = ['Sure! ```json\n{"explanation": "nasals"}\n```']
    for _ in range(2):
        assert explain._ask(stand.endpoint, MESSAGES, tmp_path) == {"explanation": "nasals"}
    assert len(stand.asked) == 1
    assert stand.keys == ["Bearer secret"]
    assert "secret" not in "".join(path.read_text() for path in tmp_path.iterdir()) + repr(stand.endpoint)
    assert explain._tokens(MESSAGES) == pytest.approx(100, abs=2)


def test_a_busy_and_a_slow_server_are_asked_again(stand: Stand, tmp_path: Path) -> None:
    stand.script = [429, 503, 2.0, '{"explanation": "ok"}']
    assert explain._ask(stand.endpoint, MESSAGES, tmp_path)["explanation"] == "ok"
    assert stand.waited[:2] == [7.0, 7.0]  # type: ignore[attr-defined]
    stand.script = [429] * explain.ATTEMPTS
    with pytest.raises(FreudError, match=r"no answer after 4 attempts .HTTP 429"):
        explain._ask(stand.endpoint, [MESSAGES[0], {**MESSAGES[1], "role": "other"}], tmp_path)


@pytest.mark.parametrize("nonsense", ["no idea", "[1, 2]", "{broken", b"<html>", b'{"choices": []}', b"\xff\xfe"])
def test_nonsense_is_one_line_and_not_kept(stand: Stand, tmp_path: Path, nonsense: object) -> None:
    stand.script = [nonsense]
    with pytest.raises(FreudError) as error:
        explain._ask(stand.endpoint, MESSAGES, tmp_path / "cache")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_a_refused_key_is_said_at_once(stand: Stand, tmp_path: Path) -> None:
    stand.script = [401]
    with pytest.raises(FreudError, match=r"HTTP 401 .*check the URL, the model and the key"):
        explain._ask(stand.endpoint, MESSAGES, tmp_path)


def test_the_endpoint_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (explain.URL, explain.MODEL, explain.KEY):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(FreudError, match="set FREUD_LLM_URL"):
        explain.endpoint()
    monkeypatch.setenv(explain.URL, "file:///etc/passwd")
    monkeypatch.setenv(explain.MODEL, "m")
    with pytest.raises(FreudError, match="http"):
        explain.endpoint()
    monkeypatch.setenv(explain.URL, "http://localhost:1/v1/")
    assert explain.endpoint() == Endpoint("http://localhost:1/v1", "m", None)


class Index:
    """As much of an index and its names as the question needs: events on /m/, silence on /n/."""

    def scores(self, feature: int) -> list[dict]:
        return [{"side": "+", "text": "/m/", "agreement": 0.8, "f1": 0.81, "lift": 20.0}]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[explain.Item]:
    def item(i: int, fires: bool) -> explain.Item:
        kind = "event" if fires else "hard negative"
        phone = "m" if fires else "n"
        marked = {"phones": f"ae <<{phone}>> ax", "words": f"<<a{phone}a>>"}
        return explain.Item("c", "c.wav", 0, 1, 0.4, 0.5, fires, kind, {"phones": phone}, marked)

    found = [item(i, i % 2 == 0) for i in range(10)]
    monkeypatch.setattr(explain, "items", lambda *_, **__: found)
    return found


def test_an_explanation_is_previewed_then_judged(stand: Stand, tmp_path: Path, asked: list[explain.Item]) -> None:
    names = Index()
    shown = explain.preview(names, names, 5, None, stand.endpoint, cache=tmp_path)  # type: ignore[arg-type]
    assert not stand.asked
    assert shown.tokens > 50
    assert not shown.cached
    assert "1. phones: ae <<m>> ax; words: <<ama>> (0.10 s)" in shown.messages[1]["content"][0]["text"]

    right = json.dumps({"active": [item.fires for item in asked]})
    stand.script = ['{"explanation": "the nasal m"}', right]
    found = explain.explain(names, names, 5, None, stand.endpoint, cache=tmp_path)  # type: ignore[arg-type]
    assert found.text == "the nasal m"
    assert found.detection is not None
    assert found.detection.accuracy == 1
    judged = stand.asked[1]["messages"][1]["content"][0]["text"]
    assert "the nasal m" in judged
    assert not re.search("event|negative|True|False", judged)  # the judge does not see the truth

    again = explain.preview(names, names, 5, None, stand.endpoint, cache=tmp_path)  # type: ignore[arg-type]
    assert again.cached


@pytest.mark.parametrize(
    "answer", ['{"active": [true]}', '{"active": "yes"}', '{"active": [1,0,1,0,1,0,1,0,1,0]}', "{}"]
)
def test_a_judge_that_does_not_judge(stand: Stand, tmp_path: Path, asked: list[explain.Item], answer: str) -> None:
    stand.script = ['{"explanation": "x"}', answer]
    with pytest.raises(FreudError, match="expected 10 answers"):
        explain.explain(Index(), Index(), 5, None, stand.endpoint, cache=tmp_path)  # type: ignore[arg-type]
