"""Hugging Face's `audiofolder`: `metadata.csv`, `.jsonl` or `.parquet` with a column `file_name`; or SPLIT/CLASS/file.

Tables may lie in the folder or in those of its splits, and name files relative to themselves. Columns that are used:
transcription, transcript, text or sentence; label, class or category; speaker_id, speaker or client_id; sex or gender.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from freud.corpus.layouts.plan import Item, Plan, below, rows, sex
from freud.corpus.sidecars import beside
from freud.corpus.tiers import open_text
from freud.corpus.tree import Source
from freud.errors import FreudError

_TABLE = re.compile(r"(?:[^/]+/)?metadata\.(csv|jsonl|parquet)$")
_SPLIT = re.compile(r"(train|training|valid|validation|val|dev|test|testing|eval|evaluation)$", re.IGNORECASE)
_COLUMNS = (  # of a transcript, a class, a speaker and the speaker's sex
    ("transcription", "transcript", "text", "sentence"),
    ("label", "class", "category"),
    ("speaker_id", "speaker", "client_id"),
    ("sex", "gender"),
)


def matches(source: Source) -> bool:
    """A folder with such a table, or with folders of splits that hold two classes or more and nothing else."""
    if source.file is not None:
        return False
    if any(_has_names(source.root / name) for name in _tables(source)):
        return True
    parts = [PurePosixPath(path).parts for path in source.audio]
    classes = {part[1] for part in parts if len(part) == 3}
    return len(classes) > 1 and all(len(part) == 3 and _SPLIT.match(part[0]) for part in parts)


def plan(source: Source) -> Plan:
    """Every row of the tables is a clip; without tables, every recording, with the folder it is in for its class.

    Raises:
        FreudError: a table cannot be read, or names a file outside of the folder.
    """
    tables = [name for name in _tables(source) if _has_names(source.root / name)]
    if not tables:
        return Plan([_by_folder(path) for path in source.audio])
    items = []
    for table in tables:
        folder = PurePosixPath(table).parent
        for line, row in _rows(source.root / table):
            where = f"{table} line {line}"
            path = below(source.root, str(folder / str(row["file_name"])), where)
            said, label, speaker, its_sex = (_first(row, columns) for columns in _COLUMNS)
            split = row.get("split") or _split(path)
            items.append(Item(path, said, label, speaker, split, sex(its_sex), where=where))
    labels = beside(source.root, {item.path: None for item in items})
    return Plan([replace(item, sidecars=labels.get(item.path, ())) for item in items], tables=tables)


def _tables(source: Source) -> list[str]:
    return [name for name in source.files if _TABLE.match(name)]


def _has_names(path: Path) -> bool:
    try:
        if path.suffix == ".parquet":
            return "file_name" in pq.read_schema(path).names
        with open_text(path) as file:
            return "file_name" in file.readline(10_000)
    except (FreudError, pa.ArrowInvalid, OSError):
        return False


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix == ".csv":
        yield from rows(path, {"file_name"})
    elif path.suffix == ".parquet":
        number = 0
        for batch in pq.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield number, row
    else:
        with open_text(path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                    if not isinstance(row["file_name"], str):
                        raise ValueError
                except (ValueError, KeyError, TypeError):
                    raise FreudError(f"{path}: line {number}: expected a JSON object with file_name") from None
                yield number, row


def _first(row: dict[str, Any], columns: tuple[str, ...]) -> str | None:
    found = next((row[name] for name in columns if row.get(name) not in (None, "")), None)
    return None if found is None else str(found).strip()


def _split(path: str) -> str | None:
    top = PurePosixPath(path).parts[0]
    return top if "/" in path and _SPLIT.match(top) else None


def _by_folder(path: str) -> Item:
    folders = PurePosixPath(path).parts[:-1]
    split = _split(path)
    classes = folders[1:] if split else folders
    return Item(path, label=classes[-1] if classes else None, split=split)
