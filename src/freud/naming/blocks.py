"""A few thousand frames of many features as bin numbers, and the three sums that naming takes over them.

A feature's values are replaced by the bins they fall in (edges fixed beforehand), so every statistic is a histogram.
`Dense` holds a bin for each feature and frame; `Sparse` only the active ones, bin 0 being silence. Both give the same
numbers; the tests hold them against each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import scipy.sparse

DENSE_KEYS = 2**22  # bin counts made at a time


@dataclass(frozen=True)
class Pieces:
    """Which frames a block holds: runs of consecutive frames of one clip each, one after the other."""

    clip: np.ndarray  # [pieces] number of the clip in the corpus
    first_frame: np.ndarray  # [pieces] in the clip
    rows: np.ndarray  # [pieces]

    @property
    def frames(self) -> int:
        return int(self.rows.sum())

    def expand(self, values: np.ndarray) -> np.ndarray:
        """A value (or a row of them) for each piece as one for each frame."""
        return np.repeat(values, self.rows, axis=0)

    def starts(self) -> np.ndarray:
        """First row of each piece."""
        return np.cumsum(self.rows) - self.rows

    def shifted(self, lag: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of rows (t, t + lag) of one piece."""
        piece = self.expand(np.arange(len(self.rows)))
        t = np.arange(max(0, -lag), self.frames - max(0, lag))
        same = piece[t] == piece[t + lag]
        return t[same], t[same] + lag


class Labeled(NamedTuple):
    """The frames of a block that have a label."""

    label: np.ndarray  # [frames] bool
    group: np.ndarray  # [frames] int
    groups: int
    weight: np.ndarray | None = None  # [frames] what a frame counts; 1 if not given


class Block(Protocol):
    """Bins of all features on the frames of some pieces."""

    pieces: Pieces

    def histogram(self, group: np.ndarray, groups: int) -> np.ndarray:
        """Frames of each feature, group and bin, [features, groups, bins]; `group` [frames] is each frame's."""
        ...

    def count(self, features: np.ndarray, lags: np.ndarray, given: Labeled) -> np.ndarray:
        """For each of `features` [n], frames that have a label, by group and by the bin `lags` [n] frames later.

        Args:
            features: which features; one may come twice.
            lags: for each the frames from label to value; a pair that leaves its piece is not counted.
            given: the frames.

        Returns:
            [n, groups, bins] float64. Of a sparse block, bin 0 (silence) is counted as all others are.
        """
        ...

    def dot(self, features: np.ndarray, table: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Sums over frames of table[i, bin of features[i]] * columns[frame]: [n, k], of [n, bins] and [frames, k]."""
        ...


class Dense(Block):
    """Bins [features, frames] uint8."""

    def __init__(self, pieces: Pieces, bins: np.ndarray, count: int) -> None:
        self.pieces = pieces
        self.bins = bins
        self.bin_count = count

    def histogram(self, group: np.ndarray, groups: int) -> np.ndarray:
        features = len(self.bins)
        found = np.empty((features, groups, self.bin_count))
        everything = np.arange(self.pieces.frames)
        for part in _slices(features, self.pieces.frames):
            found[part] = self._counted(self.bins[part], everything, group, groups, None)
        return found

    def count(self, features: np.ndarray, lags: np.ndarray, given: Labeled) -> np.ndarray:
        label, group, groups, weight = given
        found = np.zeros((len(features), groups, self.bin_count))
        for lag in np.unique(lags):
            at, later = self.pieces.shifted(int(lag))
            keep = label[at]
            at, later = at[keep], later[keep]
            chosen = np.flatnonzero(lags == lag)
            for part in _slices(len(chosen), max(len(at), 1)):
                which = chosen[part]
                bins = self.bins[features[which][:, None], later[None, :]]
                found[which] = self._counted(bins, at, group, groups, weight)
        return found

    def _counted(
        self, bins: np.ndarray, rows: np.ndarray, group: np.ndarray, groups: int, weight: np.ndarray | None
    ) -> np.ndarray:
        """bins: [n, rows]. Returns [n, groups, bins]."""
        size = groups * self.bin_count
        key = bins + (group[rows] * self.bin_count).astype(np.int32)[None, :]
        key += (np.arange(len(bins), dtype=np.int32) * size)[:, None]
        weights = None if weight is None else np.broadcast_to(weight[rows], bins.shape).ravel()
        return np.bincount(key.ravel(), weights, len(bins) * size).reshape(len(bins), groups, -1)

    def dot(self, features: np.ndarray, table: np.ndarray, columns: np.ndarray) -> np.ndarray:
        found = np.empty((len(features), columns.shape[1]))
        columns = np.ascontiguousarray(columns, np.float32)
        table = table.astype(np.float32)
        for part in _slices(len(features), self.pieces.frames):
            offset = (np.arange(len(table[part])) * table.shape[1]).astype(np.int32)[:, None]
            values = table[part].ravel().take(self.bins[features[part]] + offset)
            found[part] = values @ columns
        return found


class Sparse(Block):
    """The active bins only: columns row, feature and bin (from 1), in any order."""

    def __init__(self, pieces: Pieces, row: np.ndarray, feature: np.ndarray, bin: np.ndarray, shape: tuple[int, int]):
        self.pieces = pieces
        self.row, self.feature, self.bin = row, feature, bin
        self.features, self.bin_count = shape
        self.order = np.argsort(feature, kind="stable")
        self.starts = np.searchsorted(feature[self.order], np.arange(self.features + 1))

    def _of(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the postings of features [n], and for each the place in `features`."""
        counts = self.starts[features + 1] - self.starts[features]
        which = np.repeat(np.arange(len(features)), counts)
        within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self.order[self.starts[features][which] + within], which

    def histogram(self, group: np.ndarray, groups: int) -> np.ndarray:
        key = (self.feature.astype(np.int64) * groups + group[self.row]) * self.bin_count + self.bin
        found = np.bincount(key, minlength=self.features * groups * self.bin_count).astype(np.float64)
        found = found.reshape(self.features, groups, self.bin_count)
        found[:, :, 0] = np.bincount(group, minlength=groups) - found.sum(2)
        return found

    def count(self, features: np.ndarray, lags: np.ndarray, given: Labeled) -> np.ndarray:
        label, group, groups, weight = given
        weight = np.ones(len(label)) if weight is None else weight
        piece = self.pieces.expand(np.arange(len(self.pieces.rows)))
        posting, which = self._of(features)
        row = self.row[posting]
        at = row - lags[which]
        inside = (at >= 0) & (at < len(label))
        posting, which, row, at = posting[inside], which[inside], row[inside], at[inside]
        keep = label[at] & (piece[at] == piece[row])
        posting, which, at = posting[keep], which[keep], at[keep]
        key = (which * groups + group[at]) * self.bin_count + self.bin[posting]
        size = len(features) * groups * self.bin_count
        found = np.bincount(key, weight[at], size).astype(np.float64)  # of nothing, NumPy counts in integers
        found = found.reshape(len(features), groups, -1)
        for lag in np.unique(lags):
            rows = self.pieces.shifted(int(lag))[0]
            rows = rows[label[rows]]
            total = np.bincount(group[rows], weight[rows], groups)
            found[lags == lag, :, 0] = total - found[lags == lag].sum(2)
        return found

    def dot(self, features: np.ndarray, table: np.ndarray, columns: np.ndarray) -> np.ndarray:
        posting, which = self._of(features)
        value = table[which, self.bin[posting]] - table[which, 0]
        shape = (len(features), self.pieces.frames)
        # float32 sums of a few thousand terms; blocks are added up in float64
        matrix = scipy.sparse.csr_array((value.astype(np.float32), (which, self.row[posting])), shape=shape)
        found = np.asarray(matrix @ columns.astype(np.float32), np.float64)
        return found + table[:, :1] * columns.sum(0)


def _slices(count: int, each: int) -> Iterator[slice]:
    """Slices of `count` things that take `each` numbers, so that a bounded number is in memory."""
    step = max(1, DENSE_KEYS // each)
    for first in range(0, count, step):
        yield slice(first, min(first + step, count))
