"""What all benchmarks share: input, side-by-side timing, and a record of the numbers with versions and machine."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import freud

HERE = Path(__file__).parent
SHARED_SPEECH = HERE.parents[1] / "shared" / "data" / "real-audio" / "librispeech_test-other"


def speech() -> Path:
    """Real speech where it is at hand, the bundled clips otherwise."""
    from freud.discovery import demo_folder  # which needs every package there is

    return SHARED_SPEECH if SHARED_SPEECH.is_dir() else demo_folder()


def side_by_side(
    runs: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds of each run, the runs taking turns, so that a busy machine disturbs all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return seconds


def median_ratio(slow: list[float], fast: list[float]) -> float:
    """Median of the ratios taken round by round."""
    return statistics.median(s / f for s, f in zip(slow, fast, strict=True))


def record(name: str, results: dict[str, Any]) -> None:
    """Print the results and write them to `benchmarks/results/NAME-DATE.json`, with versions and machine."""
    facts = {
        "benchmark": name,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "freud": freud.__version__,
        "commit": _commit(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": round(os.getloadavg()[2], 2),
        "results": results,
    }
    path = HERE / "results" / f"{name}-{facts['date']}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(facts, indent=2) + "\n")
    for key, value in results.items():
        print(f"{key:<55}{value:>14,.3f}" if isinstance(value, float) else f"{key:<55}{value!s:>14}")
    print(f"written to {path.relative_to(HERE.parent)}")


def _commit() -> str:
    """Of this checkout; nothing where it is only a copy."""
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False).stdout.strip()
    except OSError:
        return ""


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
