"""Writing tiers for other tools: Praat's TextGrid, Audacity's labels and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from freud.corpus.tiers.intervals import Interval, Labeled, by_tier, decimal
from freud.errors import FreudError


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
