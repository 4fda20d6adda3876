"""Whether an MP4, Matroska or ASF file is whole: each is a chain of boxes that state their own lengths.

Sources: ISO 14496-12 (boxes), RFC 8794 and RFC 9559 (EBML, Matroska), Microsoft's ASF specification, 3.2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_NAME = re.compile(rb"[\w \xa9-]{4}")  # of a box
_UNKNOWN = -1
MP4 = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot"})  # names of a first box


@dataclass(frozen=True)
class Boxes:
    """What the chain says."""

    is_cut: bool = False
    """Whether the last box ends beyond the file."""
    files: int = 1
    """How many files lie one behind the other."""
    fragmented: bool = False
    """MP4 alone: whether it is in fragments, whose times may start anywhere."""
    is_edited: bool = False
    """MP4 alone: whether a track of sound is put together from several pieces, or played at another speed."""


def read_boxes(raw: BinaryIO, size: int) -> Boxes | None:
    """Walk the boxes of a file of `size` bytes; None if it is of another kind."""
    raw.seek(0)
    head = raw.read(16)
    try:
        if head[4:8] in MP4:
            return _walk_mp4(raw, size)
        if head.startswith(b"\x1a\x45\xdf\xa3"):
            return _walk_ebml(raw, size)
        if head == _ASF_HEADER:
            return _check_asf(raw, size)
    except (struct.error, ValueError, IndexError):
        return Boxes(is_cut=True)
    return None


def _walk_mp4(raw: BinaryIO, size: int) -> Boxes:
    names, end, is_edited = [], 0, False
    for name, start, end in _children(raw, 0, size):
        names.append(name)
        if name == b"moov" and end <= size:
            is_edited |= any(_is_edited(raw, *track) for box, *track in _children(raw, start, end) if box == b"trak")
    whole = {b"moov", b"mdat"} <= set(names) or b"moof" in names
    is_cut = end > size or not whole or names[-1] == b"moof"
    return Boxes(is_cut, max(1, names.count(b"moov")), b"moof" in names, is_edited)


def _children(raw: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start and end of the content) of the boxes from `at` on, up to padding, or what else is no box."""
    while at + 8 <= end:
        raw.seek(at)
        length, name, large = struct.unpack(">I4sQ", raw.read(16).ljust(16, b"\0"))
        start = at + (16 if length == 1 else 8)
        at += large if length == 1 else length or end - at  # 0: to the end
        if not _NAME.fullmatch(name) or at < start:
            return
        yield name, start, at


def _is_edited(raw: BinaryIO, start: int, end: int) -> bool:
    """Whether a track is one of sound, and has more edits than an empty one and the one that follows it."""
    boxes = {name: (first, last) for name, first, last in _children(raw, start, end)}
    media = {name: first for name, first, _ in _children(raw, *boxes.get(b"mdia", (0, 0)))}
    edits = {name: first for name, first, _ in _children(raw, *boxes.get(b"edts", (0, 0)))}
    if b"hdlr" not in media or b"elst" not in edits:
        return False
    raw.seek(media[b"hdlr"] + 8)
    if raw.read(4) != b"soun":
        return False
    raw.seek(edits[b"elst"])
    version, count = struct.unpack(">B3xI", raw.read(8))
    edit = struct.Struct(">QqI" if version else ">IiI")
    entries = list(edit.iter_unpack(raw.read(min(count, 1000) * edit.size)))
    if entries and entries[0][1] == -1:
        entries = entries[1:]
    return len(entries) > 1 or any(media_time < 0 or rate != 1 << 16 for _, media_time, rate in entries)


# Matroska: elements that hold others, and are walked into where their length is unknown
_SEGMENT, _CLUSTER, _HEADER = 0x18538067, 0x1F43B675, 0x1A45DFA3


def _walk_ebml(raw: BinaryIO, size: int) -> Boxes:
    at, headers, segment_end = 0, 0, size
    while at < size:
        raw.seek(at)
        head = raw.read(12)
        name, width = _read_number(head, keep_marker=True)
        length, more = _read_number(head[width:], keep_marker=False)
        if not name or not more:
            is_cut = len(head) < 12 and size - at < 12
            return Boxes(is_cut and bool(head.strip(b"\0")), headers)
        start = at + width + more
        headers += name == _HEADER
        if at >= segment_end and name != _HEADER:
            return Boxes(False, headers)  # something else behind the file
        if name == _SEGMENT:
            segment_end = size if length == _UNKNOWN else start + length
            if segment_end > size:
                return Boxes(True, headers)
        if name == _SEGMENT or (length == _UNKNOWN and name == _CLUSTER):
            at = start
        elif length == _UNKNOWN:
            return Boxes(False, headers)
        else:
            at = start + length
    return Boxes(at > size, headers)


def _read_number(data: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """(value, bytes) of an EBML number of variable size; a length of all ones is unknown."""
    if not data or not data[0]:
        return 0, 0
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return 0, 0
    value = int.from_bytes(data[:width], "big")
    if keep_marker:
        return value, width
    value &= (1 << 7 * width) - 1
    return (_UNKNOWN if value == (1 << 7 * width) - 1 else value), width


_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def _check_asf(raw: BinaryIO, size: int) -> Boxes:
    """The file properties state the size of the file, unless it was broadcast."""
    raw.seek(16)
    length = struct.unpack("<Q", raw.read(8))[0]
    raw.seek(0)
    header = raw.read(min(length, 1 << 20))
    at = header.find(_ASF_FILE)
    if length > size or at < 0:
        return Boxes(is_cut=length > size)
    stated = struct.unpack("<Q", header[at + 40 : at + 48])[0]
    broadcast = struct.unpack("<I", header[at + 88 : at + 92])[0] & 1
    return Boxes(is_cut=not broadcast and stated > size)
