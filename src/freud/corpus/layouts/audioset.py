"""AudioSet: tables of segments (`# YTID, start_seconds, end_seconds, positive_labels`), files named by YTID.

The recordings are the segments, already cut, as AudioSet's downloaders write them: `YTID.wav`, `YYTID.wav` or
`YTID_30000.flac`. With `class_labels_indices.csv` the labels get their names; several are joined with "; ".
"""

from __future__ import annotations

import csv
from pathlib import PurePosixPath

from freud.corpus.layouts.plan import Item, Plan, rows
from freud.corpus.tiers import read_text
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
        FreudError: there is no segment table, or a row of it makes no sense.
    """
    tables = _tables(source)
    if not tables:
        raise FreudError(f"{source.root}: no segment table; AudioSet's start with '# YTID, start_seconds, ...'")
    names = {}
    if (source.root / _NAMES).is_file():
        names = {row["mid"]: row["display_name"] for _, row in rows(source.root / _NAMES, {"mid", "display_name"})}
    listed: dict[str, tuple[str, str, str]] = {}  # YTID -> label, split, table
    for table in tables:
        split = PurePosixPath(table).stem.removesuffix("_segments")
        lines = read_text(source.root / table).splitlines()
        for number, row in enumerate(csv.reader(lines, skipinitialspace=True), 1):
            if not row or row[0].startswith("#"):
                continue
            if len(row) < 4:
                raise FreudError(f"{source.root / table}: line {number}: expected YTID, start, end, labels")
            label = "; ".join(names.get(mid.strip(), mid.strip()) for mid in row[3].split(","))
            listed[row[0]] = (label, split, table)
    items, found = [], set()
    for path in source.audio:
        key = _key(PurePosixPath(path).stem, listed)
        label, split, _ = listed[key] if key else (None, None, "")
        items.append(Item(path, label=label, split=split))
        found.add(key)
    problems = []
    for table in tables:
        rows_here = [key for key, value in listed.items() if value[2] == table]
        absent = sum(key not in found for key in rows_here)
        if absent:
            reason = f"{absent} of its {len(rows_here)} rows have no recording here"
            problems.append({"path": table, "reason": reason})
    return Plan(items, tables=[*tables, *([_NAMES] if names else [])], problems=problems)


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


def _key(stem: str, listed: dict[str, tuple[str, str, str]]) -> str | None:
    """The YTID that a recording is named by."""
    for candidate in (stem, stem[1:] if stem[:1] == "Y" else stem):
        for key in (candidate, candidate[:_ID_LENGTH]):
            if key in listed:
                return key
    return None
