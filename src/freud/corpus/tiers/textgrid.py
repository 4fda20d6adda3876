r"""Praat TextGrids, long, short or chronological, in UTF-8 or UTF-16.

Praat itself reads only the numbers, quoted strings and `<flags>` that stand free, and takes all else for comment. So
the long form and the short one are one sequence of tokens, and this module reads that. (praatio, which reads either
form by its layout, cannot say in which line a file is broken; the tests compare with it.) Praat's trigraphs such as
`\ae` stay as they are written.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from freud.corpus.tiers.intervals import LabelFile, LabelRows, fail, read_text
from freud.errors import FreudError

# A string doubles its quotes and may run over lines; a word that is no number is comment, as is what "!" begins.
_TOKEN = re.compile(r'"(?P<text>(?:[^"]|"")*)"|(?P<comment>!.*)|(?P<open>")|(?P<word>[^\s"]+)')
_TOLERANCE = 0.05  # seconds by which a grid and its recording differ in length where one was cut to frames
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


def read_textgrid(path: Path, duration: float | None = None) -> LabelFile:
    """The labeled intervals and points of every tier; empty ones are left out, and tiers of one name are numbered.

    Praat's "Extract part (preserve times)" leaves a grid that starts later than at 0, while the saved sound starts
    at 0: a tier as long as the recording is taken from 0. How many intervals and tiers there are is counted, and
    compared with what the file says.

    Args:
        path: the file.
        duration: of the recording in seconds.

    Raises:
        FreudError: it is not a TextGrid; the message names the line.
    """
    tokens = _Tokens(path, _read(path))
    kind = tokens.text("File type")
    grid = LabelRows(path)
    if kind == "Praat chronological TextGrid text file":
        tiers = _chronological(tokens)
    elif "TextGrid" in (kind, tokens.text("Object class")):
        tiers = _tiers(tokens, grid)
    else:
        expected = 'expected "ooTextFile" and "TextGrid" (of a collection, save each TextGrid as text in Praat)'
        fail(path, 1, f"not a TextGrid that can be read: {expected}")
    notes: list[str] = []
    names: set[str] = set()
    for tier in tiers:
        name = next(title for title in _titles(tier.name) if title not in names)
        names.add(name)
        shift, note = _shift(tier, duration)
        notes += [f"tier {name}: {note}"] if note else []
        if shift is None:
            continue
        reached = -math.inf
        for line, start, end, label in tier.rows:
            if tier.is_intervals and start < reached - 0.001:
                grid.faults.add(line, f"tier {name}: an interval starts at {start:g} s, before the last one ends")
            reached = max(reached, end)
            if label.strip():
                grid.add(line, name, start - shift, end - shift, label)
    return grid.finish(notes)


class _Tier(NamedTuple):
    is_intervals: bool
    name: str
    start: float
    end: float
    rows: list[tuple[int, float, float, str]]
    """(line, start, end, label); of points the end is the start."""


def _read(path: Path) -> str:
    """The text of a file that is no binary TextGrid."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(12) == b"ooBinaryFile":
            raise FreudError(f"{path}: a binary TextGrid; open it in Praat and save it as a text file")
    return read_text(path)


def _tiers(tokens: _Tokens, grid: LabelRows) -> list[_Tier]:
    """The tiers of the long and the short form."""
    start = tokens.number("xmin")
    tokens.number("xmax")
    if (flag := tokens.flag("tiers?")) == "<absent>" and tokens.peek() == "end":
        return []
    if flag != "<exists>":
        tokens.fail(f"<exists>, or <absent> and nothing more, but found {flag[:40]!r}")
    tiers = []
    count, line = tokens.count("number of tiers"), tokens.line
    while tokens.peek() == "text":
        tier = _head(tokens)
        if abs(tier.start - start) > 0.001:
            grid.faults.add(tokens.line, f"tier {tier.name} starts at {tier.start:g} s, and the file at {start:g} s")
        intervals, line_of_size = tokens.count("size of a tier"), tokens.line
        while tokens.peek() == "number":
            tier.rows.append(_row(tokens, tier))
        if len(tier.rows) != intervals:
            what = "intervals" if tier.is_intervals else "points"
            grid.faults.add(line_of_size, f"tier {tier.name} should have {intervals} {what}; it has {len(tier.rows)}")
        tiers.append(tier)
    if tokens.peek() != "end":
        tokens.text("class of a tier")
    if len(tiers) != count:
        grid.faults.add(line, f"there should be {count} tiers; there are {len(tiers)}")
    return tiers


def _chronological(tokens: _Tokens) -> list[_Tier]:
    """The tiers of Praat's chronological form, in which every row begins with the number of its tier."""
    tokens.number("xmin")
    tokens.number("xmax")
    tiers = [_head(tokens) for _ in range(tokens.count("number of tiers"))]
    while tokens.peek() != "end":
        number = tokens.count("number of a tier")
        if not 1 <= number <= len(tiers):
            tokens.fail(f"the number of a tier, 1 to {len(tiers)}")
        tiers[number - 1].rows.append(_row(tokens, tiers[number - 1]))
    return tiers


def _head(tokens: _Tokens) -> _Tier:
    kind = tokens.text("class of a tier")
    if kind not in ("IntervalTier", "TextTier"):
        tokens.fail(f'a time, "IntervalTier" or "TextTier", but found {kind[:40]!r}')
    name = tokens.text("name of a tier")
    return _Tier(kind == "IntervalTier", name, tokens.number("xmin"), tokens.number("xmax"), [])


def _row(tokens: _Tokens, tier: _Tier) -> tuple[int, float, float, str]:
    start = tokens.number("time")
    end = tokens.number("time") if tier.is_intervals else start
    if start > end:
        tokens.fail("xmin <= xmax")
    return tokens.line, start, end, tokens.text("label")


def _shift(tier: _Tier, duration: float | None) -> tuple[float | None, str | None]:
    """Seconds to take off the times of a tier that does not start at 0, or None to leave it out; and what to say."""
    if abs(tier.start) < 1e-6 or duration is None:
        return 0.0, None
    at_its_times, from_zero = abs(tier.end - duration), abs(tier.end - tier.start - duration)
    if from_zero <= _TOLERANCE and from_zero < at_its_times:
        return tier.start, f"its times start at {tier.start:g} s, and it is as long as the recording; taken from 0 s"
    if at_its_times <= _TOLERANCE:
        return 0.0, None
    spans = f"its times run from {tier.start:g} s to {tier.end:g} s, and the recording lasts {duration:g} s"
    if tier.end > duration + 1:
        return None, f"{spans}; left out"
    return 0.0, f"{spans}; they are taken as they stand"


def _titles(name: str) -> Iterator[str]:
    """The name of a tier, and where it is taken the same with 2, 3, ..."""
    yield name
    for number in itertools.count(2):
        yield f"{name}_{number}"


class _Tokens:
    """The free-standing tokens of a file, one after the other, and the line that the last was in."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.line = 1
        self._tokens = self._split(text)
        self._ahead: tuple[int, str, str] | None = None

    def _split(self, text: str) -> Iterator[tuple[int, str, str]]:
        line, reached = 1, 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", reached, match.start())
            reached = match.start()
            if match["open"]:
                self.line = line
                self.fail("the end of a quoted text")
            elif match["text"] is not None:
                yield line, "text", match["text"].replace('""', '"')
            elif word := match["word"]:
                if word.startswith("<"):
                    yield line, "flag", word
                elif _NUMBER.match(word):
                    yield line, "number", word

    def fail(self, expected: str) -> NoReturn:
        fail(self.path, self.line, f"not a TextGrid that can be read: expected {expected}")

    def peek(self) -> str:
        """The kind of the next token: text, flag, number or end."""
        if self._ahead is None:
            self._ahead = next(self._tokens, (self.line, "end", ""))
        return self._ahead[1]

    def _next(self, kind: str, what: str) -> str:
        token_kind = self.peek()
        assert self._ahead is not None
        self.line, _, value = self._ahead
        self._ahead = None
        if token_kind != kind:
            reason = "the file ends" if token_kind == "end" else f"found {value[:40]!r}"
            self.fail(f"{what} ({kind}), but {reason}")
        return value

    def text(self, what: str) -> str:
        return self._next("text", what)

    def flag(self, what: str) -> str:
        return self._next("flag", what)

    def number(self, what: str) -> float:
        return float(self._next("number", what))

    def count(self, what: str) -> int:
        value = self.number(what)
        if not (value >= 0 and value.is_integer()):
            self.fail(f"{what} (a whole number)")
        return int(value)
