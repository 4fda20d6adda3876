"""From recordings on disk to a corpus: find the clips, then look into each file (`looking`).

A recording that cannot be used is left out and reported with its reason; so is a label file that cannot be
read. The tables depend on the recordings' names, headers and labels, not on where they lie or on the day.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from freud import artifacts
from freud.audio import AUDIO_SUFFIXES
from freud.corpus.layouts import LAYOUTS, choose
from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.looking import write
from freud.corpus.sidecars import elsewhere
from freud.corpus.table import CLIPS, SEGMENTS, Corpus
from freud.corpus.tree import Source
from freud.corpus.unused import unused_files
from freud.errors import FreudError

KIND = "corpus"

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
            facts = write(opened.root, plan, clips_file, segments_file, workers)
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
    facts = write(source.root, _plan(source, layout), clips, segments, None)
    files = {CLIPS: clips.getbuffer(), SEGMENTS: segments.getbuffer()}
    listed = {n: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for n, data in files.items()}
    content = {
        "kind": KIND,
        "parameters": {"layout": layout},
        "files": listed,
    }  # what artifacts.finish identifies by
    manifest = {**content, **facts, "fingerprint": artifacts.fingerprint(content)}
    return Corpus(None, source.root, manifest, _table(clips), lambda: _table(segments))


def _table(file: io.BytesIO) -> pa.Table:
    """Read Parquet from memory, in this thread alone.

    Arrow's own threads may still hold a file or buffer of Python's when the interpreter ends, and then abort it or hang
    (github.com/apache/arrow, issues 33975 and 34314).
    """
    return pq.ParquetFile(file, pre_buffer=False).read(use_threads=False)


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
    items: dict[tuple[str, float, float | None, int], Item] = {}
    listed = {item.path for item in plan.items}
    for item in plan.items:
        item = replace(item, path=source.on_disk(item.path))
        try:
            item.path.encode()
        except UnicodeEncodeError:
            name = item.path.encode(errors="replace").decode()
            plan.problems.append({"path": name, "reason": "its name is not valid UTF-8; rename it"})
            continue
        key = (item.path, item.offset, item.duration, -1 if item.channel is None else item.channel)
        if key in items:
            reason = f"{item.where}: listed before at {items[key].where.rpartition(' ')[2]}; the first is kept"
            plan.problems.append({"path": item.path, "reason": reason})
        elif not item.where and (original := str(PurePosixPath(item.path).with_suffix(""))) in listed:
            reason = f"left out as a copy of {PurePosixPath(original).name}, whose name it has with another suffix"
            plan.problems.append({"path": item.path, "reason": reason})
        else:
            items[key] = item
    plan.items = [items[key] for key in sorted(items, key=lambda key: (key[0], key[1], key[2] or 0.0, key[3]))]
    if labels is not None:
        _add_labels(plan, _open_source(labels))
    if source.file is None:
        used = listed | {item.path for item in plan.items} | set(plan.tables)
        used |= {sidecar.path for item in plan.items for sidecar in item.sidecars}
        _report_unused(plan, source, used, tables=bool(plan.tables))
    return plan


def _add_labels(plan: Plan, tree: Source) -> None:
    """Give every clip the label files of its recording that lie in a tree of their own."""
    sidecars = elsewhere(tree.root, tree.files, {item.path: None for item in plan.items})
    if not sidecars:
        raise FreudError(f"{tree.root}: no label file in it has the name of a recording")
    plan.items = [replace(item, sidecars=(*item.sidecars, *sidecars.get(item.path, ()))) for item in plan.items]
    plan.problems += tree.problems
    without = sum(item.path not in sidecars for item in plan.items)
    if without:
        plan.problems.append({"path": str(tree.root), "reason": f"{without} clips have no label file in it"})
    used = {os.path.relpath(sidecar.path, tree.root) for rows in sidecars.values() for sidecar in rows}
    _report_unused(plan, tree, used, tables=False)


def _report_unused(plan: Plan, tree: Source, used: set[str], tables: bool) -> None:
    """Name every file of a tree that became neither a clip nor its label nor a table."""
    names = [name for name in tree.files if name not in used]
    plan.unused += len(names)
    plan.problems += unused_files(names, {item.path for item in plan.items}, tables)


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
