"""A table that lists the recordings: a .csv or .tsv file, or a folder with a `manifest.csv`.

Columns: `path` (relative to the table), and if present `transcript`, `class` or `label`, `speaker`, `sex` or
`gender`, `split`, `segments` (label files beside the recording, separated by semicolons), `offset` and `duration` in
seconds for clips that are parts of a file, and `channel`, from 0, for those that are one channel of it. Other columns
are not used, which is reported.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

from freud.corpus.layouts.plan import Item, Plan, rows, sex, unused_columns
from freud.corpus.sidecars import Sidecar, beside
from freud.corpus.tiers.records import Faults
from freud.corpus.tiers.times import parse_time
from freud.corpus.tree import Source
from freud.errors import FreudError

MANIFEST = "manifest.csv"
_COLUMNS = frozenset(
    {"path", "transcript", "class", "label", "speaker", "sex", "gender", "split", "segments", "offset", "duration"}
    | {"channel"}
)


def matches(source: Source) -> bool:
    """A table with the column `path`, or a folder with a manifest.csv."""
    if source.file is None:
        return (source.root / MANIFEST).is_file()
    if not source.file.lower().endswith((".csv", ".tsv")):
        return False
    with open(source.root / source.file, "rb") as table:
        return not table.read(200).lstrip(b"\xef\xbb\xbf").startswith(b"#")  # AudioSet's tables start so


def plan(source: Source) -> Plan:
    """Every row is a clip.

    Raises:
        FreudError: the table cannot be read, lacks the column `path`, or has no row that makes sense.
    """
    table = source.file or MANIFEST
    items, names, faults = [], list[str](), Faults()
    for line, row in rows(source.root / table, {"path"}, faults):
        names = names or list(row)
        where = f"{table} line {line}"
        if not row["path"]:
            faults.add(line, "no path")
            continue
        path = _below(source.root, row["path"])
        try:
            offset, duration = _times(row)
        except ValueError:
            times = f"{row['offset']!r} and {row.get('duration', '')!r}"
            faults.add(line, f"offset and duration must be seconds, not {times}")
            continue
        channel = row.get("channel", "")
        if channel and not (channel.isascii() and channel.isdecimal()):
            faults.add(line, f"channel must be a whole number from 0, not {channel!r}")
            continue
        items.append(
            Item(
                path,
                transcript=row.get("transcript") or None,
                label=row.get("class") or row.get("label") or None,
                speaker=row.get("speaker") or None,
                split=row.get("split") or None,
                sex=sex(row.get("sex") or row.get("gender")),
                offset=offset,
                duration=duration,
                channel=int(channel) if channel else None,
                sidecars=_named(path, row.get("segments", "")),
                where=where,
            )
        )
    if not items and faults:
        raise FreudError(f"{source.root / table}: {faults.sentences()[0]}")
    if "segments" not in names:
        found = beside(source.root, {item.path: None for item in items})
        items = [replace(item, sidecars=found.get(item.path, ())) for item in items]
    result = Plan(items, tables=[table])
    result.report(table, [*faults.sentences(), *unused_columns(names, _COLUMNS)])
    return result


def _below(root: Path, path: str) -> str:
    """A path as the corpus keeps it: relative to the root if it lies below it."""
    windows = path.replace("\\", "/")  # a table written there
    if windows != path and not os.path.lexists(root / path) and os.path.lexists(root / windows):
        path = windows
    normal = os.path.normpath(root / path)
    relative = os.path.relpath(normal, root)
    return Path(normal).as_posix() if relative.startswith("..") else Path(relative).as_posix()


def _times(row: dict[str, str]) -> tuple[float, float | None]:
    """Offset and duration; a duration without an offset column only describes the file and is not a cut.

    Raises:
        ValueError: they are no times.
    """
    if "offset" not in row:
        return 0.0, None
    offset = parse_time(row["offset"] or "0")
    duration = parse_time(row["duration"]) if row.get("duration") else None
    if offset < 0 or (duration is not None and duration <= 0):
        raise ValueError
    return offset, duration


def _named(path: str, names: str) -> tuple[Sidecar, ...]:
    """The label files that the column `segments` names."""
    folder, stem = PurePosixPath(path).parent, PurePosixPath(path).stem
    found = []
    for name in filter(None, (part.strip() for part in names.split(";"))):
        middle = PurePosixPath(name).stem.removeprefix(stem).strip(".")
        found.append(Sidecar(str(folder / name), middle or None))
    return tuple(found)
