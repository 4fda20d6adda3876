"""Stores and SAEs with known content, and what an index of them must hold by brute force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from freud import activations, artifacts
from freud.activations import SiteActivations
from freud.corpus import Corpus
from freud.corpus.table import CLIP_SCHEMA, SEGMENT_SCHEMA
from freud.saes.topk import TopKSAE

SITE = "encoder.blocks.2"
RATE = 50.0


def make_corpus(count: int, fingerprint: str = "synthetic") -> Corpus:
    """Clips with ids c0, c1 ..., in memory; every second one has a transcript, every clip a word from 0.1 to 0.3 s."""
    rows = [
        {
            "id": f"c{i}",
            "path": f"größe {i}.wav",
            "offset": 0.0,
            "duration": 1.0,
            "sample_rate": 16000,
            "transcript": f'say "{i}" isn\'t' if i % 2 else None,
            "class": f"class {i % 3}",
            "speaker": None,
            "split": None,
        }
        for i in range(count)
    ]
    words = [{"clip_id": f"c{i}", "tier": "words", "start": 0.1, "end": 0.3, "label": f"w{i}"} for i in range(count)]
    manifest: dict[str, Any] = {"fingerprint": fingerprint, "parameters": {"layout": "folder"}, "problems": []}
    clips = pa.Table.from_pylist(rows, CLIP_SCHEMA)
    return Corpus(None, Path("nowhere"), manifest, clips, lambda: pa.Table.from_pylist(words, SEGMENT_SCHEMA))


def make_store(
    out: Path,
    clips: Sequence[np.ndarray],
    rows_per_shard: int = 10**9,
    *,
    dtype: torch.dtype = torch.float32,
    empty_shard: bool = False,
    fingerprint: str = "synthetic",
) -> SiteActivations:
    """A folder of activations in the layout of `freud.collect`: clip i has the frames clips[i] [frames, width]."""
    width = clips[0].shape[1]
    parameters = {"site": SITE, "data": [float(np.abs(clip).sum()) for clip in clips], "rows": rows_per_shard}
    assert artifacts.begin(out, "collect", parameters) is None
    columns: dict[str, list[int]] = {name: [] for name in ("clip", "shard", "first_row", "rows", "first_frame")}
    shards: list[list[np.ndarray]] = [[]]
    room = rows_per_shard
    for number, clip in enumerate(clips):
        done = 0
        while done < len(clip):
            if room == 0:
                shards.append([])
                room = rows_per_shard
            taken = min(room, len(clip) - done)
            where = (number, len(shards) - 1, sum(map(len, shards[-1])), taken, done)
            for column, value in zip(columns.values(), where, strict=True):
                column.append(value)
            shards[-1].append(clip[done : done + taken])
            done, room = done + taken, room - taken
    if empty_shard:  # as after a last clip that could not be read
        shards.append([np.zeros((0, width), np.float32)])
    files = []
    for number, rows in enumerate(shards):
        files.append(f"frames-{number:05d}.safetensors")
        save_file({SITE: torch.from_numpy(np.concatenate(rows)).to(dtype)}, out / files[-1])
    pq.write_table(pa.table(columns), out / "clips.parquet")
    pq.write_table(pa.table({"id": [f"c{i}" for i in range(len(clips))]}), out / "clip_ids.parquet")
    facts = {
        "model": {"model": "toy", "model_fingerprint": "0123"},
        "corpus": {"path": "/nowhere", "beside": "corpus", "fingerprint": fingerprint},
        "frames": sum(map(len, clips)),
        "clips": len(clips),
        "sites": {SITE: {"width": width, "frames_per_second": RATE, "privileged": False, "residual": True, "norm": {}}},
        "problems": [],
    }
    artifacts.finish(out, "collect", parameters, [*files, "clips.parquet", "clip_ids.parquet"], **facts)
    return activations.read(out)[SITE]


def make_sae(width: int, latents: int, k: int, *, dead: Sequence[int] = (), seed: int = 0) -> TopKSAE:
    """A TopK SAE with random weights, whose latents `dead` never fire.

    Weights are multiples of 2^-12: with frames of few digits every product and sum is exact in float32, so latents are
    the same on every processor and for every order of summation.
    """
    random = torch.Generator().manual_seed(seed)
    encoder, bias = (
        (torch.randn(size, generator=random) * 2**12).round() / 2**12 for size in ((width, latents), (latents,))
    )
    encoder[:, list(dead)] = 0
    bias[list(dead)] = -1
    origin = {"site": SITE, "model": "toy", "model_fingerprint": "0123"}
    return TopKSAE(encoder, bias, encoder.T.clone(), torch.zeros(width), k=k, metadata=origin)


def brute_peaks(clips: Sequence[np.ndarray], *, silent: bool) -> list[tuple[int, int, float, int, float, int]]:
    """(feature, clip, max, max frame, min, min frame) from dense values; only active ones (above zero) if `silent`."""
    rows = []
    for feature in range(clips[0].shape[1]):
        for number, clip in enumerate(clips):
            frames = [frame for frame in range(len(clip)) if not silent or clip[frame, feature] > 0]
            if frames:
                top = min(frames, key=lambda frame: (-clip[frame, feature], frame))
                low = min(frames, key=lambda frame: (clip[frame, feature], frame))
                rows.append((feature, number, float(clip[top, feature]), top, float(clip[low, feature]), low))
    return rows


def brute_events(
    active: Sequence[np.ndarray], clips: Sequence[np.ndarray]
) -> list[tuple[int, int, int, int, int, float]]:
    """(feature, clip, onset, offset, peak frame, peak) of the runs of `active` frames of one sign."""
    rows = []
    for feature in range(clips[0].shape[1]):
        for number, clip in enumerate(clips):
            run: list[int] = []
            for frame in range(len(clip) + 1):
                on = frame < len(clip) and bool(active[number][frame, feature])
                same = bool(run) and on and (clip[frame, feature] < 0) == (clip[run[-1], feature] < 0)
                if run and not same:
                    peak = min(run, key=lambda f: (-abs(clip[f, feature]), f))
                    rows.append((feature, number, run[0], run[-1] + 1, peak, float(clip[peak, feature])))
                    run = []
                if on:
                    run.append(frame)
    return rows
