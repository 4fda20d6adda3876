"""Cutting a clip into windows of a model's context, without ever dropping its end.

A window knows where it starts in the clip, so that times shown to people are clip times. The last window is
as short as it comes; `pad` fills it with silence, and `valid_frames` says how many frames are real.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike

import numpy as np

from freud.audio.reading import stream

HOP = 160  # samples from one log-mel column to the next: 10 ms
SAMPLES_PER_FRAME = 320  # samples an encoder position stands for: 20 ms


def valid_frames(samples: int) -> int:
    """How many encoder frames `samples` samples at 16 kHz reach into; the rest of a window are pad frames."""
    return -(-samples // SAMPLES_PER_FRAME)


def pad(samples: np.ndarray, window_samples: int) -> np.ndarray:
    """Append silence up to a whole window: [n] -> [window_samples].

    Raises:
        ValueError: there are more samples than the window holds; cut them with `windows` first.
    """
    if len(samples) > window_samples:
        raise ValueError(f"{len(samples)} samples do not fit in a window of {window_samples}; use windows()")
    return np.pad(samples, (0, window_samples - len(samples)))


def windows(
    path: str | PathLike[str],
    window_samples: int,
    offset: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Cut a clip into consecutive windows while it is being read.

    Args:
        path: the audio file.
        window_samples: samples at 16 kHz in a window (Whisper: 480 000).
        offset: where the clip starts in the file, in seconds.
        duration: how long the clip is, in seconds; to the end of the file if not given.
        channel: the channel to read, counted from 0; all of them averaged if not given.

    Yields:
        (first sample of the window, counted from the start of the clip; float32 [1 ... window_samples])

    Raises:
        AudioError: as `stream`.
    """
    start, held, size = 0, [], 0
    for block in stream(path, offset, duration, channel):
        while size + len(block) >= window_samples:
            cut = window_samples - size
            yield start, np.concatenate([*held, block[:cut]])
            start, held, size, block = start + window_samples, [], 0, block[cut:]
        held.append(block)
        size += len(block)
    if size:
        yield start, np.concatenate(held)
