"""From recordings on disk to a corpus: find the clips, look into each file, write the two tables.

A recording that cannot be used is left out and reported with its reason; so is a label file that cannot be
read. The tables depend on the recordings' names, headers and labels, not on where they lie or on the day.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from freud import artifacts
from freud.audio import AUDIO_SUFFIXES, AudioError, probe
from freud.corpus.layouts import LAYOUTS, choose
from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.sidecars import elsewhere, joined_words
from freud.corpus.table import CLIP_SCHEMA, CLIPS, SEGMENT_SCHEMA, SEGMENTS, Corpus
from freud.corpus.tiers import Interval, read_labels
from freud.corpus.tree import Source
from freud.errors import FreudError

KIND = "corpus"
_BATCH = 1024  # clips in a row group
_SLACK = 0.05  # seconds by which a listed clip may overrun its file before it is an error: tables round

PathLike = str | os.PathLike[str]


def import_corpus(
    source: PathLike,
    out: PathLike,
    *,
    layout: str = "auto",
    labels: PathLike | None = None,
    workers: int | None = None,
) -> Corpus:
    """Import recordings into a folder with `clips.parquet`, `segments.parquet` and a manifest.

    The recordings stay where they are. If `out` already holds this very corpus, it is opened as it is.

    Args:
        source: a folder, a table (.csv, .tsv) or one recording.
        out: the folder to write.
        layout: how the source is arranged: one of `LAYOUTS`, or "auto" to find out.
        labels: a folder of label files that do not lie beside the recordings, as an aligner writes them; each
            belongs to the recording of the same path, or else of the same name.
        workers: threads that look into files; by default two a processor.

    Raises:
        FreudError: there is nothing to import, a table is wrong, or `out` holds something else or an older
            state of the source.
    """
    out = Path(out)
    opened = _open_source(source)
    layout = choose(opened, layout)
    plan = _plan(opened, layout, labels)
    parameters = {"layout": layout}
    state = {"root": str(opened.root), "source": _state(opened.root, plan)}
    finished = artifacts.begin(out, KIND, parameters)
    if finished is not None:
        root = finished.manifest["root"]
        advice = "delete it or choose another --out"
        if root != state["root"]:
            raise FreudError(f"{out}: was imported from {root}; {advice}")
        if finished.manifest["source"] != state["source"]:
            raise FreudError(f"{out}: holds an older state of {root}: files have changed; {advice}")
        return _open(finished, opened.root)
    try:
        with (
            artifacts.replacing(out / CLIPS) as clips,
            artifacts.replacing(out / SEGMENTS) as segments,
            clips.open("wb") as clips_file,
            segments.open("wb") as segments_file,
        ):
            facts = _write(opened.root, plan, clips_file, segments_file, workers)
    except FreudError:
        for name in (CLIPS, SEGMENTS, artifacts.UNFINISHED):
            (out / name).unlink(missing_ok=True)
        if not any(out.iterdir()):
            out.rmdir()
        raise
    return _open(artifacts.finish(out, KIND, parameters, [CLIPS, SEGMENTS], **state, **facts), opened.root)


def read(path: PathLike, *, root: PathLike | None = None) -> Corpus:
    """Open a corpus: a folder written by `import_corpus`, or anything that it would import, in memory.

    Args:
        path: the corpus; or a folder of recordings, a table or one recording.
        root: where the recordings are now, if they have moved since the import.

    Raises:
        FreudError: there is nothing there, the corpus is unfinished or damaged, or nothing can be imported.
    """
    path = Path(path)
    if (path / artifacts.MANIFEST).is_file() or (path / artifacts.UNFINISHED).is_file():
        artifact = artifacts.read(path, KIND)
        return _open(artifact, Path(root or artifact.manifest["root"]))
    source = _open_source(path)
    layout = choose(source, "auto")
    clips, segments = io.BytesIO(), io.BytesIO()
    facts = _write(source.root, _plan(source, layout), clips, segments, None)
    files = {CLIPS: clips.getbuffer(), SEGMENTS: segments.getbuffer()}
    listed = {n: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for n, data in files.items()}
    content = {
        "kind": KIND,
        "parameters": {"layout": layout},
        "files": listed,
    }  # what artifacts.finish identifies by
    manifest = {**content, **facts, "fingerprint": artifacts.fingerprint(content)}
    return Corpus(None, source.root, manifest, pq.read_table(clips), lambda: pq.read_table(segments))


def _open(artifact: artifacts.Artifact, root: Path) -> Corpus:
    clips = pq.read_table(artifact.file(CLIPS))
    return Corpus(artifact.path, root, artifact.manifest, clips, lambda: pq.read_table(artifact.file(SEGMENTS)))


# ---- what there is to import


def _open_source(source: PathLike) -> Source:
    path = Path(os.path.abspath(source))
    if path.is_dir():
        return Source(path)
    if not path.exists():
        raise FreudError(f"{source}: no such file or folder; expected recordings or a corpus")
    return Source(path.parent, path.name)


def _plan(source: Source, layout: str, labels: PathLike | None = None) -> Plan:
    """The clips in their order, each once, and everything wrong that is known without opening them."""
    plan = LAYOUTS[layout].plan(source)
    if not plan.items:
        folder = source.root / (source.file or "")
        raise FreudError(f"{folder}: no recordings found; looked for {', '.join(sorted(AUDIO_SUFFIXES))}")
    plan.problems = [*source.problems, *plan.problems]
    items: dict[tuple[str, float, float | None], Item] = {}
    for item in plan.items:
        try:
            item.path.encode()
        except UnicodeEncodeError:
            name = item.path.encode(errors="replace").decode()
            plan.problems.append({"path": name, "reason": "its name is not valid UTF-8; rename it"})
            continue
        key = (item.path, item.offset, item.duration)
        if key in items:
            reason = f"{item.where}: listed before at {items[key].where.rpartition(' ')[2]}; the first is kept"
            plan.problems.append({"path": item.path, "reason": reason})
        else:
            items[key] = item
    plan.items = [items[key] for key in sorted(items, key=lambda key: (key[0], key[1], key[2] or 0.0))]
    if labels is not None:
        _add_labels(plan, _open_source(labels))
    return plan


def _add_labels(plan: Plan, tree: Source) -> None:
    """Give every clip the label files of its recording that lie in a tree of their own."""
    found = elsewhere(tree.root, tree.files, {item.path: None for item in plan.items})
    if not found:
        raise FreudError(f"{tree.root}: no label file in it has the name of a recording")
    plan.items = [replace(item, sidecars=(*item.sidecars, *found.get(item.path, ()))) for item in plan.items]
    plan.problems += tree.problems
    without = sum(item.path not in found for item in plan.items)
    if without:
        plan.problems.append({"path": str(tree.root), "reason": f"{without} clips have no label file in it"})


def _state(root: Path, plan: Plan) -> str:
    """Changes when a file that goes into the corpus does, by names, sizes and times."""
    digest = hashlib.sha256()
    names = {item.path for item in plan.items}
    names.update(sidecar.path for item in plan.items for sidecar in item.sidecars)
    for name in sorted(names.union(plan.tables)):
        try:
            stat = os.stat(root / name)
            digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
        except OSError:
            digest.update(f"{name}\0absent\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


# ---- looking into the files


@dataclass
class _Found:
    """A clip that was looked into: its row, or None if it cannot be used."""

    row: dict[str, Any] | None = None
    intervals: list[Interval] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)


def _write(root: Path, plan: Plan, clips: BinaryIO, segments: BinaryIO, workers: int | None) -> dict[str, Any]:
    """Look into every clip and write both tables; return the facts for the manifest."""
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
            text, intervals = read_labels(
                root / sidecar.path, sidecar.tier, info.duration, info.sample_rate, PurePosixPath(item.path).stem
            )
        except FreudError as error:
            reason = str(error).removeprefix(f"{root / sidecar.path}: ")
            what = f"tier {sidecar.tier} skipped" if sidecar.tier else "labels skipped"
            found.problems.append({"path": sidecar.path, "reason": f"{what}: {reason}"})
            continue
        transcript = transcript or text
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
