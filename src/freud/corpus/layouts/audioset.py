"""AudioSet: tables of segments (`# YTID, start_seconds, end_seconds, positive_labels`), files named by YTID.

The recordings are the segments, already cut, as AudioSet's downloaders write them: `YTID.wav`, `YYTID.wav` or
`YTID_30000.flac`. With `class_labels_indices.csv` the labels get their names; several are joined with "; ".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from freud.corpus.layouts.plan import Item, Plan, absent_rows, rows
from freud.corpus.tiers import open_text
from freud.corpus.tiers.records import Faults, Shape, records
from freud.corpus.tiers.times import is_time
from freud.corpus.tree import Source
from freud.errors import FreudError

_NAMES = "class_labels_indices.csv"
_ID_LENGTH = 11


def matches(source: Source) -> bool:
    """A segment table, or a folder that has one at its top."""
    return bool(_tables(source))


def plan(source: Source) -> Plan:
    """Every recording is a clip, labeled if a table lists it; rows without a recording are a problem.

    Raises:
        FreudError: there is no segment table, or none of its rows makes sense.
    """
    tables = _tables(source)
    if not tables:
        raise FreudError(f"{source.root}: no segment table; AudioSet's start with '# YTID, start_seconds, ...'")
    result = Plan([], tables=tables)
    names = {}
    if (source.root / _NAMES).is_file():
        faults = Faults()
        table = rows(source.root / _NAMES, {"mid", "display_name"}, faults)
        names = {row["mid"]: row["display_name"] for _, row in table}
        result.tables = [*tables, _NAMES]
        result.report(_NAMES, faults.sentences())
    listed: dict[str, _Row] = {}
    counts: dict[str, int] = {}
    for table in tables:
        faults = Faults()
        for row in _rows(source, table, faults):
            counts[table] = counts.get(table, 0) + 1
            if listed.setdefault(row.key, row).labels != row.labels:
                faults.add(row.line, f"{row.key} was listed before with other labels; the first are kept")
        result.report(table, faults.sentences())
    reached = set()
    for path in source.audio:
        key = _key(PurePosixPath(path).stem, listed)
        row = listed[key] if key else None
        label = "; ".join(names.get(mid, mid) for mid in row.labels) if row else None
        split = PurePosixPath(row.table).stem.removesuffix("_segments") if row else None
        result.items.append(Item(path, label=label, split=split))
        reached.add(key)
    for table in tables:
        absent = [row.line for key, row in listed.items() if row.table == table and key not in reached]
        result.report(table, absent_rows(absent, counts.get(table, 0)))
    return result


class _Row(NamedTuple):
    """A row of a segment table."""

    key: str
    """The YTID."""
    labels: tuple[str, ...]
    table: str
    line: int


def _rows(source: Source, table: str, faults: Faults) -> Iterator[_Row]:
    """The rows of a segment table; those that make no sense are added to the faults.

    Raises:
        FreudError: none of them makes sense.
    """
    used = False
    with open_text(source.root / table) as file:
        for record in records(("" if line.startswith("#") else line for line in file), Shape(",", 4)):
            fields = record.fields or ["", "", "", ""]
            if record.problem or not (fields[0].strip() and is_time(fields[1]) and is_time(fields[2])):
                faults.add(
                    record.line, f"expected YTID, start, end, labels{f' ({p})' if (p := record.problem) else ''}"
                )
                continue
            used = True
            yield _Row(fields[0].strip(), tuple(filter(None, map(str.strip, fields[3].split(",")))), table, record.line)
    if faults and not used:
        raise FreudError(f"{source.root / table}: {faults.sentences()[0]}")


def _tables(source: Source) -> list[str]:
    if source.file is not None:
        candidates = [source.file]
    else:
        candidates = sorted(path.name for path in source.root.iterdir() if path.suffix.lower() == ".csv")
    return [name for name in candidates if name.lower().endswith(".csv") and _is_table(source, name)]


def _is_table(source: Source, name: str) -> bool:
    try:
        with open(source.root / name, "rb") as table:
            return any(line.startswith(b"# YTID") for line in table.read(1000).splitlines()[:5])
    except OSError:
        return False


def _key(stem: str, listed: Mapping[str, object]) -> str | None:
    """The YTID that a recording is named by."""
    for candidate in (stem, stem[1:] if stem[:1] == "Y" else stem):
        for key in (candidate, candidate[:_ID_LENGTH]):
            if key in listed:
                return key
    return None
