"""Bare streams of frames without a header that counts them: AAC in ADTS, and AMR.

Nothing states their length, so a file that was cut between two frames cannot be told from a whole one; one that was cut
within a frame can. Sources: ISO 13818-7 (ADTS), RFC 4867 (AMR and AMR-WB files).
"""

from __future__ import annotations

from typing import BinaryIO

_AMR = {  # bytes of a frame by its mode, the byte that names the mode included; 0 is not defined
    b"#!AMR\n": (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1),
    b"#!AMR-WB\n": (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1),
}
AMR_SECONDS = 0.02  # of a frame


def read_amr(raw: BinaryIO, size: int) -> tuple[list[tuple[int, int, int]], bool] | None:
    """(start, end, frames) of each AMR file behind the other, and whether the last ends within a frame."""
    parts: list[tuple[int, int, int]] = []
    at, sizes = 0, None
    while at < size:
        raw.seek(at)
        head = raw.read(9)
        magic = next((magic for magic in _AMR if head.startswith(magic)), None)
        if magic:
            sizes = _AMR[magic]
            parts.append((at, at + len(magic), 0))
            at += len(magic)
            continue
        if sizes is None:
            return None
        length = sizes[head[0] >> 3 & 15]
        if not length:
            return None
        start, _, frames = parts[-1]
        if at + length > size:
            return parts, True
        at += length
        parts[-1] = (start, at, frames + 1)
    return (parts, False) if parts else None


def ends_within_adts_frame(raw: BinaryIO, size: int) -> bool:
    """Whether an ADTS file ends before its last frame does; False if that cannot be told."""
    at = 0
    while at + 7 <= size:
        raw.seek(at)
        head = raw.read(10)
        if head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
            length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
            if length < 7:
                return False
            if at + length > size:
                return True
            at += length
        elif head[:3] == b"ID3" and len(head) == 10:
            at += 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        else:
            return False
    return at < size and raw.seek(at) == at and raw.read(1) == b"\xff"
