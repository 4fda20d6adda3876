"""A file seen through a correction: ranges of its bytes, and bytes of our own, read as if they were one file.

libsndfile and FFmpeg believe headers. Where a header is known to be wrong (a length that a pipe could not fill in, a
second file behind the first), they are given a view with the right header, and the file itself is never changed.
"""

from __future__ import annotations

import io
from typing import BinaryIO

Piece = bytes | tuple[int, int]  # bytes of our own, or [start, end) of the file


class View(io.RawIOBase):
    """A read-only file of `pieces`, one after the other. `raw` must stay open, and is sought in."""

    def __init__(self, raw: BinaryIO, pieces: list[Piece]) -> None:
        super().__init__()
        self._raw = raw
        self._pieces = [
            (piece, len(piece) if isinstance(piece, bytes) else max(0, piece[1] - piece[0])) for piece in pieces
        ]
        self._size = sum(length for _, length in self._pieces)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        target = memoryview(buffer).cast("B")
        filled, start = 0, 0
        for piece, length in self._pieces:
            skip = self._at - start
            if filled < len(target) and 0 <= skip < length:
                count = min(length - skip, len(target) - filled)
                if isinstance(piece, bytes):
                    part = piece[skip : skip + count]
                else:
                    self._raw.seek(piece[0] + skip)
                    part = self._raw.read(count)
                target[filled : filled + len(part)] = part
                filled += len(part)
                self._at += len(part)
                if len(part) < count:
                    break
            start += length
        return filled
