"""A file or an array becomes 16 kHz mono samples, windows of them, and log-mel input.

This is the only audio front end: a corpus, an upload and a microphone all come through `stream`, so the same
recording gives the same samples whichever way it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from freud.audio.errors import AudioError
from freud.audio.reading import (
    AUDIO_SUFFIXES,
    SAMPLE_RATE,
    AudioInfo,
    decode,
    from_array,
    load,
    probe,
    stream,
)
from freud.audio.windows import HOP, SAMPLES_PER_FRAME, pad, valid_frames, windows

if TYPE_CHECKING:
    from freud.audio.mel import log_mel

__all__ = [
    "AUDIO_SUFFIXES",
    "HOP",
    "SAMPLES_PER_FRAME",
    "SAMPLE_RATE",
    "AudioError",
    "AudioInfo",
    "decode",
    "from_array",
    "load",
    "log_mel",
    "pad",
    "probe",
    "stream",
    "valid_frames",
    "windows",
]


def __getattr__(name: str) -> Any:
    if name == "log_mel":  # needs torch, which takes a second to import
        from freud.audio.mel import log_mel

        return log_mel
    raise AttributeError(f"module 'freud.audio' has no attribute {name!r}")
