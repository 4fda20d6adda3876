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
    names = _split(line, delimiter) or line.split(delimiter)
    return [name.strip().strip('"').strip() for name in names]


def records(
    lines: Iterable[str], delimiter: str, columns: int, first: int = 1, quotes: bool = True
) -> Iterator[Record]:
    """The rows of a table that are not blank, each with `columns` fields or none and the reason.

    Args:
        lines: without the header; with or without their ends.
        delimiter: one character.
        columns: fields of a row. Further ones may be there if they are blank.
        first: the number of the first of the lines.
        quotes: whether a field may be quoted; if not, quotation marks are part of the text.
    """
    source = (line.rstrip("\r\n") for line in lines)
    ahead: deque[str] = deque()  # lines that were looked at behind an open quote
    number = first - 1
    while ahead or (ahead := deque(islice(source, 1))):
        line = ahead.popleft()
        number += 1
        if not line.strip():
            continue
        if "\0" in line:
            yield Record(number, None, "holds a NUL byte, so it is not text as it was written")
            continue
        if not quotes or '"' not in line:
            yield _counted(number, line.split(delimiter), columns)
        elif (fields := _split(line, delimiter)) is not None:
            yield _counted(number, fields, columns)
        else:
            ahead.extend(islice(source, max(0, _MOST_LINES - len(ahead))))
            used, record = _with_stray_quotes(number, line, ahead, delimiter, columns)
            for _ in range(used):
                ahead.popleft()
            number += used
            yield record


def _counted(line: int, fields: list[str], columns: int, problem: str | None = None) -> Record:
    if not any(field.strip() for field in fields):
        return Record(line, [""] * columns, problem)
    if len(fields) < columns or any(field.strip() for field in fields[columns:]):
        count = f"{len(fields)} field{'s' if len(fields) > 1 else ''} in {columns} columns"
        hint = "quote a field that holds a delimiter" if len(fields) > columns else "one is missing"
        return Record(line, None, f"{count}; {hint}")
    return Record(line, fields[:columns], problem)


def _with_stray_quotes(
    number: int, line: str, ahead: Sequence[str], delimiter: str, columns: int
) -> tuple[int, Record]:
    """A row whose quotes are not by the rules: (how many further lines it takes, the row)."""
    if further := _closing_line(line, ahead, delimiter, columns):
        group = [line, *islice(ahead, further)]
        if not all(_fits(part.split(delimiter), columns) for part in group):
            return further, _counted(number, _split("\n".join(group), delimiter) or [], columns)
        problem = f"a quotation mark that is closed only in line {number + further}; taken as text, each line as a row"
        return 0, _counted(number, _unquoted(line.split(delimiter), delimiter), columns, problem)
    protected = _PROTECTED[delimiter].findall(line + delimiter) if line.count('"') % 2 == 0 else []
    if _fits(protected, columns):
        return 0, _counted(number, _unquoted(protected, delimiter), columns)
    plain = line.split(delimiter)
    if not _fits(plain, columns):
        count = f"{len(plain)} fields in {columns} columns"
        return 0, Record(number, None, f"a quotation mark that is not closed, and {count}")
    problem = None if line.count('"') % 2 == 0 else "a quotation mark that is not closed; taken as text"
    return 0, _counted(number, _unquoted(plain, delimiter), columns, problem)


def _closing_line(line: str, ahead: Sequence[str], delimiter: str, columns: int) -> int:
    """How many lines further a quoted field is closed and makes a whole row; 0 if it is not, or a row stands before."""
    text = line
    for further, part in enumerate(ahead, 1):
        fields = _split(part, delimiter)
        if "\0" in part or (fields is not None and _fits(fields, columns)):
            return 0
        text += "\n" + part
        if '"' in part and (joined := _split(text, delimiter)) is not None:
            return further if _fits(joined, columns) else 0
    return 0


def _fits(fields: Sequence[str], columns: int) -> bool:
    return len(fields) >= columns and not any(field.strip() for field in fields[columns:])


# A field by RFC 4180 (with blanks around its quotes, as AudioSet writes it), and one in which any pair of quotes
# protects the delimiters between them. Their repetitions never backtrack.
_DELIMITERS = "\t,;|"
_FIELD = {d: re.compile(rf' *"([^"]*+(?:""[^"]*+)*+)" *(?:([{d}])|\Z)|([^"{d}]*+)(?:([{d}])|\Z)') for d in _DELIMITERS}
_PROTECTED = {d: re.compile(rf'((?:[^"{d}]|"[^"]*+")*+)[{d}]') for d in _DELIMITERS}


def _split(text: str, delimiter: str) -> list[str] | None:
    """The fields by RFC 4180; None if the quotes in a text are not by its rules."""
    fields, at = [], 0
    while match := _FIELD[delimiter].match(text, at):
        quoted, more, plain, plain_more = match.groups()
        fields.append(plain if quoted is None else quoted.replace('""', '"'))
        if not (more or plain_more):
            return fields
        at = match.end()
    return None


def _unquoted(fields: Iterable[str], delimiter: str) -> list[str]:
    """Fields without the quotes around those that are quoted as a whole."""
    return [(_split(field, delimiter) or [field])[0] if field.strip().startswith('"') else field for field in fields]
