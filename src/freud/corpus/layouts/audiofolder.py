"""Hugging Face's `audiofolder`: `metadata.csv`, `.jsonl` or `.parquet` with a column `file_name`; or SPLIT/CLASS/file.

Tables may lie in the folder or in those of its splits, and name files relative to themselves. Columns that are used:
transcription, transcript, text or sentence; label, class or category; speaker_id, speaker or client_id; sex or gender.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from freud.corpus.layouts.plan import Item, Plan, below, rows, sex, unused_columns
from freud.corpus.sidecars import beside
from freud.corpus.tiers import open_text
from freud.corpus.tiers.records import Faults
from freud.corpus.tree import Source
from freud.errors import FreudError

_TABLE = re.compile(r"(?:[^/]+/)?metadata\.(csv|jsonl|parquet)$")
_SPLIT = re.compile(r"(train|training|valid|validation|val|dev|test|testing|eval|evaluation)$", re.IGNORECASE)
_COLUMNS = (  # of a transcript, a class, a speaker, the speaker's sex and the split
    ("transcription", "transcript", "text", "sentence"),
    ("label", "class", "category"),
    ("speaker_id", "speaker", "client_id"),
    ("sex", "gender"),
    ("split",),
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
        FreudError: a table cannot be read, has no row that can be used, or names a file outside of the folder.
    """
    tables = [name for name in _tables(source) if _has_names(source.root / name)]
    result = Plan([] if tables else [_by_folder(path) for path in source.audio], tables=tables)
    for name in set(_tables(source)).difference(tables):
        result.report(name, ["it is not used: it has no column file_name"])
    for table in tables:
        folder, faults, used, names = PurePosixPath(table).parent, Faults(), 0, dict[str, None]()
        for line, row in _rows(source.root / table, faults):
            where = f"{table} line {line}"
            names.update(dict.fromkeys(row))
            try:
                name, (transcript, label, speaker, its_sex, split) = _text(row["file_name"]), _values(row)
            except ValueError as error:
                faults.add(line, str(error))
                continue
            if not name:
                faults.add(line, "no file_name")
                continue
            path = below(source.root, str(folder / name), where)
            result.items.append(
                Item(path, transcript, label, speaker, split or _split(path), sex(its_sex), where=where)
            )
            used += 1
        if faults and not used:
            raise FreudError(f"{source.root / table}: {faults.sentences()[0]}")
        known = {"file_name"}.union(*_COLUMNS)
        result.report(table, [*faults.sentences(), *unused_columns(names, known)])
    labels = beside(source.root, {item.path: None for item in result.items})
    result.items = [replace(item, sidecars=labels.get(item.path, ())) for item in result.items]
    return result


def _tables(source: Source) -> list[str]:
    return [name for name in source.files if _TABLE.match(name)]


def _has_names(path: Path) -> bool:
    """Whether a table has the column; a Parquet file that cannot be read counts, so that it is refused by name."""
    try:
        if path.suffix == ".parquet":
            return "file_name" in pq.read_schema(path).names
        with open_text(path) as file:
            first = file.readline(10_000) if path.suffix == ".csv" else file.read(100_000)
            return "file_name" in first.lower()
    except pa.ArrowInvalid:
        return True
    except (FreudError, OSError):
        return False


def _rows(path: Path, faults: Faults) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix == ".csv":
        yield from rows(path, {"file_name"}, faults)
    elif path.suffix == ".parquet":
        number = 0
        try:
            for batch in pq.ParquetFile(path).iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise FreudError(f"{path}: row {number + 1}: not Parquet that can be read: {reason}") from None
    else:
        with open_text(path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                    if not isinstance(row["file_name"], str):
                        raise ValueError
                except (ValueError, KeyError, TypeError, RecursionError):
                    faults.add(number, "expected a JSON object with file_name")
                else:
                    yield number, row


def _values(row: dict[str, Any]) -> list[str | None]:
    """Transcript, class, speaker, sex and split of a row.

    Raises:
        ValueError: one of them is no text; the message says which.
    """
    values = []
    for columns in _COLUMNS:
        texts = ((name, row[name]) for name in columns if name in row)
        values.append(next((text for name, value in texts if (text := _text(value, name))), None))
    return values


def _text(value: Any, name: str = "file_name") -> str | None:
    """A value as text; several joined with "; ", and None for an empty one.

    Raises:
        ValueError: it is something else, or holds characters that no text has.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, list):
        return "; ".join(filter(None, (_text(part, name) for part in value))) or None
    if not isinstance(value, str | int | float):
        raise ValueError(f"{name} is no text but {type(value).__name__}")
    text = str(value).strip()
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError(f"{name} holds characters that are no text")
    return text or None


def _split(path: str) -> str | None:
    top = PurePosixPath(path).parts[0]
    return top if "/" in path and _SPLIT.match(top) else None


def _by_folder(path: str) -> Item:
    folders = PurePosixPath(path).parts[:-1]
    split = _split(path)
    classes = folders[1:] if split else folders
    return Item(path, label=classes[-1] if classes else None, split=split)
