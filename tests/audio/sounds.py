"""Making small recordings for the tests."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

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


ONSETS = (0.5, 1.0, 2.2)  # seconds at which bursts begin


def bursts(rate: int, seconds: float = 3.0, at: tuple[float, ...] = ONSETS) -> np.ndarray:
    """float32 [samples]: silence with a burst of 100 ms at each time, at half of full scale."""
    samples = np.zeros(round(seconds * rate), np.float32)
    wave = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate // 10) / rate) * np.hanning(rate // 10) ** 0.1
    for onset in at:
        start = round(onset * rate)
        samples[start : start + len(wave)] = wave[: max(0, len(samples) - start)]
    return samples


def onsets(samples: np.ndarray, rate: int = 16_000, threshold: float = 0.05) -> list[float]:
    """Seconds at which sound begins after at least 50 ms without."""
    loud = np.flatnonzero(np.abs(samples) > threshold)
    if not len(loud):
        return []
    first = np.concatenate([[True], np.diff(loud) > 0.05 * rate])
    return [round(float(index) / rate, 3) for index in loud[first]]


def encode(
    codec: str,
    kind: str,
    samples: np.ndarray,
    rate: int = 48_000,
    *,
    later: Callable[[float], float] = lambda _: 0.0,
    video_seconds: float = 0,
    options: dict[str, str] | None = None,
    layout: str = "mono",
) -> bytes:
    """A file of mono samples from FFmpeg.

    Args:
        codec: FFmpeg's name of the codec.
        kind: FFmpeg's name of the container.
        samples: float32 [n].
        rate: samples a second.
        later: by how many seconds a packet's time stamp is moved, by its time.
        video_seconds: length of a picture track beside the sound, from 0 on.
        options: of the container.
        layout: the channels that the samples are copied to.
    """
    file, packets = io.BytesIO(), []
    with av.open(file, "w", format=kind, options=options or {}) as container:
        video = container.add_stream("libvpx" if kind == "webm" else "mpeg4", rate=10) if video_seconds else None
        stream = container.add_stream(codec, rate=rate, layout=layout)
        stream.time_base = Fraction(1, rate)
        stream.bit_rate = 64_000
        if video is not None:
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
            for number in range(round(10 * video_seconds)):
                picture = av.VideoFrame(64, 64, "yuv420p")
                picture.pts, picture.time_base = number, Fraction(1, 10)
                packets += video.encode(picture)
            packets += video.encode(None)
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate, size)
        whole = av.AudioFrame.from_ndarray((samples[None] * 32767).astype(np.int16), format="s16p", layout="mono")
        whole.sample_rate, whole.pts, whole.time_base = rate, 0, Fraction(1, rate)
        for frame in [*resampler.resample(whole), *resampler.resample(None)]:
            frame.pts += round(later(frame.pts / rate) * rate)
            frame.time_base = Fraction(1, rate)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return file.getvalue()


def write_with_libsndfile(kind: str, subtype: str, samples: np.ndarray, rate: int = 16_000) -> bytes:
    """A file from libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()
