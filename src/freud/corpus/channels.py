"""Which channel of a recording a label is about.

A CTM names a channel in every row: by letters or by numbers from 1, as NIST's scoring tools do, or by numbers from 0.
Kaldi writes 1 whatever the channel is, so a file that names nothing else does not say which channel it means.
"""

from __future__ import annotations

from collections.abc import Iterable

DEFAULT = frozenset({"1"})  # what tools write that know nothing of channels


def channel_numbers(names: Iterable[str]) -> dict[str, int | None]:
    """Channels from 0 by their names in one label file; None for a name that is no channel's.

    "A" and "1" are the first; where "0" occurs, numbers count from it.
    """
    names = set(names)
    first = 0 if "0" in names else 1
    return {name: _number(name, first) for name in names}


def channel_name(channel: int) -> str:
    """The name of a channel as a letter, which says where counting starts: 0 -> "A"."""
    return chr(ord("A") + channel)


def _number(name: str, first: int) -> int | None:
    if name.isascii() and name.isdecimal():
        return int(name) - first
    if len(name) == 1 and name.isascii() and name.isalpha():
        return ord(name.upper()) - ord("A")
    return None
