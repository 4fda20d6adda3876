"""What a person who looks at a feature asks beside its top clips: bands of events, histograms, traces, neighbours.

Functions on an open `FeatureIndex`; all of them are exact but `companions`, which counts on a sample of frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from freud.activations import SiteActivations
from freud.errors import FreudError
from freud.features.query import Event, FeatureIndex
from freud.saes import SAE

Band = Literal["top", "bottom", "random", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
COMPANION_FRAMES = 2048  # frames on which companions are counted, at most
SAME = 1e-5  # values that differ relatively by less are the same, rounded otherwise


@dataclass(frozen=True)
class EventBand:
    """Some events of a band: how many events the feature has, the extreme peaks of the band, and the events chosen."""

    total: int
    low: float | None
    high: float | None
    events: list[Event]


def event_band(index: FeatureIndex, feature: int, band: Band = "top", n: int = 10, *, seed: int = 0) -> EventBand:
    """Events of a feature by the size of their peak.

    Args:
        index: an open index.
        feature: which.
        band: "top" has the largest peaks and "bottom" the smallest (for neurons, the most negative), each from the
            extreme inwards; "0" to "9" are tenths of the events, 0 with the largest peaks, from which an even choice
            is taken; "random" is a choice from all.
        n: how many at most.
        seed: of the random choice.

    Raises:
        UnknownNameError: no such feature.
        FreudError: no such band, or n below 1.
    """
    if band not in get_args(Band):
        raise FreudError(f"band {band!r}: expected one of {', '.join(get_args(Band))}")
    if n < 1:
        raise FreudError(f"n {n}: expected at least 1")
    index.check(feature)
    peaks = index.columns("SELECT peak FROM events WHERE feature = ? ORDER BY peak DESC", [feature])["peak"]
    total = len(peaks)
    first, last = 0, total  # of the band, in the order of the peaks
    if band.isdigit():
        first, last = (int(band) * total) // 10, ((int(band) + 1) * total) // 10
    count = min(n, last - first)
    if not count:
        return EventBand(total, None, None, [])
    if band == "random":
        places = np.random.default_rng(seed).choice(total, count, replace=False)
    elif band == "top":
        places = np.arange(count)
    elif band == "bottom":
        places = total - 1 - np.arange(count)
    else:
        places = first + (np.arange(count) * (last - first)) // count
    rows = index.sql(
        """
        SELECT c.id, c.name, onset, "offset", peak_frame, peak, place FROM (
            SELECT *, row_number() OVER (ORDER BY peak DESC, clip, onset) - 1 AS place FROM events WHERE feature = ?
            QUALIFY place IN ?
        ) JOIN clips c USING (clip)
        """,
        [feature, places.tolist()],
    )
    rate = index.frames_per_second
    by_place = {
        row[-1]: Event(row[0], row[1], row[2] / rate, row[3] / rate, index.time(row[4]), row[5]) for row in rows
    }
    return EventBand(total, float(peaks[last - 1]), float(peaks[first]), [by_place[place] for place in places.tolist()])


def clip_peaks(index: FeatureIndex, feature: int, *, absolute: bool = False) -> np.ndarray:
    """What a search ranks clips by: the maximum of a feature on every clip that has one, [clips] float32.

    Args:
        index: an open index.
        feature: which.
        absolute: the value of largest magnitude, with its sign, instead.

    Raises:
        UnknownNameError: no such feature.
    """
    index.check(feature)
    columns = index.columns("SELECT max, min, max_frame, min_frame FROM peaks WHERE feature = ?", [feature])
    if not absolute:
        return columns["max"]
    sooner = (-columns["min"] == columns["max"]) & (columns["min_frame"] < columns["max_frame"])
    return np.where((-columns["min"] > columns["max"]) | sooner, columns["min"], columns["max"])


def traces(index: FeatureIndex, feature: int, clips: Sequence[str]) -> list[np.ndarray]:
    """The values of one feature on every frame of several clips, each [frames] float32: `FeatureIndex.trace` of each.

    Raises:
        UnknownNameError: no such feature or clip.
        FreudError: the feature is a neuron and the stored activations are gone.
    """
    index.check(feature)
    found = index.clip_numbers(clips)
    numbers = [found[clip] for clip in clips]
    if index.basis == "neurons":
        return [index.activations.column(clip, feature) for clip in clips]
    lengths = index.columns("SELECT clip, frames FROM clips WHERE clip IN ?", [numbers])
    values = {
        clip: np.zeros(frames, np.float32)
        for clip, frames in zip(lengths["clip"].tolist(), lengths["frames"].tolist(), strict=True)
    }
    active = index.columns(
        "SELECT clip, frame, value FROM postings WHERE feature = ? AND clip IN ?", [feature, numbers]
    )
    for number in set(numbers):
        here = active["clip"] == number
        values[number][active["frame"][here]] = active["value"][here]
    return [values[number] for number in numbers]


def percentile(index: FeatureIndex, feature: int) -> float:
    """The 99th percentile of a feature over the frames on which it is above zero: one unit of `add`.

    Exact for latents; for neurons from the histogram of all frames, to a bin.

    Raises:
        UnknownNameError: no such feature.
        FreudError: it is never above zero.
    """
    index.check(feature)
    if index.basis == "latents":
        ((value,),) = index.sql("SELECT quantile_cont(value, 0.99) FROM postings WHERE feature = ?", [feature])
    else:
        facts = index.statistics(feature)
        edges = np.linspace(facts["histogram_low"], facts["histogram_high"], len(facts["histogram"]) + 1)
        above = np.where(edges[1:] > 0, facts["histogram"], 0)
        value = float(edges[1:][np.searchsorted(np.cumsum(above), 0.99 * above.sum())]) if above.any() else None
    if not value:
        raise FreudError(f"feature {feature}: is never above zero, so it has no 99th percentile; give a raw amount")
    return float(value)


def unusual(index: FeatureIndex, features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How unusual values are for their features: the share of the corpus's clips whose own peak is smaller.

    Magnitudes are compared; a clip on which a latent is silent has a peak of 0. Peaks that differ by rounding alone are
    the same: those of a clip are, when it is uploaded and computed anew.

    Args:
        index: an open index.
        features: [n] which features; each at most once.
        values: [n] a value of each.

    Returns:
        [n] from 0 (every clip reaches this) to 1 (no clip does)
    """
    rows = index.columns(
        """
        SELECT feature, count(*) AS clips FROM peaks
        JOIN (SELECT unnest(?::INT[]) AS feature, unnest(?::FLOAT[]) AS value) USING (feature)
        WHERE greatest(max, -min) >= value GROUP BY feature
        """,
        [features.tolist(), (np.abs(values) * (1 - SAME)).tolist()],
    )
    reached = np.zeros(index.features, np.int64)
    reached[rows["feature"]] = rows["clips"]
    return 1 - reached[features] / max(index.clip_count, 1)


@dataclass(frozen=True)
class Companion:
    """A feature that is active on the same frames as another, or has a similar decoder vector."""

    feature: int
    share: float
    jaccard: float
    lift: float


def companions(index: FeatureIndex, feature: int, n: int = 10, sae: SAE | None = None) -> tuple[int, list[Companion]]:
    """The features that are active on the same frames, by the Jaccard index of their active frames.

    Counted on an even sample of at most 2048 of the feature's active frames, taken from the stored activations; where
    those are gone, on all of them, which reads every posting of the index.

    Args:
        index: an open index.
        feature: which.
        n: how many at most.
        sae: the SAE whose latents are indexed; None for neurons.

    Returns:
        the number of frames that were counted on, and the features, each with the share of those frames on which it is
        active, the Jaccard index, and the share divided by its density.

    Raises:
        UnknownNameError: no such feature.
        FreudError: the features are neurons and the stored activations are gone.
    """
    index.check(feature)
    table = index.columns("SELECT feature, active_frames, threshold_low, threshold_high FROM features ORDER BY feature")
    active = table["active_frames"].astype(np.float64)
    if not active[feature]:
        return 0, []
    if index.basis == "latents" and (sae is None or not index.has_activations):
        sampled = int(active[feature])
        rows = index.columns(
            """
            SELECT b.feature, count(*) AS frames FROM postings b
            JOIN (SELECT clip, frame FROM postings WHERE feature = ?) a USING (clip, frame) GROUP BY b.feature
            """,
            [feature],
        )
        both = np.zeros(index.features)
        both[rows["feature"]] = rows["frames"]
    else:
        frames = _active_frames(index, feature)
        sampled = len(frames)
        if sae is None:
            on = (frames > table["threshold_high"]) | (frames < table["threshold_low"])
            both = on.sum(0).astype(np.float64)
        else:
            both = _count_latents(sae, frames)
    share = both / sampled
    together = share * active[feature]
    jaccard = together / np.maximum(active + active[feature] - together, 1)
    jaccard[feature] = 0
    best = [int(f) for f in np.argsort(-jaccard, kind="stable")[:n] if jaccard[f] > 0]
    density = active / max(index.frames, 1)
    return sampled, [
        Companion(f, float(share[f]), float(min(jaccard[f], 1.0)), float(share[f] / density[f])) for f in best
    ]


@torch.inference_mode()
def _count_latents(sae: SAE, frames: np.ndarray) -> np.ndarray:
    """On how many of the frames [n, d_in] each latent is active, [d_sae]."""
    counts = torch.zeros(sae.d_sae)
    for block in torch.from_numpy(frames).split(512):
        counts += torch.bincount(sae.to_sparse(block).latent, minlength=sae.d_sae)
    return counts.double().numpy()


def _active_frames(index: FeatureIndex, feature: int) -> np.ndarray:
    """The stored activations of an even sample of the frames on which a feature is active, [<= 2048, width] float32."""
    events = index.columns('SELECT clip, onset, "offset" FROM events WHERE feature = ?', [feature])
    lengths = (events["offset"] - events["onset"]).astype(np.int64)
    ends = np.cumsum(lengths)
    wanted = np.unique(np.linspace(0, ends[-1] - 1, min(COMPANION_FRAMES, int(ends[-1]))).round().astype(np.int64))
    event = np.searchsorted(ends, wanted, side="right")
    frame = events["onset"][event] + wanted - (ends - lengths)[event]
    return rows_of(index.activations, events["clip"][event], frame)


def rows_of(stored: SiteActivations, clip: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The stored rows of many (clip number, frame) places, [n, width] float32."""
    pieces = stored.store.pieces
    order = np.lexsort((pieces.first_frame, pieces.clip))
    # Pieces sorted by clip and first frame; the piece of a place is the last one that begins at or before it.
    scale = int(pieces.first_frame.max(initial=0) + pieces.rows.max(initial=0) + frame.max(initial=0) + 1)
    starts = pieces.clip[order].astype(np.int64) * scale + pieces.first_frame[order]
    piece = order[np.searchsorted(starts, clip.astype(np.int64) * scale + frame, side="right") - 1]
    row = pieces.first_row[piece] + frame - pieces.first_frame[piece]
    out = np.empty((len(row), stored.width), np.float32)
    for shard in np.unique(pieces.shard[piece]):
        here = pieces.shard[piece] == shard
        out[here] = stored.shard(int(shard))[torch.from_numpy(row[here])].float().numpy()
    return out
