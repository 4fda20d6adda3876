"""The columns of the index, and how a block of postings becomes peaks, events and statistics.

A posting is one active (feature, clip, frame, value). Everything here takes postings sorted by feature, then clip,
then frame, as NumPy columns, and works on whole columns at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

BINS = 64  # of a feature's histogram

POSTINGS = pa.schema([("feature", pa.int32()), ("clip", pa.int32()), ("frame", pa.int32()), ("value", pa.float32())])
PEAKS = pa.schema(
    [
        ("feature", pa.int32()),
        ("clip", pa.int32()),
        ("max", pa.float32()),
        ("max_frame", pa.int32()),
        ("min", pa.float32()),
        ("min_frame", pa.int32()),
    ]
)
EVENTS = pa.schema(
    [
        ("feature", pa.int32()),
        ("clip", pa.int32()),
        ("onset", pa.int32()),  # first active frame
        ("offset", pa.int32()),  # one past the last active frame
        ("peak_frame", pa.int32()),
        ("peak", pa.float32()),
    ]
)
FEATURES = pa.schema(
    [
        ("feature", pa.int32()),
        ("name", pa.string()),
        ("dead", pa.bool_()),  # never active on any of the indexed frames
        ("active_frames", pa.int64()),
        ("density", pa.float64()),  # active frames / all frames
        ("clips", pa.int64()),  # clips with an active frame
        ("events", pa.int64()),
        ("mean", pa.float64()),  # over all frames; an inactive frame of a latent counts as 0
        ("std", pa.float64()),
        ("max", pa.float32()),
        ("min", pa.float32()),
        ("threshold_low", pa.float32()),  # a frame is active when its value is above threshold_high
        ("threshold_high", pa.float32()),  # or below threshold_low
        ("histogram_low", pa.float32()),  # edges of the first and last bin
        ("histogram_high", pa.float32()),
        ("histogram", pa.list_(pa.int64(), BINS)),  # frames a bin; for latents, active frames only
    ]
)


class Postings(NamedTuple):
    """Columns of equal length, sorted by feature, clip and frame."""

    feature: np.ndarray
    clip: np.ndarray
    frame: np.ndarray
    value: np.ndarray


def sort_by_feature(postings: Postings, first: int, last: int) -> Postings:
    """Postings of features first..last-1 in any order of features, stably sorted by feature.

    Stable, so (clip, frame) order within a feature is kept; a radix sort where the range of features fits 16 bits.
    """
    key = postings.feature - first
    if last - first <= 2**16:
        key = key.astype(np.uint16)
    order = np.argsort(key, kind="stable")
    return Postings(*(column[order] for column in postings))


def runs(*changes: np.ndarray) -> np.ndarray:
    """Start positions of the runs between positions where any of `changes` [n - 1] is true."""
    boundary = np.logical_or.reduce(changes)
    return np.concatenate(([0], np.flatnonzero(boundary) + 1))


def first_extreme(values: np.ndarray, starts: np.ndarray, largest: bool) -> np.ndarray:
    """Position of the first largest (or smallest) value of each run."""
    reduce = np.maximum if largest else np.minimum
    lengths = np.diff(starts, append=len(values))
    extreme = np.repeat(reduce.reduceat(values, starts), lengths)
    candidates = np.flatnonzero(values == extreme)
    run = np.repeat(np.arange(len(starts)), lengths)[candidates]
    return candidates[np.concatenate(([True], run[1:] != run[:-1]))]


def peaks(postings: Postings) -> dict[str, np.ndarray]:
    """The largest and smallest active value of each (feature, clip), as columns of PEAKS."""
    if not len(postings.feature):
        return {name: np.zeros(0) for name in PEAKS.names}
    starts = runs(np.diff(postings.feature) != 0, np.diff(postings.clip) != 0)
    top = first_extreme(postings.value, starts, largest=True)
    bottom = first_extreme(postings.value, starts, largest=False)
    return {
        "feature": postings.feature[starts],
        "clip": postings.clip[starts],
        "max": postings.value[top],
        "max_frame": postings.frame[top],
        "min": postings.value[bottom],
        "min_frame": postings.frame[bottom],
    }


def events(postings: Postings) -> dict[str, np.ndarray]:
    """Maximal runs of consecutive active frames of one sign, as columns of EVENTS."""
    if not len(postings.feature):
        return {name: np.zeros(0) for name in EVENTS.names}
    starts = runs(
        np.diff(postings.feature) != 0,
        np.diff(postings.clip) != 0,
        np.diff(postings.frame) != 1,
        np.diff(np.signbit(postings.value)),
    )
    peak = first_extreme(np.abs(postings.value), starts, largest=True)
    last = np.append(starts[1:], len(postings.frame)) - 1
    return {
        "feature": postings.feature[starts],
        "clip": postings.clip[starts],
        "onset": postings.frame[starts],
        "offset": postings.frame[last] + 1,
        "peak_frame": postings.frame[peak],
        "peak": postings.value[peak],
    }


def count_by_feature(feature: np.ndarray, first: int, last: int) -> np.ndarray:
    """How many rows each of features first..last-1 has."""
    return np.bincount(feature - first, minlength=last - first)


def histogram(
    feature: np.ndarray, value: np.ndarray, first: int, last: int, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Counts [last - first, BINS] of values in equal bins from a feature's low to its high; others in the end bins."""
    row = feature - first
    column = _bin(value, low[row], _bins_per_unit(low, high)[row])
    return np.bincount(row * BINS + column, minlength=(last - first) * BINS).reshape(-1, BINS)


def dense_histogram(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The same of values [frames, features], one for every feature: counts [features, BINS]."""
    column = _bin(values, low, _bins_per_unit(low, high))
    column += np.arange(len(low)) * BINS
    return np.bincount(column.ravel(), minlength=len(low) * BINS).reshape(-1, BINS)


def _bins_per_unit(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    span = (high - low).astype(np.float64)
    return np.divide(BINS, span, out=np.zeros_like(span), where=span > 0)


def _bin(value: np.ndarray, low: np.ndarray, per_unit: np.ndarray) -> np.ndarray:
    position = (value - low) * per_unit
    return np.clip(position, 0, BINS - 1, out=position).astype(np.int64)
