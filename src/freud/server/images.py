"""Pictures of sound as bytes: a header of 32 bytes, then a byte a value, column after column, lowest frequency first.

| bytes | type | |
|---|---|---|
| 0-3 | ASCII | `FRIM` |
| 4-7 | uint32 | rows: frequency bins |
| 8-11 | uint32 | columns |
| 12-15 | float32 | seconds a column |
| 16-19 | float32 | time of the left edge of the first column, in seconds |
| 20-23 | float32 | what byte 0 stands for |
| 24-27 | float32 | what byte 255 stands for |
| 28-31 | float32 | frequency at the top edge in hertz, negated for a mel scale |

All little-endian. Values between are linear.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from starlette.responses import Response

from freud.errors import FreudError

HEADER = struct.Struct("<4sIIfffff")
MAGIC = b"FRIM"


@dataclass(frozen=True, eq=False)
class Image:
    """A picture of sound.

    Attributes:
        values: float32 [columns, rows], lowest frequency first.
        step: seconds a column.
        start: time of the left edge, in seconds.
        top_hertz: frequency at the top edge.
        mel: whether frequencies are on the mel scale; linear otherwise.
    """

    values: np.ndarray
    step: float
    start: float
    top_hertz: float
    mel: bool

    def to_bytes(self) -> bytes:
        """The picture in the format above; the range is that of its values."""
        columns, rows = self.values.shape
        low, high = (float(self.values.min()), float(self.values.max())) if self.values.size else (0.0, 1.0)
        top = -self.top_hertz if self.mel else self.top_hertz
        return HEADER.pack(MAGIC, rows, columns, self.step, self.start, low, high, top) + self.bytes_of(low, high)

    def bytes_of(self, low: float, high: float) -> bytes:
        """A byte a value, column after column; `low` is 0 and `high` 255."""
        scaled = (self.values - low) * (255 / (high - low) if high > low else 0)
        return np.clip(scaled.round(), 0, 255).astype(np.uint8).tobytes()


def part(picture: bytes, start: float | None, end: float | None, most: int) -> bytes:
    """A span of a picture in at most `most` columns, each the mean of several where there are more.

    Args:
        picture: in the format above.
        start: of the span in seconds; None for the beginning.
        end: its end; None for the end.
        most: columns.

    Raises:
        FreudError: nothing of the picture is in the span.
    """
    _, rows, columns, step, left, low, high, top = HEADER.unpack_from(picture)
    values = np.frombuffer(picture, np.uint8, offset=HEADER.size).reshape(columns, rows)
    slack = 1e-3  # of a column: the header's numbers are float32
    first = 0 if start is None else max(0, math.floor((start - left) / step + slack))
    last = columns if end is None else min(columns, math.ceil((end - left) / step - slack))
    if first >= last:
        raise FreudError(f"span {start or 0:g}..{end or columns * step:g} s: the clip has {columns * step:.2f} s")
    joined = -(-(last - first) // most)
    if joined == 1 and last - first == columns:
        return picture
    values = values[first:last]
    if joined > 1:
        edges = np.arange(0, len(values), joined)
        sums = np.add.reduceat(values, edges, axis=0, dtype=np.uint32)
        values = (sums // np.diff(edges, append=len(values))[:, None]).astype(np.uint8)
    header = HEADER.pack(MAGIC, rows, len(values), step * joined, left + first * step, low, high, top)
    return header + values.tobytes()


def image_response(data: bytes) -> Response:
    """A picture as an answer that the browser may keep for a while.

    It goes as it is: compressing takes longer than all the rest, and makes it a quarter smaller.
    """
    headers = {"Cache-Control": "private, max-age=3600", "Content-Encoding": "identity"}
    return Response(data, media_type="application/octet-stream", headers=headers)
