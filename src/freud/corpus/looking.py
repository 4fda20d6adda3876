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

from freud.audio import AudioError, AudioInfo, probe
from freud.corpus.channels import DEFAULT, channel_name, channel_numbers
from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.sidecars import joined_words
from freud.corpus.table import CLIP_SCHEMA, SEGMENT_SCHEMA
from freud.corpus.tiers import Interval, read_labels
from freud.errors import FreudError

_BATCH = 1024  # clips in a row group
_SLACK = 0.05  # seconds by which a listed clip may overrun its file before it is an error: tables round

ChannelLabels = list[tuple[str, Interval]]  # the name of a channel, "" if none, and a label


@dataclass
class _Opened:
    """An item of the plan that was looked into: its clips, none if it cannot be used."""

    clips: list[tuple[dict[str, Any], list[Interval]]] = field(default_factory=list)
    """The row of each clip, without its id, and its labels."""
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
    with (
        ThreadPoolExecutor(workers) as pool,
        pq.ParquetWriter(clips, CLIP_SCHEMA, compression="zstd") as clip_writer,
        pq.ParquetWriter(segments, SEGMENT_SCHEMA, compression="zstd") as segment_writer,
    ):
        for items in _batched(plan.items, _BATCH):
            table_labels = [_table_labels(plan, item) for item in items]
            clip_rows: list[dict[str, Any]] = []
            columns: list[list[Any]] = [[] for _ in SEGMENT_SCHEMA]
            for item, opened in zip(items, pool.map(functools.partial(_open, root), items, table_labels), strict=True):
                problems += opened.problems
                if plan.labels and opened.clips:
                    plan.labels.claim(*_names(item))
                for row, intervals in opened.clips:
                    clip_id = _new_id(item, row["channel"], ids)
                    clip_rows.append({"id": clip_id, **row})
                    seconds += row["duration"]
                    for interval in intervals:
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
    for table, names in plan.labels.unclaimed() if plan.labels else ():
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        problems.append({"path": table, "reason": f"has labels that are of no recording here: {shown}"})
    problems = list({(p["path"], p["reason"]): p for p in problems}.values())  # clips of one recording say the same
    return {"clips": count, "hours": round(seconds / 3600, 6), "unused": plan.unused, "problems": problems}


def _table_labels(plan: Plan, item: Item) -> ChannelLabels:
    """The labels of a clip's recording from tables over many."""
    return plan.labels.get(*_names(item)) if plan.labels else []


def _names(item: Item) -> list[str]:
    """What a table over many recordings may call a clip's, the first that it has."""
    pure = PurePosixPath(item.path)
    return [*item.keys, str(pure.with_suffix("")), pure.stem]


def _open(root: Path, item: Item, table_labels: ChannelLabels) -> _Opened:
    """Open a recording for its length and rate, and read its label files."""
    opened = _Opened()
    path = root / item.path
    lost = ", ".join(sidecar.path for sidecar in item.sidecars)
    try:
        info = probe(path)
        lost = ""
        end = info.duration if item.duration is None else min(item.offset + item.duration, info.duration)
        if item.offset >= info.duration or end < item.offset + (item.duration or 0) - _SLACK:
            ends = item.offset + (item.duration or 0)
            raise AudioError(f"{path}: lasts {info.duration:.2f} s; the clip is from {item.offset:g} s to {ends:g} s")
        lone = item.lone_channel and info.channels == 1
        if item.channel is not None and item.channel >= info.channels and not lone:
            raise AudioError(f"{path}: has {info.channels} channels; the clip is channel {item.channel}, from 0")
    except AudioError as error:
        reason = str(error).removeprefix(f"{path}: ")
        where = f"{item.where}: " if item.where else ""
        labels = f"; nor are its labels used: {lost}" if lost else ""
        opened.problems.append({"path": item.path, "reason": f"{where}{reason}{labels}"})
        return opened
    opened.problems += [{"path": item.path, "reason": note} for note in info.notes]
    transcript, labels = _read_sidecars(root, item, info, opened.problems)
    labels = [*table_labels, *labels]
    numbers = channel_numbers(name for name, _ in labels if name)
    channels = [None if lone else item.channel]
    if item.channel is None:
        channels = _channels(item, info.channels, numbers, opened.problems)
    for channel in channels:
        named = channel is not None and set(numbers) != DEFAULT
        intervals = [row for name, row in labels if not named or numbers.get(name) in {None, channel}]
        if labels and not intervals:
            reason = f"its {len(labels)} labels are of other channels than {channel}, counted from 0"
            opened.problems.append({"path": item.path, "reason": f"{item.where}: {reason}" if item.where else reason})
        if item.offset or item.duration is not None:
            intervals = _cut(intervals, item.offset, end)
        intervals = sorted(dict.fromkeys(intervals), key=lambda interval: interval[:3])  # two files may agree
        row = {
            "path": item.path,
            "offset": item.offset,
            "duration": end - item.offset,
            "sample_rate": info.sample_rate,
            "transcript": transcript or joined_words(intervals),
            "class": item.label,
            "speaker": item.speaker,
            "split": item.split,
            "sex": item.sex,
            "channel": channel,
        }
        opened.clips.append((row, intervals))
    return opened


def _read_sidecars(
    root: Path, item: Item, info: AudioInfo, problems: list[dict[str, str]]
) -> tuple[str | None, ChannelLabels]:
    """A clip's transcript and the labels of its recording from the files beside it."""
    transcript, labels = item.transcript, ChannelLabels()
    source = f"that of {item.where}" if item.where else "that of the layout's table"
    for sidecar in item.sidecars:
        path = root / sidecar.path
        try:
            file = read_labels(path, sidecar.tier, info.duration, info.sample_rate, PurePosixPath(item.path).stem)
        except FreudError as error:
            what = f"tier {sidecar.tier} skipped" if sidecar.tier else "labels skipped"
            problems.append({"path": sidecar.path, "reason": f"{what}: {str(error).removeprefix(f'{path}: ')}"})
            continue
        problems += [{"path": sidecar.path, "reason": problem} for problem in file.problems]
        if file.transcript and transcript and file.transcript.split() != transcript.split():
            problems.append({"path": sidecar.path, "reason": f"another transcript; {source} is kept"})
        elif file.transcript:
            transcript, source = file.transcript, f"that of {sidecar.path}"
        last = max((interval.end for interval in file.intervals), default=0.0)
        if last > info.duration + 1:
            reason = f"its labels run to {last:.1f} s, but the recording ends at {info.duration:.1f} s"
            problems.append({"path": sidecar.path, "reason": reason})
        own = "" if sidecar.channel is None else channel_name(sidecar.channel)
        labels += zip(file.channels or [own] * len(file.intervals), file.intervals, strict=True)
    return transcript, labels


def _channels(
    item: Item, count: int, numbers: dict[str, int | None], problems: list[dict[str, str]]
) -> list[int | None]:
    """The channels of a recording that become clips: each by itself where labels tell them apart, else their mean."""
    if count == 1 or not numbers:
        return [None]
    if set(numbers) == DEFAULT:
        reason = f"its labels all name channel 1, as tools do by default; they are used for the mean of its {count}"
    elif unknown := [name for name, number in numbers.items() if number is None or number >= count]:
        reason = f"its labels name channel {unknown[0]!r}; it has {count}, of which the mean is used"
    else:
        return list(range(count))
    problems.append({"path": item.path, "reason": reason})
    return [None]


def _cut(intervals: list[Interval], start: float, end: float) -> list[Interval]:
    """The intervals of a file that reach into a part of it, in seconds from the part's start."""
    return [
        Interval(tier, max(left, start) - start, min(right, end) - start, label)
        for tier, left, right, label in intervals
        if left < end and (right > start or left == right == start)
    ]


def _new_id(item: Item, channel: int | None, ids: set[str]) -> str:
    """Twelve hexadecimal digits from the path, the cut and the channel; from a salted path if those are taken."""
    key = item.path if not item.offset and item.duration is None else f"{item.path}\0{item.offset!r}\0{item.duration!r}"
    key += "" if channel is None else f"\0channel {channel}"
    for salt in itertools.count():
        clip_id = hashlib.sha256(f"{key}\0{salt}".encode() if salt else key.encode()).hexdigest()[:12]
        if clip_id not in ids:
            ids.add(clip_id)
            return clip_id
    raise AssertionError


def _batched(items: list[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
