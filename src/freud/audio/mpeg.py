"""The frames of a bare MPEG audio file (MP3, MP2), counted one by one.

Such a file has no header. A tag in its first frame (Xing, Info or VBRI) may count the frames that follow, and that
count is wrong as soon as two files are put behind each other, or the end is missing. So the frames are counted here,
and files that were joined are taken apart: each part has its own delay and padding, and is decoded by itself.
Sources: ISO 11172-3, 2.4.1.3; the Xing, LAME and VBRI tags as LAME and Fraunhofer describe them.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from freud.audio.layout import read_at
from freud.audio.view import Piece

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version bits
_KBITS = {  # by (MPEG-1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SEARCH = 1 << 20  # bytes before the first frame that are searched
_MARK = re.compile(rb"\xff[\xe2-\xe7\xf2-\xff]|ID3[\x02-\x04]\x00|APETAGEX")  # where a frame or a tag may begin
_SURE = 4  # frames in a row that cannot be chance


@dataclass(frozen=True)
class Frame:
    """One frame header: 11 bits of sync, version, layer, bit rate, sample rate, padding, channels."""

    length: int
    samples: int
    rate: int
    channels: int
    layer: int
    side: int
    """Bytes from the header's end to where a Xing tag would be."""


class _Tag(NamedTuple):
    """The last fields of `Part`."""

    counted: int | None
    stated_bytes: int | None
    count_at: int | None
    bytes_at: int | None
    trimmed: int


@dataclass
class Part:
    """What one encoder wrote: consecutive frames."""

    start: int
    end: int
    frames: int
    frame: Frame
    counted: int | None
    """Frames by its tag; None if there is no tag, or one without a count."""
    stated_bytes: int | None
    """Bytes by its tag, the tag's own frame included."""
    count_at: int | None
    """Where its tag states the count of frames."""
    bytes_at: int | None
    """Where its tag states the count of bytes."""
    trimmed: int
    """Samples of delay and padding that its tag says to leave out."""

    @property
    def seconds(self) -> float:
        return (self.frames * self.frame.samples - self.trimmed) / self.frame.rate

    @property
    def stated_seconds(self) -> float:
        return ((self.counted or 0) * self.frame.samples - self.trimmed) / self.frame.rate

    @property
    def is_cut(self) -> bool:
        """Whether frames that its tag counts are missing. Some encoders count the tag's own frame; the bytes tell."""
        if self.counted is None or self.frames >= self.counted:
            return False
        return self.stated_bytes is None or self.end - self.start < self.stated_bytes

    @property
    def is_complete(self) -> bool:
        """Whether both numbers of its tag are reached: what follows is another part."""
        return self.frames == self.counted and self.end - self.start == self.stated_bytes


@dataclass
class Stream:
    """All of a file."""

    parts: list[Part]
    junk: int
    """Bytes that are neither frames nor tags."""
    cut_frame: bool
    """Whether the file ends within a frame."""


def parse_frame(head: bytes) -> Frame | None:
    """The frame that starts with these four bytes, or None. Frames of free bit rate are not known here."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    kbits, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or kbits in {0, 15} or rate == 3 or head[3] & 3 == 2:
        return None
    first = version == 3
    hertz, bits = _RATES[version][rate], _KBITS[first, layer][kbits - 1] * 1000
    channels = 1 if head[3] >> 6 == 3 else 2
    if layer == 1:
        return Frame((12 * bits // hertz + padding) * 4, 384, hertz, channels, layer, 0)
    samples = 1152 if first or layer == 2 else 576
    side = (17 if channels == 1 else 32) if first else (9 if channels == 1 else 17)
    return Frame(samples // 8 * bits // hertz + padding, samples, hertz, channels, layer, side)


def read_stream(raw: BinaryIO, size: int) -> Stream | None:
    """Count the frames of a file of `size` bytes; None if it is not MPEG audio."""
    at, junk, parts = 0, 0, []
    part: Part | None = None
    cut_frame = False
    while at < size:
        head = read_at(raw, at, 4)
        if tag := _tag_length(raw, at, head):
            at, part = at + tag, None
            continue
        frame = parse_frame(head)
        if frame and at + frame.length > size:
            cut_frame = part is not None and _alike(frame, part.frame)
            at = size
            continue
        is_new = part is None or (frame is not None and not _alike(frame, part.frame))
        if frame is None or (is_new and not _is_sure(raw, at, size, not parts)):
            start, part = at, None
            at = _find_frame(raw, at + 1, size, not parts)
            if at is None:
                if not parts:
                    return None
                at = size
            junk += at - start if _has_content(raw, start, at) else 0
            continue
        tag = _read_count(raw, at, frame)
        if part is None or is_new or tag or part.is_complete:
            part = Part(at, at, 0 if tag else 1, frame, *(tag or _Tag(None, None, None, None, 0)))
            parts.append(part)
        else:
            part.frames += 1
        at += frame.length
        part.end = at
    if not parts or junk > sum(part.end - part.start for part in parts):
        return None
    return Stream(parts, junk, cut_frame)


def corrected_pieces(raw: BinaryIO, part: Part) -> list[Piece]:
    """The part as a file of its own, with true numbers in its tag (of bytes, mpg123 complains about 1 % on stderr)."""
    length = part.end - part.start
    pieces: list[Piece] = [(part.start, part.end)]
    if part.bytes_at and abs(length - (part.stated_bytes or 0)) > 0.005 * length:
        pieces = [(part.start, part.bytes_at), length.to_bytes(4, "big"), (part.bytes_at + 4, part.end)]
    if part.count_at and part.counted != part.frames:
        first = [(part.start, part.count_at), part.frames.to_bytes(4, "big")]
        pieces = [*first, (part.count_at + 4, pieces[0][1]), *pieces[1:]]  # the count stands before the bytes
    return pieces


def _alike(frame: Frame, other: Frame) -> bool:
    return (frame.rate, frame.channels, frame.layer) == (other.rate, other.channels, other.layer)


def _is_sure(raw: BinaryIO, at: int, size: int, first: bool) -> bool:
    """Whether enough frames follow each other from `at` on, or frames and tags reach the end of the file."""
    for _ in range(_SURE if first else 2):
        frame = parse_frame(read_at(raw, at, 4))
        if frame is None:
            return bool(_tag_length(raw, at, read_at(raw, at, 4)))
        at += frame.length
        if at >= size:
            return True
    return True


def _find_frame(raw: BinaryIO, at: int, size: int, first: bool) -> int | None:
    """The next position from which frames follow each other, or that of a tag."""
    limit = min(size, at + _SEARCH) if first else size
    while at < limit:
        block = read_at(raw, at, 1 << 16)
        for match in _MARK.finditer(block):
            position = at + match.start()
            if match[0][0] != 0xFF or (parse_frame(read_at(raw, position, 4)) and _is_sure(raw, position, size, first)):
                return position
        if len(block) < 1 << 16:
            return None
        at += len(block)
    return None


def _tag_length(raw: BinaryIO, at: int, head: bytes) -> int:
    """Length of the ID3v2, ID3v1, APE or Lyrics3 tag at `at`, or 0."""
    if head[:3] == b"ID3":
        flags, *digits = read_at(raw, at + 5, 5)
        length = sum((digit & 127) << shift for digit, shift in zip(digits, (21, 14, 7, 0), strict=True))
        return 10 + length + (10 if flags & 0x10 else 0)
    if head[:3] == b"TAG":
        return 128
    if head == b"APET":
        length, _, flags = struct.unpack("<III", read_at(raw, at + 12, 12))
        return 32 + (length if flags & 1 << 29 else 0)  # a header states the items and the footer; a footer is last
    if head == b"LYRI":
        rest = read_at(raw, at, 1 << 16)
        end = rest.find(b"LYRICS200")
        return end + 9 if end >= 0 else 0
    return 0


def _has_content(raw: BinaryIO, start: int, end: int) -> bool:
    return bool(read_at(raw, start, min(end - start, 1 << 16)).strip(b"\0"))


def _read_count(raw: BinaryIO, position: int, frame: Frame) -> _Tag | None:
    """The tag in a frame; None if the frame holds sound."""
    if frame.layer != 3:
        return None
    data = read_at(raw, position, frame.length)
    start = 4 + frame.side
    if data[36:40] == b"VBRI":
        _, _, total, count = struct.unpack(">HHII", data[42:54])
        return _Tag(count, total, position + 50, None, 0)
    if data[start : start + 4] not in {b"Xing", b"Info"}:
        start += 2  # behind a checksum
        if data[start : start + 4] not in {b"Xing", b"Info"}:
            return None
    flags = int.from_bytes(data[start + 4 : start + 8], "big")
    at, count, total, count_at, bytes_at = start + 8, None, None, None, None
    if flags & 1:
        count_at = position + at
        count, at = int.from_bytes(data[at : at + 4], "big") or None, at + 4
    if flags & 2:
        bytes_at = position + at
        total, at = int.from_bytes(data[at : at + 4], "big") or None, at + 4
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    lame = data[at : at + 24]  # 9 bytes of name, 12 of settings, then two numbers of 12 bits
    trimmed = 0
    if len(lame) == 24 and lame[:4] in {b"LAME", b"Lavf", b"Lavc", b"L3.9"}:
        trimmed = (lame[21] << 4 | lame[22] >> 4) + ((lame[22] & 15) << 8 | lame[23])
    return _Tag(count, total, count_at, bytes_at, trimmed)
