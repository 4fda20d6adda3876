"""The pages of an Ogg file: whether it is whole, and the streams that were chained in it.

Every logical stream ends with a page that is marked as its last (RFC 3533), so a cut file can be told. A file may hold
one stream behind the other ("chained", as internet radio and `cat` make it), of which readers take the first; and where
a page is damaged, libsndfile joins what is on both sides of it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import BinaryIO

_FIRST, _LAST = 2, 4  # flags of a page
_SOUND = (b"\x01vorbis", b"OpusHead", b"Speex   ", b"\x7fFLAC", b"fLaC", b"PCM     ")  # beginnings of first pages
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass
class Link:
    """The streams that begin together: one, or several side by side."""

    start: int
    end: int
    open: set[int] = field(default_factory=set)
    """Serial numbers of streams of sound without a last page; pictures and the like often have none."""
    lost: bool = False
    """Whether pages are missing or damaged in the middle."""


@dataclass
class Pages:
    """All of a file."""

    links: list[Link] = field(default_factory=list)
    ends_within_page: bool = False
    junk: int = 0
    """Bytes that are no page."""


def read_pages(raw: BinaryIO, size: int) -> Pages:
    """Walk through the pages of an Ogg file of `size` bytes."""
    pages, at = Pages(), 0
    sequence: dict[int, int] = {}
    started = False  # whether pages other than first ones were read in this link
    while at < size:
        raw.seek(at)
        head = raw.read(27)
        if not head.startswith(b"OggS"):
            if b"OggS".startswith(head):
                pages.ends_within_page = True
                break
            following = _find_page(raw, at + 1, size)
            pages.junk += following - at
            at = following
            continue
        table = raw.read(head[26]) if len(head) == 27 else b""
        end = at + 27 + len(table) + sum(table)
        if len(head) < 27 or len(table) < head[26] or end > size:
            pages.ends_within_page = True
            break
        content = raw.read(sum(table))
        if not _is_intact(head, table + content):
            at = end  # its number is missing, so that the next page shows the loss
            continue
        serial, number = struct.unpack("<II", head[14:22])
        if head[5] & _FIRST:
            if started or not pages.links:
                pages.links.append(Link(at, at))
                sequence, started = {}, False
            if content.startswith(_SOUND):
                pages.links[-1].open.add(serial)
        elif pages.links:
            started = True
            pages.links[-1].lost |= number != sequence.get(serial, number - 1) + 1
        else:
            pages.junk += end - at
            at = end
            continue
        sequence[serial] = number
        if head[5] & _LAST:
            pages.links[-1].open.discard(serial)
        pages.links[-1].end = at = end
    return pages


def _find_page(raw: BinaryIO, at: int, size: int) -> int:
    while at < size:
        raw.seek(at)
        block = raw.read(1 << 16)
        position = block.find(b"OggS")
        if position >= 0:
            return at + position
        at += max(1, len(block) - 3)
    return size


def _is_intact(head: bytes, rest: bytes) -> bool:
    """Whether the page's checksum is right: CRC-32 with the bits of each byte in the other order than zlib's."""
    crc = zlib.crc32((head[:22] + bytes(4) + head[26:] + rest).translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{crc:032b}"[::-1], 2) == struct.unpack("<I", head[22:26])[0]
