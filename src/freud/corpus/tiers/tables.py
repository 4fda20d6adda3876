"""Labels in lines of text: tab-separated intervals, Audacity's labels, Raven's selections, CSV; read and written.

Audacity's are `start<TAB>end<TAB>label`, as are plain tables of intervals, which may have a header. Raven's have one
in which the times are called `Begin Time (s)` and `End Time (s)`. CSV has the columns `tier,start,end,label`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from freud.corpus.tiers.intervals import UNNAMED, Interval, Labeled, by_tier, decimal, fail, seconds

_STARTS = frozenset({"start", "begin", "onset", "tmin", "xmin", "start_time", "begin time (s)"})
_ENDS = frozenset({"end", "stop", "offset", "tmax", "xmax", "end_time", "end time (s)"})
_LABELS = (
    "label",
    "text",
    "annotation",
    "species",
    "class",
    "call type",
    "type",
    "tags",
    "tag",
    "name",
    "word",
    "phone",
)
# Columns of Raven that describe the selection and are no label of it.
_RAVEN = re.compile(
    r"(selection|view|channel|begin|end|file|.*\((s|hz|u|db|samples|bits|kv)\)|.*(freq|time|power).*)", re.I
)


def is_timed(text: str, separator: str = "\t") -> bool:
    """Whether the first line of a text has two numbers at its start, or the names of such columns."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    names = [name.strip().lower() for name in first.split("\t")]
    if len(names) > 1 and not _STARTS.isdisjoint(names) and not _ENDS.isdisjoint(names):
        return True
    return re.match(rf"\s*\d+(\.\d*)?{separator}\d+(\.\d*)?(\s|$)", first) is not None


def read_table(path: Path, text: str, tier: str | None = None, recording: str | None = None) -> list[Interval]:
    """Intervals from a table with or without a header.

    Args:
        path: for messages, and for its suffix: .csv has commas, all others tabs.
        text: its content.
        tier: name of the tier, where there is no column `tier`.
        recording: of a Raven table over several files, take the rows whose `Begin File` has this stem.

    Raises:
        FreudError: a row makes no sense; the message names the line.
    """
    comma = path.suffix.lower() == ".csv"
    lines = text.splitlines()
    header = (lines[0] if lines else "").split("," if comma else "\t")
    names = [name.strip().strip('"').lower() for name in header]
    if not _STARTS.isdisjoint(names) and not _ENDS.isdisjoint(names):
        return _with_header(path, text, names, tier, recording, "," if comma else "\t")
    if comma:
        fail(path, 1, f"no columns start and end; the columns are {', '.join(names)[:100] or 'none'}")
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("\\"):  # Audacity writes the frequencies of a label on such a line
            continue
        fields = line.split("\t", 2)
        if number == 1 and fields[0].strip().lower() in _STARTS:
            continue
        start, end = _times(path, number, fields)
        found.append(Interval(tier or UNNAMED, start, end, fields[2].strip() if len(fields) > 2 else ""))
    return sorted(found, key=lambda interval: interval[1:3])


def _times(
    path: Path, number: int, fields: Sequence[str], shape: str = "start<TAB>end<TAB>label"
) -> tuple[float, float]:
    try:
        start, end = seconds(fields[0]), seconds(fields[1])
        if start > end:
            raise ValueError
    except (ValueError, IndexError):
        fail(path, number, f"expected {shape}, in seconds")
    return start, end


def _with_header(
    path: Path, text: str, names: list[str], tier: str | None, recording: str | None, delimiter: str
) -> list[Interval]:
    """Intervals from a table whose header names the columns; Raven's among them."""
    column = {name: index for index, name in reversed(list(enumerate(names)))}
    start_at = next(index for index, name in enumerate(names) if name in _STARTS)
    end_at = next(index for index, name in enumerate(names) if name in _ENDS)
    raven = "begin time (s)" in column
    free = [name for name in names if raven and not _RAVEN.fullmatch(name)]
    label_at = next((column[name] for name in (*_LABELS, *free) if name in column), None)
    offset_at = column.get("file offset (s)")  # where several files are in one table, Begin Time runs over them all
    file_at = column.get("begin file", column.get("begin path"))
    found: list[Interval] = []
    seen: set[str] = set()
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, quoting=csv.QUOTE_NONE if raven else csv.QUOTE_MINIMAL)
    try:
        for index, row in enumerate(reader):
            if index == 0 or not any(row):
                continue
            if len(row) <= max(start_at, end_at):
                fail(path, reader.line_num, f"expected {len(names)} columns, found {len(row)}")
            start, end = _times(path, reader.line_num, (row[start_at], row[end_at]), "times")
            if raven:
                selection = row[column["selection"]] if "selection" in column else str(index)
                if selection in seen:  # once for the waveform, once for the spectrogram
                    continue
                if file_at is not None and len(row) > file_at and recording is not None:
                    if PurePath(row[file_at].replace("\\", "/")).stem != recording:
                        continue
                    if offset_at is not None and len(row) > offset_at and row[offset_at]:
                        begins, _ = _times(path, reader.line_num, (row[offset_at], row[offset_at]), "an offset")
                        start, end = begins, begins + (end - start)
                seen.add(selection)
            name = row[column["tier"]] if "tier" in column and len(row) > column["tier"] else ""
            label = row[label_at].strip() if label_at is not None and len(row) > label_at else ""
            found.append(Interval(name or tier or UNNAMED, start, end, label))
    except csv.Error as error:
        fail(path, reader.line_num, str(error))
    return sorted(found, key=lambda interval: interval[1:3])


def audacity(intervals: Sequence[Labeled]) -> str:
    """Labels as Audacity imports them, all of one label track: write a file for each tier.

    Raises:
        FreudError: a time makes no sense.
    """
    rows = sorted((row for rows in by_tier(intervals).values() for row in rows), key=lambda row: row[1:3])
    return "".join(f"{decimal(row.start)}\t{decimal(row.end)}\t{row.label}\n" for row in rows)


def tier_csv(intervals: Sequence[Labeled]) -> str:
    """All tiers as CSV with the columns `tier,start,end,label`.

    Raises:
        FreudError: a time makes no sense.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["tier", "start", "end", "label"])
    for rows in by_tier(intervals).values():
        writer.writerows((row.tier, decimal(row.start), decimal(row.end), row.label) for row in rows)
    return written.getvalue()
