"""What a person waits for in the browser, measured in Chromium on a running server.

First paint, results drawn after Enter, an edit from the click to the diff, the weight of the page, and scrolling past
twenty clips of thirty seconds: nodes a strip and frames that took too long, from the browser's own trace.

    python benchmarks/web.py [RESULT]      # a result of `freud demo`; made when not given
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Browser, Page, sync_playwright

import freud
from common import record
from freud import audio
from freud.discovery import DEMO_SITES, demo_folder
from freud.saes import Options
from freud.server.app import web_app

ROUNDS = 7
LATE = 1000 / 60 * 1.5  # milliseconds; a frame that took longer was dropped


@contextmanager
def serving(result: Path, notes: Path) -> Iterator[str]:
    """The address of a `freud serve` of its own process, once its model is loaded."""
    command = [Path(sys.executable).with_name("freud"), "serve", result, "--no-browser", "--notes", notes]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        address = next(found.group() for line in lines if (found := re.search(r"http://\S+/", line)))
        state = "loading"
        while state == "loading":
            time.sleep(0.2)
            with suppress(OSError), urllib.request.urlopen(f"{address}api/status") as answer:
                state = json.load(answer)["model_state"]
        try:
            yield address
        finally:
            process.terminate()


def weight() -> dict[str, float]:
    """Kilobytes of each file of the web app that a first visit fetches, as sent (fonts are compressed already)."""
    sent = {}
    for path in sorted(web_app().iterdir()):
        if path.suffix in {".html", ".js", ".css", ".svg"}:
            sent[path.name] = len(gzip.compress(path.read_bytes(), 5)) / 1000
        elif path.suffix == ".woff2" and "-ext-" not in path.name:  # the phonetic alphabet comes only where it is used
            sent[path.name] = path.stat().st_size / 1000
    return sent


def mark(page: Page, name: str, after: float = 0) -> float:
    """Time of the first performance mark of a name after a time, waiting for it."""
    page.wait_for_function(
        "([n, t]) => performance.getEntriesByName(n).some(m => m.startTime > t)", arg=[name, after], timeout=20_000
    )
    return page.evaluate(
        "([n, t]) => performance.getEntriesByName(n).find(m => m.startTime > t).startTime", [name, after]
    )


def first_paint(browser: Browser, address: str) -> list[float]:
    """Milliseconds from navigation to first contentful paint, each with an empty cache."""
    found = []
    for _ in range(ROUNDS):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(address)
        page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
        found.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        context.close()
    return found


def enter_to_results(browser: Browser, address: str) -> list[float]:
    """Milliseconds from Enter in the feature field to the first strip drawn, spectrogram and activations."""
    page = browser.new_page(base_url=address, viewport={"width": 1280, "height": 800})
    features = json.load(urllib.request.urlopen(f"{address}api/sites/{DEMO_SITES[1]}/latents/features?n={ROUNDS + 1}"))
    found = []
    for row in features["features"]:
        page.goto(f"/?site={DEMO_SITES[1]}&basis=latents")
        page.get_by_label("Latent", exact=True).fill(str(row["feature"]))
        page.keyboard.press("Enter")
        found.append(mark(page, "strip-drawn") - mark(page, "search-enter"))
    page.close()
    return found[1:]  # the first one opens the files of the index


def click_to_diff(browser: Browser, address: str) -> list[float]:
    """Milliseconds from a click on an example to the three transcripts."""
    page = browser.new_page(base_url=address, viewport={"width": 1280, "height": 800})
    found = []
    for i in range(ROUNDS + 1):
        page.goto("/?view=edit")
        examples = page.locator(".examples button")
        examples.first.wait_for()
        examples.nth(i % examples.count()).click()
        found.append(mark(page, "edit-shown") - mark(page, "edit-change"))
    page.close()
    return found[1:]


def long_clips(folder: Path) -> Path:
    """A result of twenty clips of thirty seconds."""
    clips = sorted(demo_folder().glob("*.flac"))
    samples = [audio.load(path) for path in clips]
    (folder / "clips").mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        order = rng.permutation(len(samples))
        whole = np.concatenate([samples[i] for i in order])[: 30 * 16000]
        soundfile.write(folder / "clips" / f"{number:02}.flac", whole, 16000)
    out = folder / "result"
    freud.discover(folder / "clips", "nano", DEMO_SITES[:1], out, options=Options(steps=10), progress=False)
    return out


SCROLL = """() => new Promise(done => {
    const times = [], most = document.documentElement.scrollHeight - innerHeight, start = performance.now();
    const step = now => { times.push(now); const y = (now - start) * 1.2;
        scrollTo(0, y); y < most ? requestAnimationFrame(step) : done(times); };
    requestAnimationFrame(step); })"""


def scrolling(browser: Browser, address: str) -> dict[str, Any]:
    """Scrolling past twenty long clips at 1,200 pixels a second: frames and late frames, first from the moment the
    results are there, while the page still loads and strips are made and drawn, then past the drawn ones; nodes.
    """
    page = browser.new_page(base_url=address, viewport={"width": 1280, "height": 800})
    page.goto(f"/?site={DEMO_SITES[0]}&basis=neurons&feature=30&n=20")
    page.wait_for_function("() => document.querySelectorAll('.result').length === 20")
    found: dict[str, Any] = {"while_they_are_drawn": frames(page.evaluate(SCROLL))}
    drawn = "() => [...document.querySelectorAll('.result')].every(r => r.querySelector('canvas.strip')?.dataset.drawn)"
    page.wait_for_function(drawn, timeout=20_000)
    nodes = page.evaluate("[...document.querySelectorAll('.result')].map(r => r.querySelectorAll('*').length + 1)")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(500)
    found["once_drawn"] = frames(page.evaluate(SCROLL))
    page.close()
    return {"nodes_a_strip": max(nodes), **found}


def frames(times: list[float]) -> dict[str, float]:
    """How many frames there were, and how many came late."""
    gaps = np.diff(times)
    return {
        "frames": len(gaps),
        "late": int((gaps > LATE).sum()),
        "longest_ms": round(float(gaps.max()), 1),
        "median_ms": round(float(np.median(gaps)), 1),
    }


def main() -> None:
    """Measure and record."""
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        result = Path(sys.argv[1]) if len(sys.argv) > 1 else freud.demo(folder / "demo", progress=False).path
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        files = weight()
        results = {"weight_kb": {**{n: round(kb, 1) for n, kb in files.items()}, "all": round(sum(files.values()), 1)}}
        with serving(result, folder / "notes.sqlite") as address:
            for name, measure in (
                ("first_paint_ms", first_paint),
                ("enter_to_first_result_ms", enter_to_results),
                ("edit_click_to_diff_ms", click_to_diff),
            ):
                taken = measure(browser, address)
                results[name] = {"median": round(statistics.median(taken)), "worst": round(max(taken))}
        with serving(long_clips(folder), folder / "notes.sqlite") as address:
            results["scrolling_20_clips_of_30_s"] = scrolling(browser, address)
        browser.close()
        record("web", results)


if __name__ == "__main__":
    main()
