"""The demo, shortly trained, served by a real `freud serve`, and Debian's Chromium looking at it.

Pages of a test fail it when they log an error, throw, or break the content policy.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

PATIENCE = 60_000  # milliseconds; a busy machine is no failure
expect.set_options(timeout=PATIENCE)
FAKE_MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


@pytest.fixture(scope="session")
def demo_result(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """`freud demo` with fewer training steps, and names for phones and latents only; one for all workers."""
    import freud
    from freud.discovery import DEMO_SITES, demo_folder
    from freud.saes import Options, TopK

    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "demo-result"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        few, short = TopK(k=4), Options(steps=30)  # so few at a time that some latents are dead
        freud.discover(demo_folder(), "nano", DEMO_SITES, folder, architecture=few, options=short, progress=False)
        freud.name(folder, basis="latents", kinds=("phone",), controls=False, progress=False)
    return folder


@pytest.fixture(scope="session")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a `freud serve` of its own process, with its model loaded.

    Who works on the web app names one that already runs, on a result of `freud demo`: FREUD_SERVED=http://127.0.0.1:7860/
    """
    if address := os.environ.get("FREUD_SERVED"):
        yield address
        return
    demo_result: Path = request.getfixturevalue("demo_result")
    notes = tmp_path_factory.mktemp("notes") / "notes.sqlite"
    command = [Path(sys.executable).with_name("freud"), "serve", demo_result, "--no-browser", "--notes", notes]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        address = next(found.group() for line in lines if (found := re.search(r"http://\S+/", line)))
        try:
            while ask(address, "status")["model_state"] == "loading":
                time.sleep(0.1)
            yield address
        finally:
            process.terminate()
            process.wait(10)


def ask(address: str, path: str) -> Any:
    """An answer of the API."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(f"{address}api/{path}") as response:
                return json.load(response)
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError):
                raise
            time.sleep(0.1)  # not listening yet
    raise TimeoutError(address)


@pytest.fixture(scope="session")
def api(served: str) -> Callable[[str], Any]:
    """Asks the server, so that tests know what the page must show."""
    return lambda path: ask(served, path)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window, with a microphone that beeps."""
    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail("no chromium; `apt-get install chromium`")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", *FAKE_MICROPHONE]
        chromium = playwright.chromium.launch(executable_path=executable, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, served: str) -> Iterator[Page]:
    """A page of a browser without a history; its errors fail the test."""
    context = browser.new_context(
        base_url=served,
        viewport={"width": 1280, "height": 900},
        permissions=["microphone", "clipboard-read", "clipboard-write"],
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.expected_problems = 0  # type: ignore[attr-defined]
    yield page
    context.close()
    if not getattr(page, "expected_problems", 0):
        assert problems == []
