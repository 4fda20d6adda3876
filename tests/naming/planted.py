"""A synthetic corpus with a phone tier, and features whose answers are known because they were put there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from freud.corpus import Corpus
from freud.corpus.table import CLIP_SCHEMA, SEGMENT_SCHEMA
from freud.naming.blocks import Block, Dense, Pieces, Sparse
from freud.naming.sources import ACTIVE_BINS, QUANTILES, batches, sparse_bins

RATE = 50
PHONES = ("m", "s", "aa", "t", "iy", "n")


def corpus(clips: int = 24, seconds: float = 4.0, seed: int = 0, speakers: int = 6) -> Corpus:
    """Clips of random phones of 60 to 160 ms, between silences."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list] = {name: [] for name in CLIP_SCHEMA.names}
    segments: dict[str, list] = {name: [] for name in SEGMENT_SCHEMA.names}
    for clip in range(clips):
        values = {"id": f"clip{clip:03d}", "path": f"{clip}.wav", "offset": 0.0, "duration": seconds}
        values |= {"sample_rate": 16000, "speaker": f"s{clip % speakers}"}
        for name, column in rows.items():
            column.append(values.get(name))
        time = 0.3
        while time < seconds - 0.4:
            end = time + float(rng.integers(3, 9)) / RATE
            segment = (f"clip{clip:03d}", "phones", time, end, PHONES[rng.integers(len(PHONES))])
            for column, value in zip(segments.values(), segment, strict=True):
                column.append(value)
            time = end
    manifest = {"fingerprint": "planted", "parameters": {"layout": "none"}, "problems": []}
    table = pa.table(rows, schema=CLIP_SCHEMA)
    return Corpus(None, Path("."), manifest, table, lambda: pa.table(segments, schema=SEGMENT_SCHEMA))


class Arrays:
    """A source of features given as one array [frames, features] a clip."""

    def __init__(self, values: list[np.ndarray], *, sparse: bool = False, sides: str = "+-") -> None:
        self.values, self.sparse, self.sides = values, sparse, sides
        self.features = values[0].shape[1]
        every = np.concatenate(values)
        if sparse:
            positive = np.where(every > 0, every, np.nan)
            inner = np.nanquantile(positive, np.arange(1, ACTIVE_BINS) / ACTIVE_BINS, axis=0).T
            self.edges = np.concatenate([np.full((self.features, 1), 1e-30), np.nan_to_num(inner)], 1)
        else:
            self.edges = np.quantile(every, QUANTILES, axis=0).T

    def pieces(self) -> Pieces:
        lengths = np.array([len(each) for each in self.values])
        return Pieces(np.arange(len(lengths)), np.zeros_like(lengths), lengths)

    def blocks(self, clips: np.ndarray) -> Iterator[Block]:
        for pieces in batches(self.pieces(), clips):
            rows = np.concatenate([self.values[clip] for clip in pieces.clip])
            if self.sparse:
                row, feature = np.nonzero(rows)
                bins = sparse_bins(self.edges, feature, rows[row, feature])
                yield Sparse(pieces, row, feature, bins, (self.features, ACTIVE_BINS + 1))
            else:
                bins = (rows.T[:, :, None] >= self.edges[:, None, :]).sum(2).astype(np.uint8)
                yield Dense(pieces, bins, len(QUANTILES) + 1)
