"""Making small recordings for the tests."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

SECONDS = 1.5


def tone(rate: int, channels: int = 1, hertz: float = 440.0, seconds: float = SECONDS) -> np.ndarray:
    """[samples, channels] of a sine at half of full scale."""
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def write_with_ffmpeg(path: Path, codec: str, rate: int, seconds: float = SECONDS) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(tone(rate, 2, seconds=seconds).T.copy(), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_pcm_with_ffmpeg(path: Path, samples: np.ndarray, rate: int) -> None:
    """Write [channels, samples] between -1 and 1 as 16-bit integers."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout="mono" if len(samples) == 1 else "stereo")
        integers = np.ascontiguousarray(np.round(samples.T * 32767).astype(np.int16).reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(integers, format="s16", layout=stream.layout.name)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
