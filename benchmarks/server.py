"""The server as a browser meets it: latency of searches and edits over HTTP, and many clients for a minute.

    python benchmarks/server.py [--result FOLDER] [--index FOLDER] [--queries 300] [--seconds 60] [--clients 50]

FOLDER of --result is what `freud demo` writes, that of --index an index left by `index.py --keep`; without them both
are made first. `freud serve` runs as a process of its own; a search is the whole request, from sending to the last byte
of ten clips, for a random feature that is not dead, in turn plain, with limits, by magnitude. The memory is that of the
server's process, sampled every second while the clients search without a pause.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import freud
from common import record
from freud import features
from freud.features import browse
from index import build_synthetic

EDITED = {"site": "encoder.blocks.2", "basis": "latents", "operation": "scale", "value": -1}


class Server:
    """A running `freud serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def memory(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000  # type: ignore[index]


def ask(connection: http.client.HTTPConnection, path: str, body: Any = None) -> Any:
    """The answer to a request as JSON; anything but success raises."""
    content = None if body is None else json.dumps(body)
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path, content, headers)
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {answer[:200]!r}")
    return json.loads(answer)


@contextlib.contextmanager
def serving(folder: Path, notes: Path) -> Iterator[Server]:
    """`freud serve` on a folder, when it answers and its model is loaded (or cannot be)."""
    command = [
        sys.executable,
        "-c",
        "from freud.cli import main; main()",
        "serve",
        str(folder),
        "--port",
        "0",
        "--no-browser",
        "--notes",
        str(notes),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = next(int(found[1]) for line in process.stdout if (found := re.search(r"http://127.0.0.1:(\d+)/", line)))
        server = Server(process, port)
        while True:
            with contextlib.suppress(OSError):
                if ask(server.connect(), "/api/status")["model_state"] != "loading":
                    break
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def searches(server: Server, seed: int = 0) -> Iterator[str]:
    """Endless paths of searches on the first site of latents."""
    connection = server.connect()
    site = next(site for site in ask(connection, "/api/sites") if site["basis"] == "latents")
    base = f"/api/sites/{site['site']}/latents"
    alive = ask(connection, f"{base}/overview")["feature"]
    chosen = random.Random(seed)
    number = 0
    while True:
        limits = ("", "&min=0.5&max=2", "&absolute=true")[number % 3]
        yield f"{base}/features/{chosen.choice(alive)}/clips?n=10{limits}"
        number += 1


def latencies(server: Server, queries: int, extra: str = "") -> np.ndarray:
    """Milliseconds of each search, after ten that are not counted."""
    connection, paths = server.connect(), searches(server)
    taken = []
    for _ in range(queries + 10):
        path = next(paths) + extra
        start = time.perf_counter()
        ask(connection, path)
        taken.append(1000 * (time.perf_counter() - start))
    return np.array(taken[10:])


def edits(server: Server, count: int) -> tuple[list[float], np.ndarray]:
    """Seconds of each edit of another latent on another clip, and milliseconds of searches meanwhile."""
    connection = server.connect()
    clips = [clip["id"] for clip in ask(connection, "/api/clips?n=200")["clips"] if clip["transcript"]]
    features = ask(connection, "/api/sites/encoder.blocks.2/latents/overview")["feature"]
    chosen = random.Random(0)
    seconds: list[float] = []

    def work() -> None:
        for number in range(count + 1):
            body = {"clip": chosen.choice(clips), "edits": [{**EDITED, "feature": chosen.choice(features)}]}
            start = time.perf_counter()
            ask(connection, "/api/edits", body)
            if number:
                seconds.append(time.perf_counter() - start)

    work()
    alone = seconds.copy()
    thread = threading.Thread(target=work)
    searching, paths, meanwhile = server.connect(), searches(server), []
    thread.start()
    while thread.is_alive():
        start = time.perf_counter()
        ask(searching, next(paths))
        meanwhile.append(1000 * (time.perf_counter() - start))
        time.sleep(0.05)
    return alone, np.array(meanwhile)


def crowd(server: Server, clients: int, seconds: float) -> dict[str, Any]:
    """Many clients that search without a pause."""
    ends = time.monotonic() + seconds
    counts, errors, memory = [0] * clients, [], []

    def work(number: int) -> None:
        try:
            connection, paths = server.connect(), searches(server, number)
            while time.monotonic() < ends:
                ask(connection, next(paths))
                counts[number] += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        memory.append(server.memory())
        time.sleep(1)
    settled = len(memory) // 4
    for error in errors[:3]:
        print("error:", error)
    return {
        "searches": sum(counts),
        "searches/s": sum(counts) / seconds,
        "errors (target 0)": len(errors),
        "memory MB, first quarter's largest": max(memory[: settled + 1]),
        "memory MB, largest after": max(memory[settled:]),
        "memory, last quarter's mean over second's": float(
            np.mean(memory[-settled:]) / np.mean(memory[settled : 2 * settled])
        )
        if settled
        else None,
    }


def spans(server: Server, queries: int, rank: str) -> np.ndarray:
    """Milliseconds of ranking the latents of half a second of a clip."""
    connection, chosen = server.connect(), random.Random(0)
    clips = [clip for clip in ask(connection, "/api/clips?n=200")["clips"] if clip["duration"] > 1]
    taken = []
    for _ in range(queries + 10):
        clip = chosen.choice(clips)
        at = chosen.uniform(0, clip["duration"] - 0.5)
        where = f"site=encoder.blocks.2&basis=latents&rank={rank}&start={at:.2f}&end={at + 0.5:.2f}"
        start = time.perf_counter()
        ask(connection, f"/api/clips/{clip['id']}/features?{where}")
        taken.append(1000 * (time.perf_counter() - start))
    return np.array(taken[10:])


def quantiles(name: str, taken: np.ndarray, p50: str = "", p95: str = "") -> dict[str, float]:
    return {
        f"{name}: p50 ms{p50}": float(np.quantile(taken, 0.5)),
        f"{name}: p95 ms{p95}": float(np.quantile(taken, 0.95)),
        f"{name}: worst ms": float(taken.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--result", type=Path)
    parser.add_argument("--index", type=Path)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--edits", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=50)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="freud-bench-") as temporary:
        work = Path(temporary)
        result = arguments.result or work / "demo"
        if not result.is_dir():
            freud.demo(result, progress=False)
        index = arguments.index or work / "index"
        if not index.is_dir():
            build_synthetic(index, 50_000_000)
        with serving(result, work / "notes.sqlite") as server:
            taken = latencies(server, arguments.queries)
            results |= quantiles("demo, search", taken, " (target <= 30)", " (target <= 80)")
            taken = latencies(server, arguments.queries, "&traces=true")
            results |= quantiles("demo, search with traces", taken)
            for rank in ("max", "unusual"):
                results |= quantiles(f"demo, features of a span by {rank}", spans(server, arguments.queries // 3, rank))
            alone, meanwhile = edits(server, arguments.edits)
            results["demo, edit: median s (target <= 1.5)"] = float(np.median(alone))
            results["demo, edit: worst s"] = max(alone)
            results |= quantiles("demo, search while an edit runs", meanwhile, "", " (target < 150)")
        opened = features.read(index)
        busy = np.arange(0, opened.features, opened.features // 1000)
        start = time.perf_counter()
        browse.unusual(opened, busy, np.full(len(busy), 1.0))
        results["50 M postings, how unusual 1000 values are: s"] = time.perf_counter() - start
        with serving(index, work / "notes.sqlite") as server:
            taken = latencies(server, arguments.queries)
            results |= quantiles("50 M postings, search", taken, " (target <= 30)", " (target <= 80)")
            many = crowd(server, arguments.clients, arguments.seconds)
            results |= {f"50 M postings, {arguments.clients} clients: {key}": value for key, value in many.items()}
    record("server", results)


if __name__ == "__main__":
    main()
