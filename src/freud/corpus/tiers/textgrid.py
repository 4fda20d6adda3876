"""Praat TextGrids: read long or short, in UTF-8 or UTF-16, and written long.

Praat itself reads only the numbers, quoted strings and `<flags>` that stand free, and takes all else for comment. So
the long form and the short one are one sequence of tokens, and this module reads that. (praatio, which reads either
form by its layout, cannot say in which line a file is broken; the tests compare with it.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from freud.corpus.tiers.intervals import Interval, Labeled, by_tier, decimal, fail, read_text
from freud.errors import FreudError

# A string doubles its quotes and may run over lines; a word that is no number is comment, as is what "!" begins.
_TOKEN = re.compile(r'"(?P<text>(?:[^"]|"")*)"|(?P<comment>!.*)|(?P<open>")|(?P<word>[^\s"]+)')
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")


def read_textgrid(path: Path) -> list[Interval]:
    """The labeled intervals and points of every tier; empty ones are left out, and tiers of one name are numbered.

    Raises:
        FreudError: it is not a TextGrid; the message names the line.
    """
    tokens = _Tokens(path, read_text(path))
    kind, what = tokens.text("File type"), tokens.text("Object class")
    if "TextGrid" not in (kind, what):
        fail(
            path, 1, 'not a TextGrid that can be read: expected "ooTextFile" and "TextGrid" (save it as text in Praat)'
        )
    tokens.number("xmin")
    tokens.number("xmax")
    if tokens.flag("tiers?") != "<exists>":
        return []
    found: list[Interval] = []
    names: dict[str, int] = {}
    for _ in range(tokens.count("number of tiers")):
        kind, name = tokens.text("class of a tier"), tokens.text("name of a tier")
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name = f"{name}_{names[name]}"
        tokens.number("xmin")
        tokens.number("xmax")
        if kind not in ("IntervalTier", "TextTier"):
            tokens.fail('"IntervalTier" or "TextTier"')
        for _ in range(tokens.count("size of a tier")):
            start = tokens.number("time")
            end = tokens.number("time") if kind == "IntervalTier" else start
            if not 0 <= start <= end:
                tokens.fail("0 <= xmin <= xmax")
            if label := tokens.text("label").strip():
                found.append(Interval(name, start, end, label))
    return found


class _Tokens:
    """The free-standing tokens of a file, one after the other, and the line that the last was in."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.line = 1
        self._tokens = self._split(text)

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        reached = 0
        for match in _TOKEN.finditer(text):
            self.line += text.count("\n", reached, match.start())
            reached = match.start()
            if match["open"]:
                self.fail("the end of a quoted text")
            elif match["text"] is not None:
                yield "text", match["text"].replace('""', '"')
            elif word := match["word"]:
                if word.startswith("<"):
                    yield "flag", word
                elif _NUMBER.match(word):
                    yield "number", word

    def fail(self, expected: str) -> None:
        fail(self.path, self.line, f"not a TextGrid that can be read: expected {expected}")

    def _next(self, kind: str, what: str) -> str:
        found, value = next(self._tokens, ("end", ""))
        if found != kind:
            given = "the file ends" if found == "end" else f"found {value[:40]!r}"
            self.fail(f"{what} ({kind}), but {given}")
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


def textgrid(intervals: Sequence[Labeled], duration: float) -> str:
    """A TextGrid, long form, of any tiers; write it as UTF-8.

    Intervals of a tier that overlap go to a second tier of that name, numbered, and points to a point tier: Praat's
    tiers hold one or the other, and their intervals do not overlap. Runs of white space in labels become one space.

    Args:
        intervals: of any tiers, in any order: `Interval`, or `Segment` of a corpus.
        duration: of the recording in seconds; later labels extend it.

    Raises:
        FreudError: a time makes no sense.
    """
    tiers = by_tier(intervals)
    end = max([duration, *(row.end for rows in tiers.values() for row in rows)])
    if not end > 0:
        raise FreudError(f"a TextGrid must be longer than {end} s; give the duration of the recording")
    rows: list[tuple[str, list[Interval], bool]] = []
    for name, items in tiers.items():
        spans, points = [i for i in items if i.end > i.start], [i for i in items if i.end == i.start]
        layers: list[list[Interval]] = []
        for item in spans:
            for layer in layers:
                if layer[-1].end <= item.start:
                    layer.append(item)
                    break
            else:
                layers.append([item])
        rows += [(name, layer, False) for layer in layers]
        if points:
            rows.append((name, points, True))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {decimal(end)}"]
    lines += ["tiers? <exists>", f"size = {len(rows)}", "item []:"]
    seen: dict[str, int] = {}
    for number, (name, items, is_points) in enumerate(rows, 1):
        seen[name] = seen.get(name, 0) + 1
        title = name if seen[name] == 1 else f"{name}_{seen[name]}"
        lines += _tier(number, title, items, is_points, end)
    return "\n".join(lines) + "\n"


def _tier(number: int, name: str, items: list[Interval], is_points: bool, end: float) -> list[str]:
    kind, part = ("TextTier", "points") if is_points else ("IntervalTier", "intervals")
    if not is_points:
        items = list(_filled(name, items, end))
    lines = [f"    item [{number}]:", f'        class = "{kind}"', f"        name = {_quoted(name)}"]
    lines += ["        xmin = 0", f"        xmax = {decimal(end)}", f"        {part}: size = {len(items)}"]
    for index, item in enumerate(items, 1):
        lines.append(f"        {part} [{index}]:")
        if is_points:
            lines += [f"            number = {decimal(item.start)}", f"            mark = {_quoted(item.label)}"]
        else:
            lines += [f"            xmin = {decimal(item.start)}", f"            xmax = {decimal(item.end)}"]
            lines.append(f"            text = {_quoted(item.label)}")
    return lines


def _filled(name: str, items: list[Interval], end: float) -> Iterator[Interval]:
    """The intervals of a tier with empty ones between, which Praat needs."""
    reached = 0.0
    for item in items:
        if item.start > reached:
            yield Interval(name, reached, item.start, "")
        yield item
        reached = item.end
    if reached < end:
        yield Interval(name, reached, end, "")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
