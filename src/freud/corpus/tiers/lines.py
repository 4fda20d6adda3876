"""Labels in lines of other shapes: HTK's and Festival's `.lab`, TIMIT's `.phn` and `.wrd`, and CTM.

They differ in their units: HTK counts 100 ns or seconds, TIMIT samples, Festival and CTM seconds, and Festival gives
only ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from freud.corpus.tiers.intervals import UNNAMED, Interval, fail, seconds


def read_lab(path: Path, text: str, tier: str | None, duration: float | None) -> list[Interval]:
    """HTK labels, `start end label`, in 100 ns or seconds; or Festival's, `end color label` after a line `#`.

    Args:
        path: for messages.
        text: its content.
        tier: name of the tier.
        duration: of the recording in seconds, which tells units of 100 ns from seconds. None: whole numbers that
            reach beyond 10 000 are units of 100 ns.

    Raises:
        FreudError: a line makes no sense; the message names it.
    """
    lines = text.splitlines()
    if "#" in (line.strip() for line in lines[:20]):
        return _festival(path, lines, tier or UNNAMED)
    found: list[Interval] = []
    whole = True
    for number, line in enumerate(lines, 1):
        fields = line.split(None, 2)
        if not fields or fields[0] in {"#!MLF!#", "."} or fields[0].startswith('"'):
            continue
        start, end = _numbers(path, number, fields, "start end label, in seconds")
        whole = whole and fields[0].isdigit() and fields[1].isdigit()
        found.append(Interval(tier or UNNAMED, start, end, fields[2].strip() if len(fields) > 2 else ""))
    last = max((interval.end for interval in found), default=0.0)
    if whole and last > (1000 * duration if duration is not None else 10_000):
        score = re.compile(r"(\S+)\s+-?\d+\.\d+(\s.*)?$")  # HTK may give a likelihood after the label
        found = [
            Interval(name, start * 1e-7, end * 1e-7, match[1] if (match := score.match(label)) else label)
            for name, start, end, label in found
        ]
    return sorted(found, key=lambda interval: interval[1:3])


def is_lab(text: str) -> bool:
    """Whether a .lab file holds labels and not a transcript."""
    lines = text.splitlines()[:20]
    first = next((line for line in lines if line.strip()), "")
    return bool(re.match(r"\s*\d+(\.\d*)?\s+\d+(\.\d*)?(\s|$)", first)) or "#" in (line.strip() for line in lines)


def _festival(path: Path, lines: list[str], tier: str) -> list[Interval]:
    begin = next(index for index, line in enumerate(lines) if line.strip() == "#") + 1
    found: list[Interval] = []
    start = 0.0
    for number, line in enumerate(lines[begin:], begin + 1):
        fields = line.split(None, 2)
        if not fields:
            continue
        try:
            end = seconds(fields[0])
            if end < start or len(fields) < 2:
                raise ValueError
        except ValueError:
            fail(path, number, "expected end color label, in seconds and in order")
        found.append(Interval(tier, start, end, fields[2].split(";")[0].strip() if len(fields) > 2 else ""))
        start = end
    return found


def read_timit(path: Path, text: str, tier: str, sample_rate: int) -> list[Interval]:
    """TIMIT's phones or words: `start end label`, in samples.

    Args:
        path: for messages.
        text: its content.
        tier: name of the tier.
        sample_rate: of the recording.

    Raises:
        FreudError: a line makes no sense; the message names it.
    """
    found: list[Interval] = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split(None, 2)
        if not fields:
            continue
        if not (fields[0].isdecimal() and len(fields) > 1 and fields[1].isdecimal()):
            fail(path, number, "expected start end label, in samples")
        start, end = _numbers(path, number, fields, "start end label, in samples")
        label = fields[2].strip() if len(fields) > 2 else ""
        found.append(Interval(tier, start / sample_rate, end / sample_rate, label))
    return found


def timit_transcript(text: str, samples: float) -> str | None:
    """The words of a TIMIT transcript, `0 SAMPLES words`, if that is what a text is."""
    match = re.fullmatch(r"\s*0 (\d+) (\S.*?)\s*", text)
    return match[2] if match and abs(int(match[1]) - samples) <= 0.5 * samples else None


def ctm_rows(path: Path, lines: Iterable[str], tier: str | None = None) -> Iterator[tuple[str, str, Interval]]:
    """The rows of a CTM, `recording channel start duration label [confidence]`, as (recording, channel, interval).

    Raises:
        FreudError: a line makes no sense; the message names it.
    """
    for number, line in enumerate(lines, 1):
        fields = line.split()
        if not fields or line.lstrip().startswith(";;"):
            continue
        expected = "expected recording channel start duration label, in seconds"
        if len(fields) < 5:
            fail(path, number, expected)
        try:
            start, length = seconds(fields[2]), seconds(fields[3])
        except ValueError:
            fail(path, number, expected)
        if not fields[4].startswith("<ALT"):  # the marks of alternatives in references for scoring
            yield fields[0], fields[1], Interval(tier or "words", start, start + length, fields[4])


def _numbers(path: Path, line: int, fields: list[str], shape: str) -> tuple[float, float]:
    try:
        start, end = seconds(fields[0]), seconds(fields[1])
        if start > end:
            raise ValueError
    except (ValueError, IndexError):
        fail(path, line, f"expected {shape}")
    return start, end
