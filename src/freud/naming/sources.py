"""Where the values of features come from, in blocks of whole clips: a store, an index's postings, or an SAE.

A source fixes the edges of its bins without looking at any label, then deals out blocks of the clips asked for, in
order. Nothing is kept of a block: memory is one block, however long the corpus is.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Protocol

import duckdb
import numpy as np
import pyarrow as pa
import torch

from freud.activations import SiteActivations
from freud.artifacts import parquet_table
from freud.errors import FreudError
from freud.features import FeatureIndex
from freud.naming.blocks import Block, Dense, Pieces, Sparse
from freud.saes import SAE

BLOCK = 8192  # frames; a longer clip is cut, and lags are not followed over the cuts
SAMPLE = 16_384  # frames from which the edges of dense bins are taken
TAIL = 0.04  # quantiles beyond which bins are spaced logarithmically: rare labels live there
_TAILS = np.geomspace(0.0005, TAIL, 12)
QUANTILES = np.concatenate([_TAILS, np.linspace(TAIL, 1 - TAIL, 41)[1:-1], 1 - _TAILS[::-1]])  # 63 edges, 64 bins
ACTIVE_BINS = 24  # of a sparse feature, beside the one of silence
MEMORY = "512MB"  # for the database that puts postings in the order of clips


class Source(Protocol):
    """Features of one kind at one site.

    Attributes:
        features: how many. sparse: silent on most frames, in bin 0. sides: "+" or "+-".
        edges: [features, bins - 1] ascending; value v is in the bin numbered by how many edges are <= v.
        levels: [features, bins] share of active frames below the middle of each bin: 0 at the weakest.
    """

    features: int
    sparse: bool
    sides: str

    @property
    def edges(self) -> np.ndarray: ...

    def pieces(self) -> Pieces:
        """Every frame there is."""
        ...

    def blocks(self, clips: np.ndarray) -> Iterator[Block]:
        """Blocks of the clips whose number is true in `clips` [clips of the corpus] bool."""
        ...


def batches(pieces: Pieces, clips: np.ndarray) -> Iterator[Pieces]:
    """The pieces of the chosen clips, in order, together at most `BLOCK` frames unless one is longer alone."""
    chosen = np.flatnonzero(clips[pieces.clip])
    start, total = 0, 0
    for i, piece in enumerate(chosen):
        if total and total + pieces.rows[piece] > BLOCK:
            yield _take(pieces, chosen[start:i])
            start, total = i, 0
        total += int(pieces.rows[piece])
    if total:
        yield _take(pieces, chosen[start:])


def _take(pieces: Pieces, which: np.ndarray) -> Pieces:
    return Pieces(pieces.clip[which], pieces.first_frame[which], pieces.rows[which])


class Neurons:
    """The coordinates of a site, or with `directions` [width, features] linear functions of them."""

    sparse = False
    sides = "+-"

    def __init__(
        self, activations: SiteActivations, directions: np.ndarray | None = None, features: slice = slice(None)
    ) -> None:
        self.activations = activations
        self.range = features
        self.directions = None if directions is None else torch.from_numpy(directions.astype(np.float32))
        width = activations.width if directions is None else directions.shape[1]
        self.features = len(range(*features.indices(width)))

    @property
    def edges(self) -> np.ndarray:
        return self._edges

    @cached_property
    def _edges(self) -> np.ndarray:
        return np.quantile(self._values(self.activations.sample(SAMPLE)).numpy(), QUANTILES, axis=0).T.copy()

    def _values(self, rows: torch.Tensor) -> torch.Tensor:
        """rows: [frames, width] stored. Returns [frames, features] float32."""
        if self.directions is None:
            return rows[:, self.range].float()
        return (rows.float() @ self.directions)[:, self.range]

    def pieces(self) -> Pieces:
        stored = self.activations.store.pieces.cut(BLOCK)
        return Pieces(stored.clip, stored.first_frame, stored.rows)

    def rows(self, clips: np.ndarray) -> Iterator[tuple[Pieces, torch.Tensor]]:
        """Stored rows [frames, width] of the chosen clips, a block at a time."""
        for _, pieces, rows in self.activations.blocks():
            pieces = pieces.cut(BLOCK)
            first_row = dict(zip(zip(pieces.clip, pieces.first_frame, strict=True), pieces.first_row, strict=True))
            for batch in batches(Pieces(pieces.clip, pieces.first_frame, pieces.rows), clips):
                spans = zip(batch.clip, batch.first_frame, batch.rows, strict=True)
                yield batch, torch.cat([rows[first_row[c, f] : first_row[c, f] + n] for c, f, n in spans])

    @torch.inference_mode()
    def blocks(self, clips: np.ndarray) -> Iterator[Block]:
        edges = torch.from_numpy(self.edges.astype(np.float32))
        for pieces, rows in self.rows(clips):
            values = self._values(rows).T.contiguous()
            bins = torch.searchsorted(edges, values, right=True, out_int32=True).to(torch.uint8)
            yield Dense(pieces, bins.numpy(), edges.shape[1] + 1)


def latent_edges(low: np.ndarray, high: np.ndarray, histogram: np.ndarray) -> np.ndarray:
    """Edges that put about as many active frames of a latent in each bin, from its histogram in the index.

    Args:
        low: [features] lower edge of the histogram.
        high: [features] its upper edge.
        histogram: [features, 64] counts of active frames.

    Returns:
        [features, ACTIVE_BINS]: the first is just above zero.
    """
    total = np.cumsum(histogram, axis=1)
    share = total / np.maximum(total[:, -1:], 1)
    wanted = np.arange(1, ACTIVE_BINS) / ACTIVE_BINS
    place = (share[:, None, :] < wanted[None, :, None]).sum(2) + 1  # [features, 23] bins of 64 below the edge
    step = (high - low) / histogram.shape[1]
    edges = low[:, None] + place * step[:, None]
    least = np.full((len(low), 1), np.finfo(np.float32).tiny)
    return np.concatenate([least, np.maximum.accumulate(edges, axis=1)], axis=1)


def sparse_bins(edges: np.ndarray, feature: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The bin of each active value, from 1."""
    bins = np.zeros(len(value), np.uint8)
    for column in edges.T:
        bins += value >= column[feature]
    return np.maximum(bins, 1)


class Latents:
    """The latents of an index, read from its postings: what is silent costs nothing."""

    sparse = True
    sides = "+"

    def __init__(self, index: FeatureIndex, features: slice = slice(None)) -> None:
        self.index = index
        self.first, last, _ = features.indices(index.features)
        self.features = last - self.first

    @property
    def edges(self) -> np.ndarray:
        return self._edges

    @cached_property
    def _edges(self) -> np.ndarray:
        rows = self.index.sql(
            "SELECT histogram_low, histogram_high, histogram FROM features WHERE feature >= ? AND feature < ? "
            "ORDER BY feature",
            [self.first, self.first + self.features],
        )
        low, high, histogram = (np.array(column) for column in zip(*rows, strict=True))
        if (low < 0).any():
            signed = self.first + int(np.flatnonzero(low < 0)[0])
            raise FreudError(f"latent {signed} is also negative: latents with a sign (abstopk) cannot be named")
        return latent_edges(low, high, histogram)

    def pieces(self) -> Pieces:
        rows = np.array(self.index.sql("SELECT clip, frames FROM clips WHERE frames > 0 ORDER BY clip"), np.int64)
        cuts = -(-rows[:, 1] // BLOCK)
        clip = np.repeat(rows[:, 0], cuts)
        first = (np.arange(len(clip)) - np.repeat(np.cumsum(cuts) - cuts, cuts)) * BLOCK
        return Pieces(clip, first, np.minimum(BLOCK, np.repeat(rows[:, 1], cuts) - first))

    def blocks(self, clips: np.ndarray) -> Iterator[Block]:
        postings = _Postings(self, np.flatnonzero(clips))
        shape = (self.features, ACTIVE_BINS + 1)
        edges = self.edges
        for pieces in batches(self.pieces(), clips):
            last = len(pieces.rows) - 1
            clip, frame, feature, value = postings.until(
                int(pieces.clip[last]), int(pieces.first_frame[last] + pieces.rows[last])
            )
            key = pieces.clip * 2**32 + pieces.first_frame
            piece = np.searchsorted(key, clip.astype(np.int64) * 2**32 + frame, side="right") - 1
            row = pieces.starts()[piece] + frame - pieces.first_frame[piece]
            feature = feature - self.first
            yield Sparse(pieces, row, feature, sparse_bins(edges, feature, value), shape)


class _Postings:
    """Postings of some clips in the order of clips and frames; sorted by DuckDB, outside memory where they are many."""

    def __init__(self, source: Latents, clips: np.ndarray) -> None:
        table = parquet_table(source.index.artifact.file("postings.parquet"))
        database = duckdb.connect(":memory:")
        database.execute(f"SET memory_limit = '{MEMORY}'; SET enable_progress_bar = false")
        database.execute("CREATE TABLE chosen AS SELECT unnest(?::INTEGER[]) AS clip", [clips.tolist()])
        found = database.sql(
            f"SELECT clip, frame, feature, value FROM {table} SEMI JOIN chosen USING (clip) "
            f"WHERE feature >= {source.first} AND feature < {source.first + source.features} ORDER BY clip, frame"
        )
        self._database = database  # the reader lives as long as it
        self._batches: pa.RecordBatchReader = found.to_arrow_reader(200_000)
        self._held = [np.zeros(0, kind) for kind in (np.int64, np.int64, np.int64, np.float32)]

    def until(self, clip: int, frame: int) -> list[np.ndarray]:
        """The next postings, up to frame `frame` of clip `clip`: clip, frame, feature, value."""
        limit = clip * 2**32 + frame
        parts = [self._held]
        while not len(parts[-1][0]) or int(parts[-1][0][-1]) * 2**32 + int(parts[-1][1][-1]) < limit:
            try:
                batch = self._batches.read_next_batch()
            except StopIteration:
                break
            parts.append([batch.column(i).to_numpy(zero_copy_only=False) for i in range(4)])
        columns = [np.concatenate(each) for each in zip(*parts, strict=True)]
        end = np.searchsorted(columns[0].astype(np.int64) * 2**32 + columns[1], limit)
        self._held = [column[end:] for column in columns]
        return [column[:end] for column in columns]


class Encoded:
    """The latents of an SAE, computed on the way: for SAEs that have no index."""

    sparse = True
    sides = "+"

    def __init__(self, activations: SiteActivations, sae: SAE) -> None:
        self.activations, self.sae = activations, sae
        self.features = sae.d_sae

    @property
    def edges(self) -> np.ndarray:
        return self._edges

    @cached_property
    def _edges(self) -> np.ndarray:
        sample = self.activations.sample(SAMPLE)
        feature, value = self._active(sample)
        high = np.zeros(self.features, np.float32)
        np.maximum.at(high, feature, value)
        step = np.maximum(high[feature], 1e-9)
        place = np.minimum((64 * value / step).astype(np.int64), 63)
        histogram = np.bincount(feature.astype(np.int64) * 64 + place, minlength=64 * self.features)
        return latent_edges(np.zeros_like(high), high, histogram.reshape(-1, 64))

    @torch.inference_mode()
    def _active(self, rows: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        found = [self.sae.to_sparse(rows[i : i + 1024].float()) for i in range(0, len(rows), 1024)]
        return tuple(np.concatenate([getattr(s, name).numpy() for s in found]) for name in ("latent", "value"))  # type: ignore[return-value]

    def pieces(self) -> Pieces:
        return Neurons(self.activations).pieces()

    @torch.inference_mode()
    def blocks(self, clips: np.ndarray) -> Iterator[Block]:
        for pieces, rows in Neurons(self.activations).rows(clips):
            row, feature, value = [], [], []
            for start in range(0, len(rows), 1024):
                found = self.sae.to_sparse(rows[start : start + 1024].float())
                row.append(found.frame.numpy() + start)
                feature.append(found.latent.numpy())
                value.append(found.value.numpy())
            features, values = np.concatenate(feature), np.concatenate(value)
            bins = sparse_bins(self.edges, features, values)
            yield Sparse(pieces, np.concatenate(row), features, bins, (self.features, ACTIVE_BINS + 1))
