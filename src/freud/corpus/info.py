"""What a corpus holds, in numbers: hours, speakers, classes, splits, tiers, sample rates and problems."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from freud.corpus.table import Corpus


@dataclass(frozen=True)
class Tier:
    """A tier of a corpus."""

    name: str
    clips: int
    """Clips that have it."""
    intervals: int
    labels: int
    """Different labels."""
    hours: float
    """That its intervals cover, overlaps counted twice."""
    common: list[str]
    """The most frequent labels, at most ten."""


@dataclass(frozen=True)
class Group:
    """Clips of one class, split, sex or sample rate."""

    name: str | int | None
    clips: int
    hours: float


@dataclass(frozen=True)
class Info:
    """What a corpus holds."""

    path: Path | None
    root: Path
    layout: str
    fingerprint: str
    clips: int
    hours: float
    shortest: float
    """Seconds."""
    longest: float
    speakers: int
    transcribed: int
    labeled: int
    """Clips that have a class."""
    classes: list[Group]
    splits: list[Group]
    sexes: list[Group]
    sample_rates: list[Group]
    tiers: list[Tier]
    unused: int
    """Files of the folder that became neither clips nor labels; `problems` names them."""
    problems: list[dict[str, str]]


def info(corpus: Corpus) -> Info:
    """Count what is in the tables of a corpus; no recording is opened."""
    table = corpus.table
    durations = table["duration"].to_numpy()
    return Info(
        path=corpus.path,
        root=corpus.root,
        layout=corpus.layout,
        fingerprint=corpus.fingerprint,
        clips=len(corpus),
        hours=corpus.hours,
        shortest=float(durations.min()),
        longest=float(durations.max()),
        speakers=len(table["speaker"].unique().drop_null()),
        transcribed=len(corpus) - table["transcript"].null_count,
        labeled=len(corpus) - table["class"].null_count,
        classes=_groups(table, "class"),
        splits=_groups(table, "split"),
        sexes=_groups(table, "sex") if "sex" in table.column_names else [],
        sample_rates=_groups(table, "sample_rate"),
        tiers=_tiers(corpus.segment_table),
        unused=corpus.unused,
        problems=corpus.problems,
    )


def _groups(table: pa.Table, column: str) -> list[Group]:
    """The values of a column, the most frequent first; a value that no clip has anything of is left out."""
    counted = table.group_by(column).aggregate([("duration", "count"), ("duration", "sum")]).to_pylist()
    rows: list[dict[str, Any]] = sorted(counted, key=lambda row: (-row["duration_count"], str(row[column])))
    if all(row[column] is None for row in rows):
        return []
    return [Group(row[column], row["duration_count"], row["duration_sum"] / 3600) for row in rows]


def _tiers(segments: pa.Table) -> list[Tier]:
    counts = [("clip_id", "count_distinct"), ("label", "count"), ("label", "count_distinct")]
    rows = segments.group_by("tier").aggregate([*counts, ("start", "sum"), ("end", "sum")]).sort_by("tier").to_pylist()
    labels = segments.group_by(["tier", "label"]).aggregate([("start", "count")])
    labels = labels.sort_by([("start_count", "descending"), ("label", "ascending")])
    common: dict[str, list[str]] = {}
    for tier, label in zip(labels["tier"].to_pylist(), labels["label"].to_pylist(), strict=True):
        if len(first := common.setdefault(tier, [])) < 10:
            first.append(label)
    return [
        Tier(
            row["tier"],
            row["clip_id_count_distinct"],
            row["label_count"],
            row["label_count_distinct"],
            (row["end_sum"] - row["start_sum"]) / 3600,
            common[row["tier"]],
        )
        for row in rows
    ]
