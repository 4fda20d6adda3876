"""What every format of labels is read to and written from, and how their text is opened.

Times are seconds from the start of the recording; a point has its start as its end.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol, TextIO

import numpy as np

from freud.corpus.tiers.records import Faults
from freud.errors import FreudError

UNNAMED = "labels"  # the tier of intervals whose file does not name one
_ROUNDING = 1e-6  # seconds before 0 that are only a rounded 0
LARGEST = 256 * 2**20  # bytes; a label file of one recording is far smaller


class Interval(NamedTuple):
    """A labeled interval, or a point, of a tier."""

    tier: str
    start: float
    end: float
    label: str


class LabelFile(NamedTuple):
    """What a label file says of one recording."""

    transcript: str | None
    intervals: list[Interval]
    """Sorted by start within each tier."""
    problems: list[str]
    """Sentences about parts of the file that are not used, or not as they stand: "line 7: ..."."""
    channels: tuple[str, ...] = ()
    """Of each interval the name of the channel that it is about, where the file has such names."""


class LabelRows:
    """Collects the intervals of a file line by line, and what is wrong with lines that cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.intervals: list[Interval] = []
        self.faults = Faults()

    def add(self, line: int, tier: str, start: float, end: float, label: str) -> None:
        """Add an interval. What lies before the recording is cut off, and said."""
        if start > end:
            self.faults.add(line, f"ends at {end:g} s, before it starts at {start:g} s")
        elif "\0" in label:
            self.faults.add(line, "holds a NUL byte, so it is not text as it was written")
        elif end < -_ROUNDING:
            self.faults.add(line, f"ends at {end:g} s, before the recording starts")
        else:
            if start < -_ROUNDING:
                self.faults.add(line, f"starts at {start:g} s, before the recording; taken from 0 s")
            self.intervals.append(
                Interval(tier, max(start, 0.0), max(end, 0.0), " ".join(map(str.strip, label.strip().split("\n"))))
            )

    def finish(self, notes: Sequence[str] = ()) -> LabelFile:
        """The intervals by tier and start, and what is wrong.

        Raises:
            FreudError: no line can be used; the message names the first and why.
        """
        problems = [*self.faults.sentences(), *notes]
        if not self.intervals and self.faults:
            raise FreudError(f"{self.path}: {problems[0]}")
        order = {tier: index for index, tier in enumerate(dict.fromkeys(row.tier for row in self.intervals))}
        intervals = sorted(self.intervals, key=lambda row: (order[row.tier], row.start, row.end))
        return LabelFile(None, intervals, problems)


class Labeled(Protocol):
    """What can be written: an `Interval` or a `Segment` of a corpus."""

    @property
    def tier(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def label(self) -> str: ...


def decimal(value: float) -> str:
    """The shortest decimal that is the same number, without an exponent, which not every program reads."""
    return np.format_float_positional(value, trim="-")


def by_tier(intervals: Sequence[Labeled]) -> dict[str, list[Interval]]:
    """The intervals of each tier by start, the tiers in the order in which they come.

    Raises:
        FreudError: a time is negative, not finite, or an interval ends before it starts.
    """
    tiers: dict[str, list[Interval]] = {}
    for item in intervals:
        if not (0 <= item.start <= item.end and math.isfinite(item.end)):
            where = f"tier {item.tier}: {item.label!r} from {item.start} s to {item.end} s"
            raise FreudError(f"{where} cannot be written; expected 0 <= start <= end")
        tiers.setdefault(item.tier, []).append(
            Interval(item.tier, float(item.start), float(item.end), " ".join(item.label.split()))
        )
    return {name: sorted(rows, key=lambda row: row[1:3]) for name, rows in tiers.items()}


def read_text(path: Path) -> str:
    """A text file as UTF-8, or UTF-16 if it is that.

    Raises:
        FreudError: it cannot be opened, is far too large, or is in another encoding.
    """
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise FreudError(f"{path}: {size:,} bytes; a label file has at most {LARGEST:,}")
        data = path.read_bytes()
        return data.decode(_encoding(data[:16]))
    except OSError as error:
        raise FreudError(f"{path}: cannot be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise FreudError(f"{path}: not UTF-8 text; convert it to UTF-8") from None


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A text file of any size, line by line, as UTF-8, or UTF-16 if it is that; every line ends with LF.

    Raises:
        FreudError: it cannot be opened or is in another encoding.
    """
    try:
        with path.open("rb") as start:
            encoding = _encoding(start.read(16))
        with path.open(encoding=encoding) as file:
            yield file
    except OSError as error:
        raise FreudError(f"{path}: cannot be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise FreudError(f"{path}: not UTF-8 text; convert it to UTF-8") from None


def _encoding(start: bytes) -> str:
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    even, odd = start[::2], start[1::2]  # most letters at the start of a label file are below U+0100
    if 2 * even.count(0) > len(even) and 0 not in odd:
        return "utf-16-be"
    if 2 * odd.count(0) > len(odd) and 0 not in even:
        return "utf-16-le"
    return "utf-8-sig"


def fail(path: Path, line: int, expected: str) -> NoReturn:
    """Stop reading a file with one line that says where."""
    raise FreudError(f"{path}: line {line}: {expected}")
