"""Times as people and programs write them, and how a text shows that its lines start with them."""

from __future__ import annotations

import math
import re

_NUMBER = r"[-+]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?"
_CLOCK = r"-?(?:[0-9]+:)?[0-9]{1,3}:[0-9]{1,2}(?:[.,][0-9]+)?"
_TIME = re.compile(rf"(?:{_CLOCK}|{_NUMBER})")
# The first number takes a decimal comma that it can have: "2,500 people" is no pair of times, but "1,2,go" is. Spans
# as in "[00:00.5 - 00:01.5]" have decimals or colons: "3-5 people" is none.
_FINE = rf"(?:{_CLOCK}|[0-9]*[.,][0-9]+)"
_TWO_TIMES = re.compile(
    rf"\s*(?:(?>{_CLOCK}|{_NUMBER})\s*(?:[\s;,]|-->)\s*(?:{_CLOCK}|{_NUMBER})(?=[\s;,]|$)"
    rf"|[0-9]+,[0-9]+,(?![0-9])|[\[(]?\s*{_FINE}\s*(?:-+>?|–|—)\s*{_FINE}(?![0-9]))"
)


def parse_time(text: str) -> float:
    """Seconds, from `1.5`, `1,5`, `.5`, `15e-1`, or a clock: `0:01.5`, `00:00:01,500`.

    Raises:
        ValueError: it is none of these, or not finite.
    """
    text = text.strip()
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    *clock, last = text.replace(",", ".").split(":")
    value = float(last)
    if clock:
        parts = [*(int(part.lstrip("-")) for part in clock), value]
        if any(part >= 60 for part in parts[1:]):
            raise ValueError(text)
        value = sum(part * 60**power for power, part in enumerate(reversed(parts)))
        value = -value if text.startswith("-") else value
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def is_time(text: str) -> bool:
    try:
        parse_time(text)
    except ValueError:
        return False
    return True


def starts_with_times(line: str) -> bool:
    """Whether a line starts with two times, with a blank, a tab, a comma, a semicolon or `-->` between them."""
    return _TWO_TIMES.match(line) is not None
