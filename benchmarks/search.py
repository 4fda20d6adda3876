"""Search latency: the clips that drive a feature most, on 50 million postings and on a real index.

    python benchmarks/search.py [--index FOLDER] [--queries 500]

FOLDER is an index left by `index.py --keep`; without it one is built first. Each query is a whole `FeatureIndex.top`
call, ten results, for a random feature that is not dead, in turn plain, with limits, and by magnitude. The real index
is that of the bundled model's latents on the bundled clips.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import freud
from common import record
from freud import discovery, features
from freud.features import FeatureIndex
from freud.saes import Options, TopK
from index import build_synthetic


def latencies(index: FeatureIndex, queries: int) -> np.ndarray:
    """Milliseconds of each query, after ten that are not counted."""
    alive = np.array([row["feature"] for row in index.table()])
    rng = np.random.default_rng(0)
    milliseconds = []
    for number in range(queries + 10):
        feature = int(rng.choice(alive))
        limits = ({}, {"min": 0.5, "max": 2.0}, {"absolute": True})[number % 3]
        start = time.perf_counter()
        index.top(feature, 10, **limits)
        milliseconds.append(1000 * (time.perf_counter() - start))
    return np.array(milliseconds[10:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--index", type=Path)
    parser.add_argument("--queries", type=int, default=500)
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory(prefix="freud-bench-") as temporary:
        work = Path(temporary)
        big = arguments.index or work / "index"
        if not big.is_dir():
            build_synthetic(big, 50_000_000)
        store = freud.collect(
            "nano", freud.corpus.read(discovery.demo_folder()), ["encoder.blocks.2"], work / "acts", progress=False
        )["encoder.blocks.2"]
        sae = freud.train(store, TopK(), work / "sae", options=Options(steps=20), progress=False)
        corpus = freud.corpus.read(discovery.demo_folder())
        real = freud.index(store, sae, work / "real", corpus=corpus, progress=False)
        for name, index in (("50 M postings", features.read(big)), ("real index", real)):
            start = time.perf_counter()
            index.table(n=1)
            results[f"{name}: open, ms"] = 1000 * (time.perf_counter() - start)
            taken = latencies(index, arguments.queries)
            results[f"{name}: p50 ms (target <= 20)"] = float(np.quantile(taken, 0.5))
            results[f"{name}: p95 ms (target <= 50)"] = float(np.quantile(taken, 0.95))
            results[f"{name}: worst ms"] = float(taken.max())
    record("search", results)


if __name__ == "__main__":
    main()
