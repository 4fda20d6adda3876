"""The pages of an Ogg file: whether it is whole, and the streams that were chained in it.

Every logical stream ends with a page that is marked as its last (RFC 3533), so a cut file can be told. A file may hold
one stream behind the other ("chained", as internet radio and `cat` make it); readers stop after the first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_CONTINUED, _FIRST, _LAST = 1, 2, 4  # flags of a page


@dataclass
class Link:
    """The streams that begin together: one, or several side by side."""

    start: int
    end: int
    open: set[int]
    """Serial numbers of streams without a last page."""
    lost: bool = False
    """Whether pages are missing in the middle."""


def read_links(raw: BinaryIO, size: int) -> tuple[list[Link], bool] | None:
    """The chained links of an Ogg file, and whether it ends within a page; None if a page is damaged."""
    at, links = 0, []
    sequence: dict[int, int] = {}
    started = False  # whether pages other than first ones were read in this link
    while at < size:
        raw.seek(at)
        head = raw.read(27)
        if not head.startswith(b"OggS"):
            if len(head) < 27 and b"OggS".startswith(head[:4]):
                return links, True
            return (links, False) if links and not links[-1].open and not head.strip(b"\0") else None
        table = raw.read(head[26]) if len(head) == 27 else b""
        end = at + 27 + len(table) + sum(table)
        if len(head) < 27 or len(table) < head[26] or end > size:
            return links, True
        flags = head[5]
        serial, number = struct.unpack("<II", head[14:22])
        if flags & _FIRST:
            if started or not links:
                links.append(Link(at, at, set()))
                sequence, started = {}, False
            links[-1].open.add(serial)
        elif not links:
            return None
        else:
            started = True
            links[-1].lost |= number != sequence.get(serial, number - 1) + 1
        sequence[serial] = number
        if flags & _LAST:
            links[-1].open.discard(serial)
        links[-1].end = at = end
    return links, False
