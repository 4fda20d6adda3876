"""Features as the API shows them: the table, one feature, its clips, events and neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from freud.features import browse
from freud.server import schemas
from freud.server.library import Library
from freud.server.names import SCORES
from freud.server.result import IndexedSite, encoded

pc: Any = pyarrow.compute  # its functions are made when it is imported

BINS = 48  # of the histograms of peaks
_ROW = ("feature", "name", *SCORES, "dead", "density", "active_frames", "clips", "events", "mean", "std", "max", "min")
Range = tuple[float | None, float | None]


def features(
    site: IndexedSite,
    *,
    sort: schemas.Sort,
    ascending: bool,
    dead: schemas.Dead,
    query: str | None,
    ranges: dict[str, Range],
    named: bool | None,
    offset: int,
    n: int,
) -> schemas.FeaturePage:
    """A page of the table of features."""
    table = site.table()
    keep = np.ones(table.num_rows, bool)
    if dead != "include":
        keep &= table["dead"].to_numpy() == (dead == "only")
    for column, (low, high) in ranges.items():
        values = table[column].to_numpy().astype(np.float64)
        keep &= (values >= (-np.inf if low is None else low)) & (values <= (np.inf if high is None else high))
    if named is not None:
        keep &= table["name"].is_valid().to_numpy() == named
    if query:
        found = pc.fill_null(pc.match_substring(table["name"], query, ignore_case=True), False).to_numpy()
        number = query.lstrip("#")
        keep &= found | (table["feature"].to_numpy() == int(number) if number.isascii() and number.isdigit() else False)
    table = table.filter(pa.array(keep))
    order = "ascending" if ascending else "descending"
    sorted_rows = pc.sort_indices(table, sort_keys=[(sort, order, "at_end"), ("feature", "ascending", "at_end")])
    rows = table.take(sorted_rows.slice(offset, n)).to_pylist()
    return schemas.FeaturePage(total=table.num_rows, features=[schemas.FeatureRow(**_row(row)) for row in rows])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `FeatureRow`; a score that is not a number is none."""
    return {name: None if name in SCORES and np.isnan(row[name]) else row[name] for name in _ROW}


def overview(site: IndexedSite) -> schemas.Overview:
    """Every feature that is not dead."""
    table = site.table()
    table = table.filter(pc.invert(table["dead"]))
    return schemas.Overview(**{name: table[name].to_pylist() for name in ("feature", "density", "max", "name")})


def feature(site: IndexedSite, number: int) -> schemas.Feature:
    """Everything known about one feature."""
    statistics = site.index.statistics(number)
    (row,) = site.table().slice(number, 1).to_pylist()
    low = statistics["threshold_low"]
    return schemas.Feature(
        **_row(row),
        threshold_low=low if np.isfinite(low) else None,
        threshold_high=statistics["threshold_high"],
        values=schemas.Histogram(
            low=statistics["histogram_low"], high=statistics["histogram_high"], counts=statistics["histogram"]
        ),
        peaks=_histogram(browse.clip_peaks(site.index, number)),
        magnitudes=_histogram(browse.clip_peaks(site.index, number, absolute=True)),
        naming=site.names.get(number),
    )


def _histogram(values: np.ndarray) -> schemas.Histogram:
    if not len(values):
        return schemas.Histogram(low=0.0, high=0.0, counts=[0] * BINS)
    low, high = float(values.min()), float(values.max())
    place = (values.astype(np.float64) - low) * (BINS / (high - low) if high > low else 0.0)
    counts = np.bincount(np.minimum(place, BINS - 1).astype(np.int64), minlength=BINS)
    return schemas.Histogram(low=low, high=high, counts=counts.tolist())


def rename(site: IndexedSite, number: int, name: str | None, side: schemas.Side) -> schemas.Feature:
    """Give a feature a name of the user's, or take it back."""
    site.index.check(number)
    site.names.set(number, name, side)
    return feature(site, number)


def hits(
    site: IndexedSite,
    library: Library,
    number: int,
    *,
    n: int = 10,
    offset: int = 0,
    min: float | None = None,
    max: float | None = None,
    absolute: bool = False,
    traces: bool = False,
) -> schemas.HitPage:
    """The clips that drive a feature most."""
    index = site.index
    found = index.top(number, n, min=min, max=max, absolute=absolute, offset=offset)
    if not offset and len(found) < n:
        total = len(found)
    else:
        values = browse.clip_peaks(index, number, absolute=absolute).astype(np.float64)
        total = int(
            ((values >= (-np.inf if min is None else min)) & (values <= (np.inf if max is None else max))).sum()
        )
    ids = [hit.clip for hit in found]
    lines: Sequence[np.ndarray | None] = browse.traces(index, number, ids) if traces else [None] * len(ids)
    lengths = durations(site, library, ids)
    return schemas.HitPage(
        total=total,
        hits=[
            schemas.Hit(**vars(hit), duration=lengths[hit.clip], trace=None if line is None else encoded(line))
            for hit, line in zip(found, lines, strict=True)
        ],
    )


def durations(site: IndexedSite, library: Library, clips: Sequence[str]) -> dict[str, float]:
    """The lengths of clips in seconds, by id; to the frame where the corpus is gone."""
    if library.has_corpus:
        return library.durations(clips)
    rows = site.index.sql("SELECT id, frames FROM clips WHERE id IN ?", [list(clips)])
    return {clip: frames / site.index.frames_per_second for clip, frames in rows}


def events(
    site: IndexedSite, library: Library, number: int, *, band: schemas.Band = "top", n: int = 10, seed: int = 0
) -> schemas.EventPage:
    """Events of a band."""
    index = site.index
    found = browse.event_band(index, number, band, n, seed=seed)
    ids = list(dict.fromkeys(event.clip for event in found.events))
    lengths = durations(site, library, ids)
    numbers = index.clip_numbers(ids)
    tiers = index.tiers_at([(numbers[event.clip], event.peak_time) for event in found.events])
    return schemas.EventPage(
        total=found.total,
        band=band,
        low=found.low,
        high=found.high,
        events=[
            schemas.Event(**vars(event), duration=lengths[event.clip], tiers=heard)
            for event, heard in zip(found.events, tiers, strict=True)
        ],
    )


def neighbours(site: IndexedSite, number: int, n: int) -> schemas.Neighbours:
    """Features with a similar decoder vector, and those active on the same frames."""
    site.index.check(number)
    similar = []
    if site.decoder is not None:
        cosine = site.decoder @ site.decoder[number]
        cosine[number] = -np.inf
        best = np.argsort(-cosine, kind="stable")[: min(n, len(cosine) - 1)].tolist()
        similar = [schemas.SimilarFeature(feature=f, name=site.names.text(f), cosine=float(cosine[f])) for f in best]
    frames, found = browse.companions(site.index, number, n, site.sae)
    together = [schemas.CompanionFeature(**vars(each), name=site.names.text(each.feature)) for each in found]
    return schemas.Neighbours(decoder=similar, together=together, frames=frames)
