"""A server on the small result of the other tests, in this process and on a real port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import uvicorn
from served import ADDRESS, NEURONS, RESIDUAL, Running
from starlette.testclient import TestClient
from starlette.types import ASGIApp

import freud.models
from freud import audio
from freud.corpus import Clip, Corpus
from freud.corpus import read as read_corpus
from freud.features import FeatureIndex
from freud.models import AudioModel
from freud.results import open_index
from freud.server import Options, create_app


@pytest.fixture(scope="module")  # so that other tests on this worker get models of their own again
def make_client(
    result: Path, nano: AudioModel, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of a server of its own, given options and arguments of `create_app`."""
    opened = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freud.models, "load", lambda name, **options: nano)

        def make(options: dict | None = None, path: Path = result, **arguments) -> TestClient:
            notes = tmp_path_factory.mktemp("notes") / "notes.sqlite"
            app = create_app(path, Options(**{"notes": notes, **(options or {})}), **arguments)
            client = TestClient(app, base_url=ADDRESS, raise_server_exceptions=False)
            client.__enter__()
            opened.append(client)
            wait_for_model(client, {"Authorization": f"Bearer {arguments.get('token')}"})
            return client

        yield make
        for client in opened:
            client.__exit__(None, None, None)


def wait_for_model(client: TestClient, headers: dict[str, str] | None = None) -> None:
    """Until the model is there; loading it is a thread's work."""
    while client.get("/api/status", headers=headers).json()["model_state"] == "loading":
        time.sleep(0.05)


@pytest.fixture(scope="module")
def client(make_client: Callable[..., TestClient]) -> TestClient:
    """A client of a server with the usual options."""
    return make_client()


@pytest.fixture(scope="session")
def latents(result: Path) -> FeatureIndex:
    """The index of latents that the server serves."""
    return open_index(result, RESIDUAL, "latents")


@pytest.fixture(scope="session")
def neurons(result: Path) -> FeatureIndex:
    """The index of neurons that the server serves."""
    return open_index(result, NEURONS, "neurons")


@pytest.fixture(scope="session")
def corpus(result: Path) -> Corpus:
    """The corpus that the server serves."""
    return read_corpus(result / "corpus")


@pytest.fixture(scope="session")
def clip(corpus: Corpus) -> Clip:
    """A clip of speech."""
    return next(clip for clip in corpus if clip.transcript)


@pytest.fixture(scope="session")
def samples(corpus: Corpus, clip: Clip) -> np.ndarray:
    """How it sounds to the model."""
    return audio.load(corpus.audio_path(clip))


@pytest.fixture(scope="session")
def run_app() -> Iterator[Callable[..., Running]]:
    """Runs an application with uvicorn, in a thread; with lifespan="off" if something else starts and ends it."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def run(app: ASGIApp, lifespan: Literal["auto", "off"] = "auto") -> Running:
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2, lifespan=lifespan))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        servers.append((server, thread))
        return Running(listening.getsockname()[1], app)

    yield run
    for server, thread in servers:
        server.should_exit = True
        thread.join(10)
