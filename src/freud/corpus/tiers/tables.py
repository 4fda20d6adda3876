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
from freud.corpus.tiers.records import Faults, Record, Shape, column_names, records, split_fields, split_lines
from freud.corpus.tiers.times import is_time, parse_time
from freud.errors import FreudError

_SHAPE = "expected start<TAB>end<TAB>label, in seconds"


def has_header(text: str) -> bool:
    """Whether the first line of a text names columns of starts and ends, divided by tabs, or starts as Raven's do."""
    _, line = _first_line(split_lines(text))
    return is_header(line.split("\t")) or line.startswith("Selection\t")


def is_header(names: Sequence[str]) -> bool:
    """Whether names are those of columns, with times among them."""
    return find_columns([plain_name(name) for name in names]) is not None


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
    return _without_header(path, lines, delimiter, tier, duration)


def _first_line(lines: Sequence[str]) -> tuple[int, str]:
    return next(((index, line) for index, line in enumerate(lines) if line.strip()), (0, ""))


def _columns(line: str, delimiter: str) -> Columns | None:
    return find_columns(_names(line, delimiter))


def _names(line: str, delimiter: str) -> list[str]:
    return [plain_name(name) for name in column_names(line, delimiter)]


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == " " and "\t" not in line:
        return line.split(None, 2)
    sign = delimiter.replace(" ", "\t")
    return (split_fields(line, sign) if sign != "\t" else None) or line.split(sign)


def _is_row(fields: Sequence[str]) -> bool:
    return 2 <= len(fields) <= 4 and is_time(fields[0]) and is_time(fields[1])


def _without_header(
    path: Path, lines: Sequence[str], delimiter: str, tier: str | None, duration: float | None
) -> LabelFile:
    """Audacity's labels and their like: start, end, label; and a confidence, where BirdNET wrote them."""
    rows = LabelRows(path)
    times: list[tuple[str, str]] = []
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
        times.append((fields[0], fields[1]))
    _unit(path, times, False, duration)
    return rows.finish()


def _plain_records(lines: Sequence[str], delimiter: str) -> Iterable[Record]:
    if delimiter in ",;":
        widths = [len(_fields(line, delimiter)) for line in lines if line.strip()]
        yield from records(lines, Shape(delimiter, 2 if median(widths) == 2 else 3))
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
    """Intervals from a table whose header, at index `at` of the lines, names the columns; Raven's among them."""
    names = _names(lines[at], delimiter)
    for index in (columns.start, columns.end):
        if names.count(names[index]) > 1:
            fail(path, at + 1, f"two columns are called {names[index]}; rename one")
    unnamed = next(count for count, name in enumerate(reversed(names)) if name)
    names = names[: len(names) - unnamed]
    rows, notes = LabelRows(path), []
    body = records(lines[at + 1 :], Shape(delimiter, len(names), unnamed), at + 2, quotes=not columns.is_raven)
    timed = _timed_rows(body, columns, rows.faults)
    values = [fields for _, fields in timed]
    label, unused = label_column(names, columns, values)
    notes += [f"column {name}: its text is not used" for name in unused]
    if label is None and timed:
        notes.append(f"none of its columns is known to hold labels; they are {', '.join(filter(None, names))[:200]}")
    files = {fields[columns.file] for fields in values} if columns.file is not None else set()
    if columns.is_raven and columns.offset is None and len(files) > 1:
        notes.append("it has no column File Offset (s): its times are taken from the start of each file")
    unit = 1.0
    if not columns.has_unit and not columns.duration and columns.file is None:
        times = [(fields[columns.start], fields[columns.end]) for fields in values]
        unit = _unit(path, times, {"start", "end", "text"}.issubset(names), duration)
    if unit != 1 and set(names) != {"start", "end", "text"}:
        notes.append("its times are whole numbers: taken as milliseconds, as Whisper writes them")
    intervals: list[tuple[str, int, Interval]] = []
    for line, fields in timed:
        start = parse_time(fields[columns.start]) * columns.start_unit * unit
        end = parse_time(fields[columns.end]) * columns.end_unit * unit
        end = start + end if columns.duration else end
        if columns.offset is not None and recording is not None and is_time(fields[columns.offset]):
            begins = parse_time(fields[columns.offset])
            start, end = begins, begins + (end - start)
        name = fields[columns.tier].strip() if columns.tier is not None else ""
        file = fields[columns.file].strip() if columns.file is not None else ""
        text = fields[label] if label is not None else ""
        intervals.append((file, line, Interval(name or tier or UNNAMED, start, end, text)))
    for _, line, interval in of_recording(intervals, recording, duration, notes):
        rows.add(line, *interval)
    return rows.finish(notes)


def _timed_rows(body: Iterable[Record], columns: Columns, faults: Faults) -> list[tuple[int, list[str]]]:
    """The rows that have times, as (line, fields); what is wrong with others is added to the faults."""
    timed: list[tuple[int, list[str]]] = []
    seen: set[tuple[str, ...]] = set()
    for line, fields, problem in body:
        if problem:
            faults.add(line, problem)
        if fields is None or not any(field.strip() for field in fields):
            continue
        if not (is_time(fields[columns.start]) and is_time(fields[columns.end])):
            times = f"{fields[columns.start][:20]!r} and {fields[columns.end][:20]!r}"
            faults.add(line, f"expected times, in seconds, not {times}")
            continue
        if columns.is_raven:  # a selection stands once for the waveform and once for the spectrogram
            key = tuple(field for index, field in enumerate(fields) if index != columns.view)
            if key in seen:
                continue
            seen.add(key)
        timed.append((line, fields))
    return timed


def _unit(path: Path, times: Sequence[tuple[str, str]], is_whisper: bool, duration: float | None) -> float:
    """Seconds in a unit of the times: whole numbers in Whisper's own table are milliseconds.

    They are if they run beyond the recording, or if a text would last longer than two of Whisper's windows.

    Raises:
        FreudError: whole numbers of another table fit the recording as milliseconds, but not as seconds.
    """
    if not times or not all(start.strip().isdecimal() and end.strip().isdecimal() for start, end in times):
        return 1.0
    last = max(float(end) for _, end in times)
    beyond = duration is not None and last > duration + 1
    if is_whisper and (beyond or max(float(end) - float(start) for start, end in times) > 60):
        return 0.001
    if beyond and duration is not None and last <= 1000 * (duration + 1):
        advice = "if they are milliseconds, give it a header with start_ms and end_ms"
        raise FreudError(
            f"{path}: its whole numbers run to {last:g}, and the recording lasts {duration:.2f} s; {advice}"
        )
    return 1.0
