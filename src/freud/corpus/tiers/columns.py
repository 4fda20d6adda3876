"""What the columns of a label table mean, by their names: those of Raven, BirdNET, OpenSoundscape, DCASE, Whisper.

The names are Raven Pro's user's guide's (selection tables), BirdNET-Analyzer's (its selection tables, CSV, R and
Kaleidoscope outputs), and those that people choose. A column of another name holds the labels only if there is none of
a known name, and only if it holds text: never numbers, dates, paths or names of files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from freud.corpus.tiers.times import is_time

_STARTS = frozenset({"start", "begin", "onset", "tmin", "xmin", "start time", "begin time"})
_ENDS = frozenset({"end", "stop", "offset", "tmax", "xmax", "end time", "stop time"})
_DURATIONS = frozenset({"duration", "dur"})
_SPECIES = ("species", "common name", "scientific name", "species code")  # one thing in several words
_LABELS = (
    *("label", "text", "annotation", "event label", *_SPECIES, "class", "call type", "song type", "sound type"),
    *("type", "tags", "tag", "name", "word", "phone"),
)
_FILES = ("begin file", "begin path", "in file", "file", "filename", "file name", "filepath", "file path", "path")
# Columns that describe a selection and are no label of it, whatever they hold.
_DESCRIPTIVE = re.compile(
    r"selection|view|channel|(begin|end|low|high|delta|file|peak|center|max|min|avg|rms|inband) .*|.*\(.*\)|"
    r".*\b(freq|time|power|energy|date|path|file)\b.*|indir|folder|species list|model|score|confidence|rank|id|index"
)
_AUDIO = re.compile(r"\.(wav|flac|mp3|ogg|aiff?|m4a|wma|opus)\s*$", re.IGNORECASE)  # the name of a recording
_UNIT = re.compile(r"(.*?)[ (]+(s|sec|secs|seconds?|ms|msecs?|milliseconds?)\)?")


class Columns(NamedTuple):
    """Where the values of a row stand; an index of None says that there is no such column."""

    start: int
    end: int
    duration: bool
    """Whether the second time is a duration and not an end."""
    start_unit: float
    end_unit: float
    """Seconds in one unit of the times."""
    has_unit: bool
    """Whether the header says the unit."""
    tier: int | None
    file: int | None
    offset: int | None
    """Of Raven's tables over several files: the start in its file, where Begin Time runs over them all."""
    view: int | None
    is_raven: bool


def plain_name(name: str) -> str:
    """A column's name in lower case and single words: `Begin Time (s)`, `start_time`, `startTime`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.strip().strip('"')) if not name.isupper() else name
    return " ".join(re.sub(r"[_\s]+", " ", words).lower().split())


def find_columns(names: Sequence[str]) -> Columns | None:
    """The columns of a header, given as `plain_name`; None if none of them are times."""
    bare: list[str] = []
    units: list[float | None] = []
    for name in names:
        match = _UNIT.fullmatch(name)
        bare.append(match[1] if match else name)
        units.append((0.001 if match[2].startswith("m") else 1.0) if match else None)
    start, end, length = (_first(bare, known) for known in (_STARTS, _ENDS, _DURATIONS))
    duration = False
    if start is None and length is not None and "offset" in bare:
        start = bare.index("offset")
        end = None
    if end is None and length is not None:
        end, duration = length, True
    if start is None or end is None:
        return None
    return Columns(
        start,
        end,
        duration,
        units[start] or 1.0,
        units[end] or 1.0,
        units[start] is not None,
        _index(names, "tier"),
        next((names.index(name) for name in _FILES if name in names), None),
        _index(names, "file offset (s)"),
        _index(names, "view"),
        "begin time (s)" in names,
    )


def label_column(names: Sequence[str], columns: Columns, rows: Sequence[list[str]]) -> tuple[int | None, list[str]]:
    """Which column holds the labels, or None; and the columns of text that are not used."""
    used = {columns.start, columns.end, columns.tier, columns.file, columns.offset, columns.view}
    free = [index for index, name in enumerate(names) if name and index not in used]
    known = [index for name in _LABELS for index in free if names[index] == name]
    filled = [index for index in known if any(row[index].strip() and not _AUDIO.search(row[index]) for row in rows)]
    text = [
        index for index in free if not _DESCRIPTIVE.fullmatch(names[index]) and any(_is_text(r[index]) for r in rows)
    ]
    label = next(iter([*filled, *text, *known]), None)
    same = _SPECIES if label is not None and names[label] in _SPECIES else ()
    return label, [names[index] for index in text if index != label and names[index] not in same]


def _is_text(value: str) -> bool:
    value = value.strip()
    if not value or is_time(value) or re.fullmatch(r"[\d\s.,:/%+-]*|nan|none|n/a|inf", value, re.IGNORECASE):
        return False  # a number, a date, a time of day, or nothing
    return not (re.search(r"[\\/]", value) or _AUDIO.search(value))


def _first(names: Sequence[str], known: frozenset[str]) -> int | None:
    return next((index for index, name in enumerate(names) if name in known), None)


def _index(names: Sequence[str], name: str) -> int | None:
    return names.index(name) if name in names else None
