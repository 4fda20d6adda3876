"""Work in pools: full lines, time limits, clients that go away or are slow, on a real port."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, Request
from served import RESIDUAL, Running, wav_bytes
from starlette.types import ASGIApp

import freud.models
from freud.errors import FreudError
from freud.models import AudioModel
from freud.server import Options, create_app, running
from freud.server.problems import add_handlers
from freud.server.work import Pool, Stopped, check

RunApp = Callable[[ASGIApp], Running]


class Slow:
    """An app with one route, whose work goes on until it is released or told to stop."""

    def __init__(self, **limits: float) -> None:
        self.pool = Pool("toy", **{"workers": 1, "waiting": 1, "seconds": 20, **limits})  # type: ignore[arg-type]
        self.release, self.begun = threading.Event(), threading.Semaphore(0)
        self.stopped = threading.Event()
        self.app = FastAPI()
        add_handlers(self.app)

        @self.app.get("/work")
        async def work(request: Request) -> str:
            return await self.pool.run(request, self.work)

    def work(self) -> str:
        self.begun.release()
        try:
            while not self.release.wait(0.005):
                check()
        except Stopped:
            self.stopped.set()
            raise
        return "done"


def ask(running: Running, answers: list[httpx.Response]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(httpx.get(f"{running.url}/work", timeout=30)))
    thread.start()
    return thread


def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


def test_a_full_line_refuses_and_recovers(run_app: RunApp):
    slow = Slow()
    running = run_app(slow.app)
    answers: list[httpx.Response] = []
    threads = [ask(running, answers), ask(running, answers)]
    until(lambda: slow.pool.unfinished == 2)
    refused = httpx.get(f"{running.url}/work")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert refused.headers["content-type"] == "application/problem+json"
    slow.release.set()
    for thread in threads:
        thread.join()
    assert [answer.json() for answer in answers] == ["done", "done"]
    until(lambda: slow.pool.unfinished == 0)
    assert httpx.get(f"{running.url}/work").json() == "done"


def test_what_takes_too_long_is_stopped(run_app: RunApp):
    slow = Slow(seconds=0.2)
    answer = httpx.get(f"{run_app(slow.app).url}/work")
    assert answer.status_code == 504
    assert "longer than 0.2 s" in answer.json()["detail"]
    assert slow.stopped.wait(10)
    until(lambda: slow.pool.unfinished == 0)


def leave(running: Running, path: str) -> None:
    """Send a request and close the connection at once."""
    with socket.create_connection(("127.0.0.1", running.port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        time.sleep(0.2)


def test_work_stops_when_its_client_goes_away(run_app: RunApp):
    slow = Slow()
    running = run_app(slow.app)
    leave(running, "/work")
    assert slow.begun.acquire(timeout=10)
    assert slow.stopped.wait(10)
    until(lambda: slow.pool.unfinished == 0)


def test_a_client_that_goes_away_while_waiting_never_begins(run_app: RunApp):
    slow = Slow()
    running = run_app(slow.app)
    answers: list[httpx.Response] = []
    first = ask(running, answers)
    assert slow.begun.acquire(timeout=10)
    leave(running, "/work")
    until(lambda: slow.pool.unfinished == 1)
    slow.release.set()
    first.join()
    assert answers[0].json() == "done"
    assert not slow.begun.acquire(timeout=0.1)


def test_errors_in_a_thread_reach_the_client(run_app: RunApp):
    app = FastAPI()
    add_handlers(app)
    pool = Pool("toy", workers=1, waiting=1, seconds=5)

    @app.get("/bug")
    async def bug(request: Request) -> str:
        return await pool.run(request, lambda: 1 / 0)  # type: ignore[return-value]

    answer = httpx.get(f"{run_app(app).url}/bug")
    assert answer.status_code == 500
    assert "ZeroDivisionError" not in answer.text


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priorities of their own")
def test_threads_of_a_nice_pool_leave_the_processor_to_others(run_app: RunApp):
    app = FastAPI()
    pools = {name: Pool(name, workers=1, waiting=1, seconds=5, nice=nice) for name, nice in (("usual", 0), ("nice", 3))}

    @app.get("/{name}")
    async def priority(request: Request, name: str) -> int:
        return await pools[name].run(request, lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    url = run_app(app).url
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    assert [httpx.get(f"{url}/{name}").json() for name in pools] == [usual, min(usual + 3, 19)]


def test_a_server_that_stops_says_so_without_a_traceback(caplog: pytest.LogCaptureFixture):
    slow = Slow()
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(slow.app, log_level="error", timeout_graceful_shutdown=1))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    serving.start()
    answers: list[httpx.Response] = []
    asking = ask(Running(listening.getsockname()[1], slow.app), answers)
    assert slow.begun.acquire(timeout=10)
    server.should_exit = True
    serving.join(20)
    asking.join(20)
    assert (answers[0].status_code, answers[0].json()["detail"]) == (503, "the server was stopped")
    assert slow.stopped.wait(5)
    assert not [record for record in caplog.records if record.exc_info]


def test_check_is_free_outside_of_a_pool():
    check()


# ---- the real server


@pytest.fixture
def served(run_app: RunApp, result: Path, nano: AudioModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    """The whole application on a port."""
    monkeypatch.setattr(freud.models, "load", lambda name, **options: nano)
    running = run_app(create_app(result, Options(notes=tmp_path / "notes.sqlite", body_seconds=1.0)))
    until(lambda: httpx.get(f"{running.url}/api/status").json()["model_state"] == "ready")
    return running


def test_a_forward_pass_stops_within_a_block(served: Running, nano: AudioModel, monkeypatch: pytest.MonkeyPatch):
    """The client goes away while the model is in its first block; the next one is never reached."""
    serving = served.app.app.app.state.serving  # type: ignore[attr-defined]
    content = wav_bytes(np.random.default_rng(0).standard_normal(160_000) / 10)
    upload = httpx.post(f"{served.url}/api/uploads", content=content).json()
    reached: list[str] = []
    first_block = threading.Event()
    hooked = nano.hooked

    def watched(read=(), write=None, **options):
        def spy(name, function):
            def through(x):
                reached.append(name)
                if not first_block.is_set():
                    first_block.set()
                    until(lambda: serving.model_work.stopping)
                return function(x)

            return through

        return hooked(read, {name: spy(name, function) for name, function in (write or {}).items()}, **options)

    monkeypatch.setattr(nano, "hooked", watched)
    leave(served, f"/api/clips/{upload['id']}/features?site={RESIDUAL}&basis=latents")
    assert first_block.wait(20)
    until(lambda: serving.model_work.unfinished == 0)
    assert len(reached) == 1
    monkeypatch.undo()
    again = httpx.get(f"{served.url}/api/clips/{upload['id']}/features?site={RESIDUAL}&basis=latents", timeout=30)
    assert again.status_code == 200  # the lock is free, and the hooks are gone


def test_a_slow_sender_is_given_up(served: Running):
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.settimeout(20)
        head = (
            "POST /api/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: audio/wav\r\nContent-Length: 9999\r\n\r\n"
        )
        connection.sendall(head.encode() + b"RIFF")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
    serving = served.app.app.app.state.serving  # type: ignore[attr-defined]
    until(lambda: not list(serving.uploads.folder.iterdir()))  # nothing of it is left


def test_a_sender_that_goes_away_leaves_nothing(served: Running):
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        head = (
            "POST /api/uploads HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: audio/wav\r\nContent-Length: 9999\r\n\r\n"
        )
        connection.sendall(head.encode() + b"RIFF")
        time.sleep(0.2)
    serving = served.app.app.app.state.serving  # type: ignore[attr-defined]
    until(lambda: not list(serving.uploads.folder.iterdir()))


def test_a_slow_reader_keeps_nobody_waiting(served: Running, result: Path):
    import freud

    clip = next(iter(freud.corpus.read(result / "corpus"))).id
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall(f"GET /api/clips/{clip}/audio HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        for _ in range(5):
            assert httpx.get(f"{served.url}/api/clips/{clip}/mel").status_code == 200
        assert connection.recv(12) == b"HTTP/1.1 200"


def test_ranges_on_a_real_port(served: Running, result: Path):
    import freud

    clip = next(iter(freud.corpus.read(result / "corpus"))).id
    url = f"{served.url}/api/clips/{clip}/audio"
    whole = httpx.get(url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in whole.headers
    parts = [httpx.get(url, headers={"Range": f"bytes={i}-{i + 9999}"}) for i in range(0, len(whole.content), 10_000)]
    assert b"".join(part.content for part in parts) == whole.content


def test_many_requests_at_once(served: Running):
    with httpx.Client(base_url=served.url, limits=httpx.Limits(max_connections=50), timeout=60) as client:
        answers: list[int] = []

        def some(seed: int) -> None:
            for feature in np.random.default_rng(seed).integers(0, 300, 5):
                route = f"/api/sites/{RESIDUAL}/latents/features/{feature}/clips?traces=true"
                answers.append(client.get(route).status_code)

        threads = [threading.Thread(target=some, args=(seed,)) for seed in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [200] * 250


def test_two_servers_that_start_at_once_get_ports_of_their_own():
    first, second = running._listen("127.0.0.1", None), running._listen("127.0.0.1", None)
    with first, second:
        assert first.getsockname()[1] != second.getsockname()[1]
        with pytest.raises(FreudError, match="cannot listen there"):
            running._listen("127.0.0.1", first.getsockname()[1])
