"""Exact queries on an index, through DuckDB on its Parquet files.

The files are sorted by feature, so a query about one feature reads one or two row groups however large the index is.
Ranking follows the published search: clips by the maximum of a feature, with optional limits on it; with "absolute",
by the largest magnitude, with the limits on the signed value at that frame.
"""

from __future__ import annotations

import contextlib
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from freud import artifacts
from freud.activations import SiteActivations
from freud.activations import read as read_activations
from freud.artifacts import Artifact, parquet_table
from freud.errors import DamagedFileError, FreudError, UnknownNameError

KIND = "index"
_UNREADABLE = (duckdb.OperationalError, duckdb.InternalError, duckdb.DataError, duckdb.InvalidInputException)
Sort = Literal["density", "max", "name", "feature"]


@dataclass(frozen=True)
class Hit:
    """A clip found by a search.

    Attributes:
        rank: from 1.
        clip: id of the clip.
        name: name of the clip, for people.
        value: value of the feature at its peak.
        frame: frame of the peak. time: its middle, in seconds from the start of the clip.
        transcript, label, speaker: what the corpus knows of the clip, or None.
        tiers: the label of each tier at that time, such as {"phones": "m", "words": "mother"}.
    """

    rank: int
    clip: str
    name: str
    value: float
    frame: int
    time: float
    transcript: str | None
    label: str | None
    speaker: str | None
    tiers: dict[str, str]


@dataclass(frozen=True)
class ActiveFeature:
    """A feature found on a clip: its largest magnitude there, and when."""

    rank: int
    feature: int
    value: float
    frame: int
    time: float


@dataclass(frozen=True)
class Event:
    """A maximal run of frames in which a feature is active. Times in seconds from the start of the clip."""

    clip: str
    name: str
    onset: float
    offset: float
    peak_time: float
    peak: float


class FeatureIndex:
    """An open index. Safe to use from several threads."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.path = artifact.path
        facts = artifact.manifest
        self.site: str = facts["parameters"]["site"]
        self.model: str = facts["parameters"]["model"]
        self.basis: Literal["neurons", "latents"] = facts["parameters"]["basis"]
        self.features: int = facts["features"]
        self.frames: int = facts["frames"]
        self.frames_per_second: float = facts["frames_per_second"]
        self._database = duckdb.connect(":memory:")
        self._database.execute("SET parquet_metadata_cache = true; SET enable_progress_bar = false")
        self._unopened = {name.removesuffix(".parquet") for name in facts["files"]}
        self._opening = threading.Lock()
        self._local = threading.local()
        self._named = False

    @property
    def bytes(self) -> int:
        """Size of the index on disk."""
        return sum(file["bytes"] for file in self.artifact.manifest["files"].values())

    def sql(self, query: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run SQL over the views `features`, `peaks`, `events`, `clips`, `segments` and, for latents, `postings`.

        Raises:
            DamagedFileError: a file of the index is cut short or altered.
        """
        return self._query(query, parameters)[1]

    def columns(self, query: str, parameters: list[Any] | None = None) -> dict[str, np.ndarray]:
        """What `sql` finds, as a NumPy array a column.

        Raises:
            DamagedFileError: a file of the index is cut short or altered.
        """
        with self._executed(query, parameters) as cursor:
            return {name: np.asarray(column) for name, column in cursor.fetchnumpy().items()}

    def _query(self, query: str, parameters: list[Any] | None = None) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names of the columns, and the rows."""
        with self._executed(query, parameters) as cursor:
            return [column[0] for column in cursor.description or ()], cursor.fetchall()

    @contextlib.contextmanager
    def _executed(self, query: str, parameters: list[Any] | None) -> Iterator[duckdb.DuckDBPyConnection]:
        """This thread's cursor, with the result of a query to fetch."""
        try:
            with self._opening:
                self._open_tables(query)
                if not hasattr(self._local, "cursor"):
                    self._local.cursor = self._database.cursor()
            yield self._local.cursor.execute(query, parameters or [])
        except _UNREADABLE as error:
            reason = str(error).splitlines()[0]
            raise DamagedFileError(f"{self.path}: damaged ({reason}); delete it and run `freud index` again") from None

    def _open_tables(self, query: str) -> None:
        """Check the files of the tables that a query names, each once, so that it waits for no other file."""
        for name in sorted(self._unopened.intersection(re.findall(r"\w+", query.lower()))):
            table = parquet_table(self.artifact.file(f"{name}.parquet"))
            self._database.execute(f"CREATE VIEW {name} AS SELECT * FROM {table}")
            self._unopened.discard(name)

    def check(self, feature: int) -> None:
        """Refuse a feature that does not exist.

        Raises:
            UnknownNameError: it does not; the message gives the range.
        """
        if not 0 <= feature < self.features:
            raise UnknownNameError(f"feature {feature}: {self.site} has {self.basis} 0 to {self.features - 1}")

    def top(
        self,
        feature: int,
        n: int = 10,
        *,
        min: float | None = None,
        max: float | None = None,
        absolute: bool = False,
        offset: int = 0,
    ) -> list[Hit]:
        """The clips that drive a feature most, strongest first; clips on which a latent is silent are not listed.

        Args:
            feature: which.
            n: how many clips at most.
            min: least value, inclusive.
            max: largest value, inclusive.
            absolute: rank by magnitude; the limits still apply to the signed value, so `max=0` finds the strongest
                negative activations.
            offset: how many to leave out at the start.

        Raises:
            UnknownNameError: no such feature.
            FreudError: n below 1, or limits that exclude every value.
        """
        self.check(feature)
        _check_count(n)
        if min is not None and max is not None and min > max:
            raise FreudError(f"min {min:g} is above max {max:g}; no value lies between them")
        # Of two frames with the same magnitude the first is the peak, whichever its sign.
        negative = "-min > max OR (-min = max AND min_frame < max_frame)" if absolute else "false"
        rows = self.sql(
            f"""
            SELECT c.clip, c.id, c.name, p.value, p.frame, c.transcript, c.class, c.speaker
            FROM (
                SELECT clip, CASE WHEN {negative} THEN min ELSE max END AS value,
                       CASE WHEN {negative} THEN min_frame ELSE max_frame END AS frame
                FROM peaks WHERE feature = ?
            ) p JOIN clips c USING (clip)
            WHERE p.value >= ? AND p.value <= ?
            ORDER BY {"abs(p.value)" if absolute else "p.value"} DESC, p.clip
            LIMIT ? OFFSET ?
            """,
            [feature, -np.inf if min is None else min, np.inf if max is None else max, n, offset],
        )
        tiers = self.tiers_at([(row[0], self.time(row[4])) for row in rows])
        return [
            Hit(rank, clip, name, value, frame, self.time(frame), transcript, label, speaker, heard)
            for rank, ((_, clip, name, value, frame, transcript, label, speaker), heard) in enumerate(
                zip(rows, tiers, strict=True), offset + 1
            )
        ]

    def tiers_at(self, places: list[tuple[int, float]]) -> list[dict[str, str]]:
        """For each (clip number, seconds), the label of every tier there."""
        found: list[dict[str, str]] = [{} for _ in places]
        rows = self.sql(
            'SELECT clip, tier, start, "end", label FROM segments WHERE clip IN ?', [[c for c, _ in places]]
        )
        by_clip: dict[int, list[tuple[str, float, float, str]]] = {}
        for clip, *segment in rows:
            by_clip.setdefault(clip, []).append(tuple(segment))
        for labels, (clip, time) in zip(found, places, strict=True):
            labels.update({tier: label for tier, start, end, label in by_clip.get(clip, []) if start <= time < end})
        return found

    def time(self, frame: int) -> float:
        """Middle of a frame, in seconds."""
        return round((frame + 0.5) / self.frames_per_second, 4)

    def clip_number(self, clip: str) -> int:
        """The number that stands for a clip id in the tables.

        Raises:
            UnknownNameError: no such clip.
        """
        return self.clip_numbers([clip])[clip]

    def clip_numbers(self, clips: Sequence[str]) -> dict[str, int]:
        """The number of each of several clip ids.

        Raises:
            UnknownNameError: there is no clip of that id.
        """
        found = dict(self.sql("SELECT id, clip FROM clips WHERE id IN ?", [list(clips)]))
        for clip in clips:
            if clip not in found:
                raise UnknownNameError(f"clip {clip!r}: not in {self.path}; ids are in its clips.parquet")
        return found

    def trace(self, feature: int, clip: str) -> np.ndarray:
        """The values of a feature on every frame of a clip, [frames] float32.

        Raises:
            UnknownNameError: no such feature or clip.
            FreudError: the feature is a neuron and the stored activations are gone.
        """
        self.check(feature)
        number = self.clip_number(clip)
        if self.basis == "neurons":
            return self.activations.column(clip, feature)
        ((length,),) = self.sql("SELECT frames FROM clips WHERE clip = ?", [number])
        values = np.zeros(length, np.float32)
        active = self.sql("SELECT frame, value FROM postings WHERE feature = ? AND clip = ?", [feature, number])
        if active:
            frames, at_frames = zip(*active, strict=True)
            values[list(frames)] = at_frames
        return values

    def clip_features(
        self, clip: str, n: int = 10, *, start: float | None = None, end: float | None = None
    ) -> list[ActiveFeature]:
        """The features with the largest magnitudes on a clip, or on the frames of a span of it.

        Args:
            clip: its id.
            n: how many at most.
            start: start of a span in seconds; the start of the clip if not given.
            end: its end; the end of the clip if not given.

        Raises:
            UnknownNameError: no such clip.
            FreudError: an empty span, or the features are neurons and the stored activations are gone.
        """
        _check_count(n)
        number = self.clip_number(clip)
        ((length,),) = self.sql("SELECT frames FROM clips WHERE clip = ?", [number])
        first, last = self.span(start, end, length)
        if self.basis == "neurons":
            values = self.activations.clip(clip)[first:last].numpy()
            frames = np.abs(values).argmax(0)
            peaks = values[frames, np.arange(self.features)]
            best = np.argsort(-np.abs(peaks), kind="stable")[:n]
            rows = [(int(f), float(peaks[f]), first + int(frames[f])) for f in best]
        elif (first, last) == (0, length):
            query = "SELECT feature, max, max_frame FROM peaks WHERE clip = ? ORDER BY max DESC, feature LIMIT ?"
            rows = self.sql(query, [number, n])
        else:
            rows = self._peaks_within(number, first, last, n)
        return [
            ActiveFeature(rank, feature, value, frame, self.time(frame))
            for rank, (feature, value, frame) in enumerate(rows, 1)
        ]

    def _peaks_within(self, clip: int, first: int, last: int, n: int) -> list[tuple[int, float, int]]:
        """The n latents that are largest on frames first..last of a clip: feature, value, frame.

        The postings are sorted by feature, so few features are looked up: one whose peak on the clip lies within has
        it there, too, and any other is at most as large there as its peak. In the order of those peaks they are looked
        up, twice as many each time, until n values are larger than all that is left can be. Asking for every feature
        reads every posting.
        """
        peaks = self.columns("SELECT feature, max, max_frame FROM peaks WHERE clip = ? ORDER BY max DESC", [clip])
        within = (peaks["max_frame"] >= first) & (peaks["max_frame"] < last)
        found = [tuple(row) for row in zip(*(column[within].tolist() for column in peaks.values()), strict=True)]
        left, bound = peaks["feature"][~within].tolist(), peaks["max"][~within].tolist()
        at, count = 0, 2 * n
        while at < len(left):
            found = sorted(found, key=lambda row: (-row[1], row[0]))[:n]
            if len(found) == n and found[-1][1] > bound[at]:
                break
            some = ", ".join(map(str, left[at : at + count]))
            found += self.sql(
                f"""
                SELECT feature, value, frame FROM postings
                WHERE feature IN ({some}) AND clip = ? AND frame >= ? AND frame < ?
                QUALIFY row_number() OVER (PARTITION BY feature ORDER BY value DESC, frame) = 1
                """,
                [clip, first, last],
            )
            at, count = at + count, 2 * count
        return sorted(found, key=lambda row: (-row[1], row[0]))[:n]

    def span(self, start: float | None, end: float | None, length: int) -> tuple[int, int]:
        """The frames of a clip of `length` frames that the seconds start..end reach into: first, one past the last."""
        seconds = length / self.frames_per_second
        start, end = 0.0 if start is None else start, seconds if end is None else end
        if not (0 <= start < end and start < seconds):  # also false for NaN
            raise FreudError(f"span {start:g}..{end:g} s: expected a span within the clip's 0..{seconds:.2f} s")
        slack = 1e-6  # of a frame: 0.58 * 50 is a little under 29
        return (
            math.floor(start * self.frames_per_second + slack),
            math.ceil(min(end, seconds) * self.frames_per_second - slack),
        )

    def events(self, feature: int, n: int = 10) -> list[Event]:
        """The strongest events of a feature.

        Raises:
            UnknownNameError: no such feature.
            FreudError: n below 1.
        """
        self.check(feature)
        _check_count(n)
        rows = self.sql(
            """
            SELECT c.id, c.name, onset, "offset", peak_frame, peak FROM events JOIN clips c USING (clip)
            WHERE feature = ? ORDER BY abs(peak) DESC, events.clip, onset LIMIT ?
            """,
            [feature, n],
        )
        rate = self.frames_per_second
        return [
            Event(clip, name, onset / rate, offset / rate, self.time(frame), peak)
            for clip, name, onset, offset, frame, peak in rows
        ]

    def statistics(self, feature: int) -> dict[str, Any]:
        """The row of the `features` table: counts, mean, extremes, thresholds and histogram.

        Raises:
            UnknownNameError: no such feature.
        """
        self.check(feature)
        return self._features("WHERE feature = ?", [feature])[0]

    def thresholds(self, feature: int) -> tuple[float, float]:
        """A frame is active when its value is below the first or above the second.

        Raises:
            UnknownNameError: no such feature.
        """
        self.check(feature)
        return self.sql("SELECT threshold_low, threshold_high FROM features WHERE feature = ?", [feature])[0]  # pyright: ignore[reportReturnType]

    def table(self, *, sort: Sort = "density", n: int | None = None, dead: bool = False) -> list[dict[str, Any]]:
        """Rows of the `features` table, without histograms, largest first (names and numbers: smallest first).

        Args:
            sort: column to sort by.
            n: how many at most.
            dead: include features that were never active.

        Raises:
            FreudError: n below 1, or no such column to sort by.
        """
        order = {
            "density": "density DESC",
            "max": "max DESC",
            "name": "name NULLS LAST",
            "feature": "feature",
        }
        if sort not in order:
            raise FreudError(f"sort {sort!r}: expected one of {', '.join(order)}")
        where = "" if dead else "WHERE NOT dead"
        if n is not None:
            _check_count(n)
        limit = "" if n is None else f"LIMIT {n}"
        return self._features(f"{where} ORDER BY {order[sort]}, feature {limit}", [], leave_out="EXCLUDE (histogram)")

    def count_dead(self) -> int:
        """Number of features never active on any indexed frame."""
        return self.sql("SELECT count(*) FROM features WHERE dead")[0][0]

    def show_names(self, names: Mapping[int, str]) -> None:
        """Show these names in the column `name` of what `table` and `statistics` give; the index itself is not changed.

        Args:
            names: by feature.
        """
        rows = pa.table({"feature": pa.array(names.keys(), pa.int32()), "given": pa.array(names.values(), pa.string())})
        with self._opening:
            self._database.register("given_names", rows)
            self._database.execute("CREATE OR REPLACE TABLE named AS SELECT * FROM given_names")  # seen by all cursors
            self._database.unregister("given_names")
            self._named = True

    def _features(self, clause: str, parameters: list[Any], leave_out: str = "") -> list[dict[str, Any]]:
        source = _NAMED if self._named else "features"
        names, rows = self._query(f"SELECT * {leave_out} FROM {source} {clause}", parameters)
        return [dict(zip(names, row, strict=True)) for row in rows]

    @cached_property
    def clip_count(self) -> int:
        """Number of clips that were indexed."""
        return self.sql("SELECT count(*) FROM clips WHERE frames > 0")[0][0]

    @property
    def has_activations(self) -> bool:
        """Whether the activations that were indexed are still there."""
        return self._store_path.is_dir()

    @property
    def _store_path(self) -> Path:
        recorded = self.artifact.manifest["store"]
        beside = (self.path / recorded["beside"]).resolve()
        return beside if recorded["beside"] and beside.is_dir() else Path(recorded["path"] or "missing activations")

    @cached_property
    def activations(self) -> SiteActivations:
        """The activations that were indexed.

        Raises:
            FreudError: they are gone, or others are in their place.
        """
        path = self._store_path
        activations = read_activations(path)
        if activations.manifest["fingerprint"] != self.artifact.manifest["parameters"]["activations"]:
            raise FreudError(f"{path}: not the activations that {self.path} was made from; run `freud index` again")
        return activations[self.site]


_NAMED = "(SELECT f.* REPLACE (coalesce(given, name) AS name) FROM features f LEFT JOIN named USING (feature))"


def _check_count(n: int) -> None:
    if n < 1:
        raise FreudError(f"top {n}: expected at least 1")


def read(path: Path | str) -> FeatureIndex:
    """Open a folder written by `index`.

    Raises:
        FreudError: there is no finished index at `path`.
    """
    return FeatureIndex(artifacts.read(path, KIND))
