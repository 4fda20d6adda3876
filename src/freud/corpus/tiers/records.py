"""Rows of tables with delimiters, one line each, in which no quotation mark swallows the rows behind it.

RFC 4180 lets a quoted field hold delimiters, doubled quotes and line breaks. Tables of labels and transcripts also hold
quotes that mean nothing but themselves (`"Yes," she said`, `5" pipe`, an opening quote alone). So a line is read by
the rules if it follows them; a line break belongs to a quoted field only if the lines are no rows of their own; and
what can be read in no way, or has another number of fields than there are columns, is said with its line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

_MOST_LINES = 100  # of one quoted field; what is longer is a quote that was never closed
_LISTED = 20  # lines that are named one by one for each reason


class Record(NamedTuple):
    """A row of a table."""

    line: int
    """The line it starts in, from 1."""
    fields: list[str] | None
    """None: it cannot be used."""
    problem: str | None
    """Why it cannot be used, or what in it is odd."""


class Faults:
    """What is wrong in the lines of a file. Each reason lists at most 20 lines, so a bad file stays a short report."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}
        self._more: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, line: int, reason: str) -> None:
        lines = self._lines.setdefault(reason, [])
        if len(lines) < _LISTED:
            lines.append(line)
        else:
            self._more[reason] = self._more.get(reason, 0) + 1

    def sentences(self) -> list[str]:
        """`line 7: reason`, by line; then how many more lines there are of each reason."""
        listed = sorted((line, reason) for reason, lines in self._lines.items() for line in lines)
        more = [f"{count} more lines: {reason}" for reason, count in self._more.items()]
        return [f"line {line}: {reason}" for line, reason in listed] + more


def split_lines(text: str) -> list[str]:
    """The lines of a text. Unlike `str.splitlines`, only CR and LF end one; U+2028 and U+0085 may be in a label."""
    lines = re.split(r"\r\n|\r|\n", text)
    return lines[:-1] if lines[-1] == "" else lines


def column_names(line: str, delimiter: str) -> list[str]:
    """The names of a header, as they stand."""
    names = split_fields(line, delimiter) or line.split(delimiter)
    return [name.strip().strip('"').strip() for name in names]


class Shape(NamedTuple):
    """How the rows of a table are to be."""

    delimiter: str
    columns: int
    """Fields of a row."""
    unnamed: int = 0
    """Columns behind them that have no name in the header; their fields must be blank."""

    def fits(self, fields: Sequence[str]) -> bool:
        """Whether fields are as many as there are columns."""
        excess = fields[self.columns :]
        return len(fields) >= self.columns and len(excess) <= self.unnamed and not any(map(str.strip, excess))

    def record(self, line: int, fields: list[str], problem: str | None = None) -> Record:
        """A row of these fields, or why they are none."""
        if self.fits(fields):
            return Record(line, fields[: self.columns], problem)
        count = f"{len(fields)} field{'s' if len(fields) > 1 else ''} in {self.columns} columns"
        hint = "quote a field that holds a delimiter" if len(fields) > self.columns else "one is missing"
        return Record(line, None, f"{count}; {hint}")


def records(lines: Iterable[str], shape: Shape, first: int = 1, quotes: bool = True) -> Iterator[Record]:
    """The rows of a table that are not blank, each with as many fields as there are columns, or none and the reason.

    Args:
        lines: without the header; with or without their ends.
        shape: the delimiter and the columns.
        first: the number of the first of the lines.
        quotes: whether a field may be quoted; if not, quotation marks are part of the text.
    """
    source = (line.rstrip("\r\n") for line in lines)
    ahead: deque[str] = deque()  # lines that were looked at behind an open quote
    number = first - 1
    while ahead or (ahead := deque(islice(source, 1))):
        line = ahead.popleft()
        number += 1
        if not line.strip(f"{shape.delimiter} \t"):
            continue
        if "\0" in line:
            yield Record(number, None, "holds a NUL byte, so it is not text as it was written")
        elif not quotes or '"' not in line:
            yield shape.record(number, line.split(shape.delimiter))
        elif (fields := split_fields(line, shape.delimiter)) is not None:
            yield shape.record(number, fields)
        else:
            ahead.extend(islice(source, max(0, _MOST_LINES - len(ahead))))
            further, record = _with_stray_quotes(number, line, ahead, shape)
            for _ in range(further):
                ahead.popleft()
            number += further
            yield record


def _with_stray_quotes(number: int, line: str, ahead: Sequence[str], shape: Shape) -> tuple[int, Record]:
    """A row whose quotes are not by the rules: (how many further lines it takes, the row)."""
    plain = line.split(shape.delimiter)
    if further := _closing_line(line, ahead, shape):
        group = [line, *islice(ahead, further)]
        if not all(shape.fits(part.split(shape.delimiter)) for part in group):
            return further, shape.record(number, split_fields("\n".join(group), shape.delimiter) or [])
        problem = f"a quotation mark that is closed only in line {number + further}; taken as text, each line as a row"
        return 0, shape.record(number, _unquoted(plain, shape), problem)
    is_even = line.count('"') % 2 == 0
    protected = _PROTECTED[shape.delimiter].findall(line + shape.delimiter) if is_even else []
    if shape.fits(protected):
        return 0, shape.record(number, _unquoted(protected, shape))
    if shape.fits(plain):
        problem = None if is_even else "a quotation mark that is not closed; taken as text"
        return 0, shape.record(number, _unquoted(plain, shape), problem)
    return 0, Record(number, None, f"a quotation mark that is not closed, and {shape.record(number, plain).problem}")


def _closing_line(line: str, ahead: Sequence[str], shape: Shape) -> int:
    """How many lines further a quoted field is closed and makes a whole row; 0 if it is not, or a row stands before."""
    text = line
    for further, part in enumerate(ahead, 1):
        fields = split_fields(part, shape.delimiter)
        if "\0" in part or (fields is not None and shape.fits(fields)):
            return 0
        text += "\n" + part
        if text.count('"') % 2 == 0:  # whatever was opened is closed
            joined = split_fields(text, shape.delimiter)
            return further if joined is not None and shape.fits(joined) else 0
    return 0


# A field by RFC 4180 (with blanks around its quotes, as AudioSet writes it), and one in which any pair of quotes
# protects the delimiters between them. Their repetitions never backtrack.
_DELIMITERS = "\t,;|"
_FIELD = {d: re.compile(rf' *"([^"]*+(?:""[^"]*+)*+)" *(?:([{d}])|\Z)|([^"{d}]*+)(?:([{d}])|\Z)') for d in _DELIMITERS}
_PROTECTED = {d: re.compile(rf'((?:[^"{d}]|"[^"]*+")*+)[{d}]') for d in _DELIMITERS}


def split_fields(text: str, delimiter: str) -> list[str] | None:
    """The fields by RFC 4180; None if the quotes in a text are not by its rules."""
    fields, at = [], 0
    while match := _FIELD[delimiter].match(text, at):
        quoted, more, plain, plain_more = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        if not (more or plain_more):
            return fields
        at = match.end()
    return None


def _unquoted(fields: Iterable[str], shape: Shape) -> list[str]:
    """Fields without the quotes around those that are quoted as a whole."""
    return [
        (split_fields(field, shape.delimiter) or [field])[0] if field.strip().startswith('"') else field
        for field in fields
    ]
