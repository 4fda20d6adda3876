"""Look into every recording of a plan and write the two tables of a corpus.

A recording is opened for its length and rate and its label files are read; what cannot be used is left out, with its
reason. Rows are written a thousand clips at a time, so memory does not grow with the corpus.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from freud.audio import AudioError, probe
from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.sidecars import joined_words
from freud.corpus.table import CLIP_SCHEMA, SEGMENT_SCHEMA
from freud.corpus.tiers import Interval, read_labels
from freud.errors import FreudError

_BATCH = 1024  # clips in a row group
_SLACK = 0.05  # seconds by which a listed clip may overrun its file before it is an error: tables round


@dataclass
class _Found:
    """A clip that was looked into: its row, or None if it cannot be used."""

    row: dict[str, Any] | None = None
    intervals: list[Interval] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)


def write(root: Path, plan: Plan, clips: BinaryIO, segments: BinaryIO, workers: int | None) -> dict[str, Any]:
    """Look into every clip and write both tables; return the facts for the manifest.

    Args:
        root: the folder that paths are relative to.
        plan: the clips.
        clips: the file for `clips.parquet`.
        segments: the file for `segments.parquet`.
        workers: threads that look into files; by default two a processor.

    Raises:
        FreudError: none of the recordings can be used.
    """
    count, seconds, problems, ids = 0, 0.0, list(plan.problems), set()
    workers = workers or 2 * (os.cpu_count() or 1)
    look = functools.partial(_look, root)
    with (
        ThreadPoolExecutor(workers) as pool,
        pq.ParquetWriter(clips, CLIP_SCHEMA, compression="zstd") as clip_writer,
        pq.ParquetWriter(segments, SEGMENT_SCHEMA, compression="zstd") as segment_writer,
    ):
        for items in _batched(plan.items, _BATCH):
            given = [_given(plan, item) for item in items]
            clip_rows: list[dict[str, Any]] = []
            columns: list[list[Any]] = [[] for _ in SEGMENT_SCHEMA]
            for item, found in zip(items, pool.map(look, items, given), strict=True):
                problems += found.problems
                if found.row is None:
                    continue
                clip_id = _new_id(item, ids)
                clip_rows.append({"id": clip_id, **found.row})
                seconds += found.row["duration"]
                for interval in found.intervals:
                    for column, value in zip(columns, (clip_id, *interval), strict=True):
                        column.append(value)
            clip_writer.write_batch(pa.RecordBatch.from_pylist(clip_rows, CLIP_SCHEMA))
            segment_writer.write_batch(
                pa.RecordBatch.from_arrays(
                    [pa.array(column, kind) for column, kind in zip(columns, SEGMENT_SCHEMA.types, strict=True)],
                    schema=SEGMENT_SCHEMA,
                )
            )
            count += len(clip_rows)
    if not count:
        first = problems[len(plan.problems)] if len(problems) > len(plan.problems) else problems[0]
        reason = f"{first['path']}: {first['reason']}"
        raise FreudError(f"{root}: none of {len(plan.items)} recordings can be used; the first: {reason}")
    return {"clips": count, "hours": round(seconds / 3600, 6), "problems": problems}


def _given(plan: Plan, item: Item) -> list[Interval]:
    """The labels of a clip's recording from tables over many."""
    if plan.labels is None:
        return []
    pure = PurePosixPath(item.path)
    return plan.labels.get(*item.keys, str(pure.with_suffix("")), pure.stem)


def _look(root: Path, item: Item, given: list[Interval]) -> _Found:
    """Open a recording for its length and rate, and read its label files."""
    found = _Found(intervals=given)
    path = root / item.path
    try:
        info = probe(path)
        end = info.duration if item.duration is None else min(item.offset + item.duration, info.duration)
        if item.offset >= info.duration or end < item.offset + (item.duration or 0) - _SLACK:
            ends = item.offset + (item.duration or 0)
            raise AudioError(f"{path}: lasts {info.duration:.2f} s; the clip is from {item.offset:g} s to {ends:g} s")
    except AudioError as error:
        reason = str(error).removeprefix(f"{path}: ")
        found.problems.append({"path": item.path, "reason": f"{item.where}: {reason}" if item.where else reason})
        return found
    duration = end - item.offset
    transcript = item.transcript
    for sidecar in item.sidecars:
        try:
            labels = read_labels(
                root / sidecar.path, sidecar.tier, info.duration, info.sample_rate, PurePosixPath(item.path).stem
            )
        except FreudError as error:
            reason = str(error).removeprefix(f"{root / sidecar.path}: ")
            what = f"tier {sidecar.tier} skipped" if sidecar.tier else "labels skipped"
            found.problems.append({"path": sidecar.path, "reason": f"{what}: {reason}"})
            continue
        found.problems += [{"path": sidecar.path, "reason": problem} for problem in labels.problems]
        transcript = transcript or labels.transcript
        intervals = labels.intervals
        last = max((interval[2] for interval in intervals), default=0.0)
        if last > info.duration + 1:
            reason = f"its labels run to {last:.1f} s, but the recording ends at {info.duration:.1f} s"
            found.problems.append({"path": sidecar.path, "reason": reason})
        found.intervals += intervals
    if item.offset or item.duration is not None:
        found.intervals = _cut(found.intervals, item.offset, end)
    found.intervals = sorted(dict.fromkeys(found.intervals), key=lambda interval: interval[:3])  # two files may agree
    found.row = {
        "path": item.path,
        "offset": item.offset,
        "duration": duration,
        "sample_rate": info.sample_rate,
        "transcript": transcript or joined_words(found.intervals),
        "class": item.label,
        "speaker": item.speaker,
        "split": item.split,
        "sex": item.sex,
    }
    return found


def _cut(intervals: list[Interval], start: float, end: float) -> list[Interval]:
    """The intervals of a file that reach into a part of it, in seconds from the part's start."""
    return [
        Interval(tier, max(left, start) - start, min(right, end) - start, label)
        for tier, left, right, label in intervals
        if left < end and (right > start or left == right == start)
    ]


def _new_id(item: Item, ids: set[str]) -> str:
    """Twelve hexadecimal digits from the path and the cut; from a salted path if those are taken."""
    key = item.path if not item.offset and item.duration is None else f"{item.path}\0{item.offset!r}\0{item.duration!r}"
    for salt in itertools.count():
        clip_id = hashlib.sha256(f"{key}\0{salt}".encode() if salt else key.encode()).hexdigest()[:12]
        if clip_id not in ids:
            ids.add(clip_id)
            return clip_id
    raise AssertionError


def _batched(items: list[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
