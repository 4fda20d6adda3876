"""Index build: postings a second, from active latents in memory to every table of the index on disk.

    python benchmarks/index.py [--postings 50e6] [--keep FOLDER]

Synthetic postings with k = 32 active latents a frame, each for three frames at a time, latents drawn with a Zipf-like
popularity, clips of 12 s. Timed are the sorted part of every shard, the merge, all statistics, and the Parquet files.
Encoding with the SAE is not: it takes 2 d_in d_sae operations a frame whatever the index does; `--real` times a whole
`freud.index` instead, encoding included, on the activations of the bundled model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from common import record
from freud import artifacts
from freud.features import build
from freud.features.query import KIND
from freud.features.tables import Postings

LATENTS, K, RUN, CLIP_FRAMES, SHARD_FRAMES = 24_576, 32, 3, 600, 60_000


class Synthetic(build._Latents):
    """Latents whose active values are drawn, not computed."""

    @property
    def count(self) -> int:
        return LATENTS


def shard(number: int) -> Postings:
    """The postings of one shard, by frame."""
    rng = np.random.default_rng(number)
    runs = SHARD_FRAMES // RUN
    # Popularity falls off as 1 / rank; K distinct latents for each run of frames.
    latent = (LATENTS ** rng.random((runs, K + 8)) - 1).astype(np.int64)
    latent.sort(1)
    latent[:, 1:][latent[:, 1:] == latent[:, :-1]] = LATENTS  # repeats go last
    latent.sort(1)
    latent = latent[:, :K] % LATENTS
    frame = np.arange(SHARD_FRAMES).reshape(runs, RUN, 1)
    feature = np.broadcast_to(latent[:, None, :], (runs, RUN, K)).ravel()
    frame = np.broadcast_to(frame, (runs, RUN, K)).ravel()
    value = rng.exponential(size=len(feature)).astype(np.float32) + 0.01
    clip = number * (SHARD_FRAMES // CLIP_FRAMES) + frame // CLIP_FRAMES
    return Postings(feature, clip.astype(np.int32), (frame % CLIP_FRAMES).astype(np.int32), value)


def build_synthetic(out: Path, postings: int) -> tuple[int, float]:
    """Write an index of about `postings` postings to `out`; returns how many there are and the seconds it took."""
    shards = max(1, round(postings / (SHARD_FRAMES * K)))
    work = out / "parts"
    work.mkdir(parents=True)
    total, seconds = 0, 0.0
    for number in range(shards):
        drawn = shard(number)
        total += len(drawn.feature)
        start = time.perf_counter()
        save_file(build._sorted_part(drawn, LATENTS), work / f"{number:05d}.safetensors")
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    source = Synthetic(SimpleNamespace(frames=shards * SHARD_FRAMES), None)  # type: ignore[arg-type]
    files = build.merge(out, work, source, shards)
    seconds += time.perf_counter() - start
    artifacts.discard(work)
    clips = shards * (SHARD_FRAMES // CLIP_FRAMES)
    names = [f"clip-{i:05d}" for i in range(clips)]
    empty = pa.nulls(clips, pa.string())
    columns = {"clip": pa.array(range(clips), pa.int32()), "id": names, "name": names}
    columns |= {"transcript": empty, "class": empty, "speaker": empty, "frames": [CLIP_FRAMES] * clips}
    pq.write_table(pa.table(columns), out / "clips.parquet")
    segments = {"clip": pa.array([], pa.int32()), "tier": pa.array([], pa.string()), "label": pa.array([], pa.string())}
    segments |= {"start": pa.array([], pa.float64()), "end": pa.array([], pa.float64())}
    pq.write_table(pa.table(segments), out / "segments.parquet")
    parameters = {"model": "synthetic", "model_fingerprint": "", "site": "synthetic", "basis": "latents"}
    facts = {"features": LATENTS, "frames": shards * SHARD_FRAMES, "frames_per_second": 50.0}
    artifacts.finish(
        out, KIND, parameters, [*files, "clips.parquet", "segments.parquet"], **facts, store={"path": "", "beside": ""}
    )
    return total, seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--postings", type=float, default=50e6)
    parser.add_argument("--keep", type=Path, help="folder to leave the index in, for search.py")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="freud-bench-") as temporary:
        out = arguments.keep or Path(temporary) / "index"
        total, seconds = build_synthetic(out, int(arguments.postings))
        size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
        rows = {name: pq.read_metadata(out / f"{name}.parquet").num_rows for name in ("postings", "peaks", "events")}
    record(
        "index",
        {
            **rows,
            "bytes a posting, all tables": size / total,
            "seconds": seconds,
            "postings/s (target >= 2,000,000)": total / seconds,
        },
    )


if __name__ == "__main__":
    main()
