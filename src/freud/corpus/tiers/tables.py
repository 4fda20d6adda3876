"""Labels in lines of text: tab-separated intervals, Audacity's labels, selection tables and CSV.

Audacity's are `start<TAB>end<TAB>label`, as are plain tables of intervals, which may have a header. What the columns of
a header mean is in `columns`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from freud.corpus.tiers.columns import Columns, find_columns, label_column, plain_name
from freud.corpus.tiers.intervals import UNNAMED, Interval, LabelFile, LabelRows, fail
from freud.corpus.tiers.owner import of_recording
from freud.corpus.tiers.records import Record, column_names, records, split_lines
from freud.corpus.tiers.times import is_time, parse_time

_SHAPE = "expected start<TAB>end<TAB>label, in seconds"


def has_header(text: str) -> bool:
    """Whether the first line of a text names columns of starts and ends, divided by tabs, or starts as Raven's do."""
    _, line = _first_line(split_lines(text))
    return _columns(line, "\t") is not None or line.startswith("Selection\t")


def read_table(
    path: Path, text: str, tier: str | None = None, recording: str | None = None, duration: float | None = None
) -> LabelFile:
    """Intervals from a table with or without a header, whose fields are divided by tabs, commas or semicolons.

    Args:
        path: for messages, and for its suffix: .csv has commas at first guess, all others tabs.
        text: its content.
        tier: name of the tier, where there is no column `tier`.
        recording: of a table over several files, take the rows whose file has this stem.
        duration: of the recording in seconds, which tells Whisper's milliseconds from seconds.

    Raises:
        FreudError: no row makes sense; the message names the first.
    """
    lines = split_lines(text)
    comma = path.suffix.lower() == ".csv"
    delimiters = ",;\t" if comma else "\t,;"
    at, line = _first_line(lines)
    for delimiter in delimiters:
        if columns := _columns(line, delimiter):
            return _with_header(path, lines, at, delimiter, columns, tier, recording, duration)
    delimiter = max([*delimiters, " "], key=lambda sign: sum(_is_row(_fields(line, sign)) for line in lines[:1000]))
    if not any(is_time(field) for field in _fields(line, delimiter)) and (comma or len(_fields(line, delimiter)) > 1):
        names = ", ".join(column_names(line, delimiters[0]))[:100] or "none"
        fail(path, at + 1, f"no columns start and end; the columns are {names}")
    return _without_header(path, lines, delimiter, tier)


def _first_line(lines: Sequence[str]) -> tuple[int, str]:
    return next(((index, line) for index, line in enumerate(lines) if line.strip()), (0, ""))


def _columns(line: str, delimiter: str) -> Columns | None:
    return find_columns(_names(line, delimiter))


def _names(line: str, delimiter: str) -> list[str]:
    return [plain_name(name) for name in column_names(line, delimiter)]


def _fields(line: str, delimiter: str) -> list[str]:
    return line.split(None, 2) if delimiter == " " and "\t" not in line else line.split(delimiter.replace(" ", "\t"))


def _is_row(fields: Sequence[str]) -> bool:
    return 2 <= len(fields) <= 4 and is_time(fields[0]) and is_time(fields[1])


def _without_header(path: Path, lines: Sequence[str], delimiter: str, tier: str | None) -> LabelFile:
    """Audacity's labels and their like: start, end, label; and a confidence, where BirdNET wrote them."""
    rows = LabelRows(path)
    for record in _plain_records(lines, delimiter):
        fields = record.fields
        while fields and len(fields) > 3 and not fields[-1].strip():
            fields.pop()
        if fields is None or not _is_row(fields) or (len(fields) == 4 and not _is_confidence(fields[3], delimiter)):
            many = fields is not None and len(fields) > 3 and _is_row(fields[:3])
            reason = f"{len(fields or ())} fields where start, end and label are expected" if many else _SHAPE
            rows.faults.add(record.line, record.problem or reason)
            continue
        if record.problem:
            rows.faults.add(record.line, record.problem)
        label = fields[2] if len(fields) > 2 else ""
        rows.add(record.line, tier or UNNAMED, parse_time(fields[0]), parse_time(fields[1]), label)
    return rows.finish()


def _plain_records(lines: Sequence[str], delimiter: str) -> Iterable[Record]:
    if delimiter in ",;":
        columns = median(len(line.split(delimiter)) for line in lines if '"' not in line) if lines else 3
        yield from records(lines, delimiter, 2 if columns == 2 else 3)
        return
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            yield Record(number, None, "holds a NUL byte, so it is not text as it was written")
        elif line.strip() and not line.startswith("\\"):  # Audacity writes the frequencies of a label on such a line
            yield Record(number, _fields(line, delimiter), None)


def _is_confidence(text: str, delimiter: str) -> bool:
    return delimiter == "\t" and is_time(text) and 0 <= parse_time(text) <= 1


def _with_header(
    path: Path,
    lines: Sequence[str],
    at: int,
    delimiter: str,
    columns: Columns,
    tier: str | None,
    recording: str | None,
    duration: float | None,
) -> LabelFile:
    """Intervals from a table whose header names the columns; Raven's among them."""
    names = _names(lines[at], delimiter)
    last_named = max(index for index, name in enumerate(names) if name) + 1
    rows = LabelRows(path)
    whole: list[Record] = []
    seen: set[tuple[str, ...]] = set()
    for record in records(lines[at + 1 :], delimiter, last_named, at + 2, quotes=not columns.is_raven):
        if record.problem:
            rows.faults.add(record.line, record.problem)
        if record.fields is None or not any(field.strip() for field in record.fields):
            continue
        if not (is_time(record.fields[columns.start]) and is_time(record.fields[columns.end])):
            times = f"{record.fields[columns.start][:20]!r} and {record.fields[columns.end][:20]!r}"
            rows.faults.add(record.line, f"expected times, in seconds, not {times}")
            continue
        if columns.is_raven:  # a selection stands once for the waveform and once for the spectrogram
            key = tuple(field for index, field in enumerate(record.fields) if index != columns.view)
            if key in seen:
                continue
            seen.add(key)
        whole.append(record)
    fields = [record.fields or [] for record in whole]
    label_at, unused = label_column(names[:last_named], columns, fields)
    notes = [f"column {name}: its text is not used" for name in unused]
    if label_at is None and any(fields):
        notes.append(f"none of its columns is known to hold labels; they are {', '.join(filter(None, names))[:200]}")
    unit, unit_notes = _whisper_unit(names, columns, fields, duration)
    notes += unit_notes
    found: list[tuple[str, int, Interval]] = []
    for record, values in zip(whole, fields, strict=True):
        start, end = parse_time(values[columns.start]), parse_time(values[columns.end])
        start, end = start * columns.start_unit * unit, end * columns.end_unit * unit
        end = start + end if columns.duration else end
        if columns.offset is not None and recording is not None and is_time(values[columns.offset]):
            begins = parse_time(values[columns.offset])
            start, end = begins, begins + (end - start)
        name = values[columns.tier].strip() if columns.tier is not None else ""
        label = values[label_at] if label_at is not None else ""
        file = values[columns.file].strip() if columns.file is not None else ""
        found.append((file, record.line, Interval(name or tier or UNNAMED, start, end, label)))
    for _, line, interval in of_recording(found, recording, duration, notes):
        rows.add(line, *interval)
    return rows.finish(notes)


def _whisper_unit(
    names: Sequence[str], columns: Columns, rows: Sequence[list[str]], duration: float | None
) -> tuple[float, list[str]]:
    """Seconds in a unit of the times, and what to say of it: whole numbers with a `text` are Whisper's milliseconds.

    They are if they run beyond the recording, or if a text would last longer than two of Whisper's windows.
    """
    if names[columns.start] != "start" or names[columns.end] != "end" or "text" not in names or not rows:
        return 1.0, []
    times = [(values[columns.start].strip(), values[columns.end].strip()) for values in rows]
    if not all(start.isdecimal() and end.isdecimal() for start, end in times):
        return 1.0, []
    last = max(int(end) for _, end in times)
    longest = max(int(end) - int(start) for start, end in times)
    if longest > 60 or (duration is not None and last > duration + 1):
        others = set(names) - {"start", "end", "text", ""}
        return 0.001, ["its times are whole numbers: taken as milliseconds, as Whisper writes them"] if others else []
    return 1.0, []
