"""Naming: 6144 latents and 2048 neurons against 60 labels, on 20 minutes and on an hour of audio.

    python benchmarks/naming.py [--hours 0.333 1]

Input is synthetic, and of the size of the real thing: float16 activations of 2048 neurons, postings of 6144 latents
with 32 active a frame, clips of 12 s with noise as their sound and random phones. Timed is `freud.naming.name` for the
latents and for the neurons, in a process of their own: labels, what is measured on the audio, pilot, both splits, null,
bootstrap, tables. Making the indexes is not timed; controls, which are further features, are not either.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import torch
from safetensors.torch import save_file

import freud
import index as index_benchmark
from common import record
from freud import artifacts, features, naming
from freud.activations.store import KIND as COLLECT
from freud.corpus.phones import ARPABET
from freud.features.query import KIND as INDEX

CLIP_FRAMES = index_benchmark.CLIP_FRAMES
NEURONS, LATENTS, SITE = 2048, 6144, "encoder.blocks.3.mlp.1"
KINDS = ("phone", "class", "silence", "acoustic", "measure")
PHONES = [name for name in ARPABET if len(name) <= 2 and name not in {"DX", "AX", "IX", "UX", "HV", "NX", "Q", "WH"}][
    :39
]


def make(folder: Path, hours: float) -> None:
    """Corpus, store and both indexes of so many hours."""
    clips = round(hours * 3600 * 50 / index_benchmark.SHARD_FRAMES) * (index_benchmark.SHARD_FRAMES // CLIP_FRAMES)
    rng = np.random.default_rng(0)
    audio = folder / "audio"
    audio.mkdir()
    rows = ["path,speaker"]
    for clip in range(clips):
        name = f"clip-{clip:05d}"
        soundfile.write(audio / f"{name}.wav", 0.1 * rng.normal(size=CLIP_FRAMES * 320), 16000, subtype="PCM_16")
        ends = np.cumsum(rng.integers(3, 10, 150) * 0.02)
        ends = ends[ends < CLIP_FRAMES / 50 - 0.5]
        lines = [f"{a:.2f}\t{b:.2f}\t{PHONES[rng.integers(len(PHONES))]}" for a, b in itertools.pairwise(ends)]
        (audio / f"{name}.phones.tsv").write_text("\n".join(lines) + "\n")
        rows.append(f"{name}.wav,speaker-{clip % 40}")
    (audio / "manifest.csv").write_text("\n".join(rows) + "\n")
    corpus = freud.corpus.import_corpus(audio, folder / "corpus")
    store = _store(folder / "acts", corpus, clips)
    freud.index(store, None, folder / "neurons", corpus=corpus, progress=False)
    index_benchmark.LATENTS = LATENTS
    out = folder / "latents"
    index_benchmark.build_synthetic(out, clips * CLIP_FRAMES * index_benchmark.K)
    manifest = artifacts.read(out, INDEX).manifest
    parameters = {**manifest["parameters"], "site": SITE, "activations": store.store.manifest["fingerprint"]}
    facts = {name: manifest[name] for name in ("features", "frames", "frames_per_second")}
    place = {"path": str(folder / "acts"), "beside": "../acts"}
    artifacts.finish(out, INDEX, parameters, list(manifest["files"]), **facts, store=place)


def _store(out: Path, corpus: freud.corpus.Corpus, clips: int) -> freud.activations.SiteActivations:
    """A store of random activations, a shard for every 5 clips."""
    parameters = {"benchmark": "naming"}
    artifacts.begin(out, COLLECT, parameters)
    each, generator = 5, torch.Generator().manual_seed(0)
    files = []
    for shard in range(clips // each):
        frames = torch.nn.functional.gelu(torch.randn(each * CLIP_FRAMES, NEURONS, generator=generator))
        header = {"windows": [[shard * each + i, 0, CLIP_FRAMES] for i in range(each)], "next": [0, 0], "problems": []}
        files.append(f"frames-{shard:05d}.safetensors")
        save_file({SITE: frames.half()}, out / files[-1], {"freud": json.dumps(header)})
    clip = np.arange(clips)
    columns = {"clip": clip, "shard": clip // each, "first_row": clip % each * CLIP_FRAMES}
    columns |= {"rows": np.full(clips, CLIP_FRAMES), "first_frame": np.zeros(clips, int)}
    pq.write_table(pa.table(columns), out / "clips.parquet")
    pq.write_table(pa.table({"id": corpus.table["id"]}), out / "clip_ids.parquet")
    site = {"width": NEURONS, "frames_per_second": 50.0, "privileged": True, "residual": False, "norm": {}}
    artifacts.finish(
        out, COLLECT, parameters, [*files, "clips.parquet", "clip_ids.parquet"],
        model={"model": "synthetic", "model_fingerprint": ""},
        corpus={"path": str(corpus.path), "beside": "../corpus", "fingerprint": corpus.fingerprint},
        frames=clips * CLIP_FRAMES, clips=clips, sites={SITE: site}, problems=[],
    )  # fmt: skip
    return freud.activations.read(out)[SITE]


def run(folder: Path) -> None:
    """Name both indexes, and print the seconds, the labels and the peak of memory."""
    torch.set_num_threads(2)
    start = time.perf_counter()
    found = []
    for basis in ("latents", "neurons"):
        out = folder / "names" / basis
        found.append(naming.name(features.read(folder / basis), out, kinds=KINDS, controls=False, progress=False))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    labels = found[0].artifact.manifest["labels"]
    named = sum(names.artifact.manifest["named"] for names in found)
    print(json.dumps({"seconds": seconds, "peak GiB": peak, "labels": labels, "named although random": named}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, nargs="*", default=[1 / 3, 1.0])
    parser.add_argument("--keep", type=Path, help="folder for the input, made if it is not there")
    parser.add_argument("--only-make", action="store_true")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(arguments.run)
        return
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="freud-bench-") as temporary:
        for hours in arguments.hours:
            folder = (arguments.keep or Path(temporary)) / f"{60 * hours:.0f}min"
            if not folder.is_dir():
                folder.mkdir(parents=True)
                make(folder, hours)
            if arguments.only_make:
                continue
            artifacts.discard(folder / "names")
            said = subprocess.run(
                [sys.executable, __file__, "--run", folder], capture_output=True, text=True, check=True
            )
            for name, value in json.loads(said.stdout.splitlines()[-1]).items():
                results[f"{60 * hours:.0f} min: {name}"] = value
    if results:
        record("naming", {"neurons": NEURONS, "latents": LATENTS, **results, "target": "60 min: 180 s, 2 GB"})


if __name__ == "__main__":
    main()
