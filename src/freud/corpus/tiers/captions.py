"""Captions: SubRip (.srt) and WebVTT (.vtt), read as intervals of the tier `utterances`.

A cue is a line `start --> end`, maybe under its number or name, and the lines of its text up to an empty one. Marks
such as `<i>` and `<v Anna>` are left out of the text.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

from freud.corpus.tiers.intervals import LabelFile, LabelRows
from freud.corpus.tiers.records import split_lines
from freud.corpus.tiers.times import is_time, parse_time

_CUE = re.compile(r"\s*(\S+)\s+-->\s+(\S+)(\s.*)?$")  # WebVTT may give a position behind the times
_MARK = re.compile(r"</?[A-Za-z][^<>]*>|<[\d:.]+>")
_UNSPOKEN = ("WEBVTT", "NOTE", "STYLE", "REGION")  # first words of WebVTT's blocks that are no cues


def read_captions(path: Path, text: str, tier: str | None) -> LabelFile:
    """The cues of a file, each with its text in one line.

    Raises:
        FreudError: it has lines but no cue; the message names the first.
    """
    lines = split_lines(text)
    rows = LabelRows(path)
    number, is_cue, spoken = 0, False, True
    while number < len(lines):
        line = lines[number]
        number += 1
        following = lines[number] if number < len(lines) else ""
        if not line.strip():
            is_cue, spoken = False, True
        elif (match := _CUE.match(line)) and is_time(match[1]) and is_time(match[2]):
            at, words = number, []
            while number < len(lines) and lines[number].strip() and "-->" not in lines[number]:
                ahead = lines[number + 1] if number + 1 < len(lines) else ""
                if lines[number].strip().isdecimal() and "-->" in ahead:  # the next cue, without an empty line before
                    break
                words.append(lines[number])
                number += 1
            label = " ".join(html.unescape(_MARK.sub("", " ".join(words))).split())
            rows.add(at, tier or "utterances", parse_time(match[1]), parse_time(match[2]), label)
            is_cue, spoken = False, True
        elif line.split()[0] in _UNSPOKEN and not is_cue:
            spoken = False
        elif spoken and "-->" not in following:
            rows.faults.add(number, "belongs to no cue; expected start --> end, and text below it")
    if not rows.intervals and not rows.faults:
        rows.faults.add(1, "there is no cue; expected start --> end, and text below it")
    return rows.finish()
