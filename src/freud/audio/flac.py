"""Whether the count of samples in a FLAC header can be true, without decoding the file.

Each frame of a FLAC file carries its own number, and a checksum of its header. The last one must end at the count of
the header, and the numbers must rise through the file; else something was put behind it, or the count is wrong.
Source: RFC 9639.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

_SYNC = re.compile(rb"\xff[\xf8\xf9][\x10-\xfe][\x00-\xaf]")  # and a size, a rate and channels that there can be
_HEADER = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # and a block of stream info, of 34 bytes
_HEADER_BYTES = 8
_WINDOW = 1 << 15  # bytes to search for a frame where the header does not say how long frames are
_SMALL = 1 << 20  # bytes up to which a file is searched for a second header; larger ones are sampled
_CODED_SIZES = {1: 192, **{n: 576 << (n - 2) for n in range(2, 6)}, **{n: 256 << (n - 8) for n in range(8, 16)}}


@dataclass(frozen=True)
class StreamInfo:
    """The fields of a FLAC header that count."""

    block: int
    """Samples of a block, at most."""
    frame_bytes: int
    """Bytes of a frame, at most; 0 if unknown."""
    rate: int
    total: int
    """Samples of a channel; 0 if unknown."""


def read_stream_info(raw: BinaryIO) -> StreamInfo | None:
    """Read the header at the start of a file, behind an ID3 tag if there is one; None if it is no FLAC file."""
    raw.seek(0)
    head = raw.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        start = 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    raw.seek(start)
    data = raw.read(42)
    if data[:4] != b"fLaC" or data[4] & 127 or len(data) < 42:
        return None
    bits = int.from_bytes(data[18:26], "big")
    return StreamInfo(
        int.from_bytes(data[10:12], "big"),
        int.from_bytes(data[15:18], "big"),
        bits >> 44,
        bits & (1 << 36) - 1,
    )


def is_count_doubtful(raw: BinaryIO, size: int, info: StreamInfo) -> bool:
    """Whether frames contradict the count in the header; a file that is cut short is not told from here."""
    window = min(2 * info.frame_bytes or _WINDOW, 4 * _WINDOW) + 64
    ends = [end for _, end in _frames(raw, max(0, size - window), window, info)]
    if ends and info.total not in ends and max(ends) != info.total:
        return True
    if size <= _SMALL:
        raw.seek(4)
        return b"fLaC" in raw.read()
    last = 0
    for eighth in range(1, 8):
        at = size * eighth // 8
        starts = [start for start, _ in _frames(raw, at, min(window, size - at), info)]
        if starts:
            if not last <= starts[0] <= info.total:
                return True
            last = starts[0]
    return False


def find_files(raw: BinaryIO, size: int) -> list[tuple[int, int]]:
    """[start, end) of each FLAC file of those that lie one behind the other: a header is longer than chance."""
    starts, tail = [], b""
    for at in range(0, size, 1 << 20):
        raw.seek(at)
        block = tail + raw.read(1 << 20)
        starts += [at - len(tail) + match.start() for match in _HEADER.finditer(block)]
        tail = block[-(_HEADER_BYTES - 1) :]
    return list(zip(starts, [*starts[1:], size], strict=True))


def _frames(raw: BinaryIO, at: int, window: int, info: StreamInfo) -> list[tuple[int, int]]:
    """(first sample, end) of the frames whose headers lie in a part of the file."""
    raw.seek(at)
    data = raw.read(window)
    frames = (_parse_frame(data[match.start() : match.start() + 17], info) for match in _SYNC.finditer(data))
    return [frame for frame in frames if frame]


def _parse_frame(head: bytes, info: StreamInfo) -> tuple[int, int] | None:
    """(first sample, end) by a frame's header, or None if its checksum is wrong."""
    if len(head) < 7 or head[3] & 1 or head[3] >> 4 > 10 or not head[2] >> 4 or head[2] & 15 == 15:
        return None
    width = 8 - (head[4] ^ 0xFF).bit_length() if head[4] & 0x80 else 1  # leading ones, as in UTF-8
    if width == 0 or (head[4] & 0xC0) == 0x80:
        return None
    number = head[4] if width == 1 else head[4] & (0x7F >> width)
    for byte in head[5 : 4 + width]:
        number = number << 6 | byte & 0x3F
    at, code = 4 + width, head[2] >> 4
    if code in {6, 7}:
        samples, at = int.from_bytes(head[at : at + code - 5], "big") + 1, at + code - 5
    else:
        samples = _CODED_SIZES.get(code, 0)
    at += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if at >= len(head) or _crc8(head[:at]) != head[at]:
        return None
    start = number if head[1] & 1 else number * info.block
    return start, start + samples


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc8_step(crc: int) -> int:
    """Shift a byte through the polynomial x^8 + x^2 + x + 1."""
    for _ in range(8):
        crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


_CRC8 = [_crc8_step(byte) for byte in range(256)]
