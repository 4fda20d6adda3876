"""Reading audio of any format, sample rate, channel count and bit depth as 16 kHz mono float32.

Files are decoded and resampled block by block, so a recording of any length needs the same memory. Whatever
is wrong with a file, the answer is one `AudioError` that names the file and the reason.
"""

from __future__ import annotations

import io
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePath
from typing import BinaryIO

import numpy as np
import soxr

from freud.audio.errors import AudioError
from freud.audio.sources import File, Source, check_rate, open_source

SAMPLE_RATE = 16_000  # what every speech model here expects

# What recordings of the formats that are read come as. Left out are suffixes that mostly hold something else:
# .mat (any MATLAB data), .htk (features), .xi and .sds (instruments), .raw, .pcm and .vox (no header).
_SUFFIXES = """
wav wave bwf rf64 w64 aif aiff aifc au snd caf sph nist wv1 wv2 voc avr paf pvf sf ircam 8svx svx
flac ogg oga ogv opus spx mp3 mp2 mpga m4a m4b m4r mp4 m4v mov qt 3gp 3gpp 3g2 webm weba mkv mka
aac adts amr awb wma wmv asf
"""
AUDIO_SUFFIXES = frozenset(f".{name}" for name in _SUFFIXES.split())

# Floats may overshoot 1: mixes do, by a few dB. 16 is 24 dB over, which no sound is; 16-bit numbers stored as floats
# are. Those are not scaled, because nothing says by what.
_LARGEST = 16.0


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about itself."""

    duration: float
    """Length in seconds."""
    sample_rate: int
    """Samples a second, before resampling."""
    channels: int
    """Channels, before they are averaged."""
    notes: tuple[str, ...] = ()
    """Sentences about a file that is read, but not plainly: a late start, a gap, a wrong length in its header."""


def probe(path: str | PathLike[str]) -> AudioInfo:
    """Read a file's length, sample rate and channels, without decoding it where its header says them.

    Files that only FFmpeg reads (m4a, webm, mp4 ...) are decoded: their headers round the length or lack it.

    Raises:
        AudioError: the file is missing, empty, not audio, without samples, or cut short.
    """
    with open_source(path, os.fspath(path)) as source:
        frames = source.count()
        return AudioInfo(frames / source.rate, source.rate, source.channels, tuple(source.notes))


def stream(
    path: str | PathLike[str], offset: float = 0.0, duration: float | None = None, channel: int | None = None
) -> Iterator[np.ndarray]:
    """Read a clip as consecutive blocks of 16 kHz mono samples; memory does not depend on its length.

    The rate is changed with a band-limited filter (soxr HQ) that runs across blocks.

    Args:
        path: the audio file.
        offset: where the clip starts in the file, in seconds.
        duration: how long the clip is, in seconds; to the end of the file if not given.
        channel: the channel to read, counted from 0; all of them averaged if not given.

    Yields:
        float32 [1 ...], about ten seconds at most

    Raises:
        AudioError: the file cannot be read, is cut short, holds NaN, infinity or floats far beyond 1, ends before the
            clip, or has no such channel.
    """
    yield from _stream(path, os.fspath(path), offset, duration, channel)


def load(
    path: str | PathLike[str], offset: float = 0.0, duration: float | None = None, channel: int | None = None
) -> np.ndarray:
    """Read a whole clip: what `stream` yields, in one array, float32 [samples] at 16 kHz.

    Raises:
        AudioError: as `stream`.
    """
    return np.concatenate(list(stream(path, offset, duration, channel)))


def decode(data: bytes | BinaryIO, name: str) -> np.ndarray:
    """Decode a file held in memory (an upload, a recording): the same samples as `load` of that file.

    It goes through a temporary file, because libsndfile reads some files differently from memory.

    Args:
        data: the file's bytes, or a binary file object.
        name: what to call it in error messages; it is never opened.

    Returns:
        float32 [samples] at 16 kHz

    Raises:
        AudioError: as `stream`.
    """
    suffix = PurePath(name).suffix.lower()
    with tempfile.TemporaryDirectory(prefix="freud-") as folder:
        path = Path(folder, "upload" + (suffix if suffix in AUDIO_SUFFIXES else ""))
        with path.open("wb") as file:
            shutil.copyfileobj(io.BytesIO(data) if isinstance(data, bytes) else data, file)
        return np.concatenate(list(_stream(path, name, 0.0, None, None)))


def from_array(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Bring samples to 16 kHz mono as `stream` does for a file that holds them.

    Args:
        samples: [n] or [n, channels]; floats as they are, integers scaled by their full range to -1 ... 1.
        sample_rate: samples a second.

    Returns:
        float32 [samples] at 16 kHz

    Raises:
        AudioError: the array is empty, has another shape or type, or holds NaN, infinite or far too large samples.
    """
    samples = np.asarray(samples)
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2 or (samples.shape[1] > 8 and samples.shape[1] > samples.shape[0]):
        raise AudioError(f"array of shape {list(samples.shape)}: expected [samples] or [samples, channels]")
    if samples.dtype.kind not in "iuf":
        raise AudioError(f"array of type {samples.dtype}: expected integers or floating point numbers")
    if sample_rate <= 0:
        raise AudioError(f"array at {sample_rate} Hz: expected a positive sample rate")
    check_rate(int(sample_rate), "array")
    blocks = _resampled(_checked(iter([samples]), int(sample_rate), "array"), int(sample_rate), "array")
    return np.concatenate(list(blocks))


# ---- from source to samples


def _stream(path: File, name: str, offset: float, duration: float | None, channel: int | None) -> Iterator[np.ndarray]:
    if not (math.isfinite(offset) and offset >= 0 and (duration is None or duration > 0)):
        raise AudioError(f"{name}: cannot read {duration} s from {offset} s: times must be positive")
    with open_source(path, name) as source:
        if channel is not None and not 0 <= channel < source.channels:
            count = "1 channel" if source.channels == 1 else f"{source.channels} channels"
            raise AudioError(f"{name}: has no channel {channel}: it has {count}, counted from 0")
        first = round(offset * source.rate)
        # The end is rounded by itself: rounding the length could overrun the file by a sample.
        end = None if duration is None else round((offset + duration) * source.rate)
        clip = _checked(_clip(source, first, end), source.rate, name, offset, channel)
        yield from _resampled(clip, source.rate, name)


def _clip(source: Source, first: int, end: int | None) -> Iterator[np.ndarray]:
    """Frames first ... end of a source, as blocks [n, channels]."""
    position = source.seek(first)
    for block in source.blocks():
        part = block[max(0, first - position) : None if end is None else max(0, end - position)]
        position += len(block)
        if len(part):
            yield part
        if end is not None and position >= end:
            return
    rate = source.rate
    if end is not None:
        raise AudioError(f"{source.name}: ends after {position / rate:.1f} s; the clip ends at {end / rate:.1f} s")
    if position <= first:
        started = f"; the clip starts at {first / rate:.1f} s" if first else ""
        raise AudioError(f"{source.name}: ends after {position / rate:.1f} s{started}")


def _checked(
    blocks: Iterator[np.ndarray], rate: int, name: str, offset: float = 0.0, channel: int | None = None
) -> Iterator[np.ndarray]:
    """[n, channels] of any type -> float32 [n], refusing NaN, infinity, and floats on another scale than -1 to 1."""
    position = 0
    for block in blocks:
        mono = _mono(block if channel is None else block[:, channel : channel + 1])
        finite = np.isfinite(mono)
        if not finite.all():
            at = offset + (position + int(finite.argmin())) / rate
            raise AudioError(f"{name}: holds samples that are not finite numbers (the first at {at:.3f} s)")
        peak = np.abs(mono).max(initial=0.0)
        if peak > _LARGEST:
            raise AudioError(
                f"{name}: holds samples of up to {peak:.6g}, but floats are read as -1 to 1; "
                "divide them by 32768 (if they are 16-bit numbers) and write them again"
            )
        position += len(mono)
        yield mono


def _mono(block: np.ndarray) -> np.ndarray:
    """Mean of the channels: [n, channels] of any type -> float32 [n], integers scaled to -1 ... 1."""
    scale = 1.0
    if block.dtype.kind == "i":
        scale = -float(np.iinfo(block.dtype).min)
    elif block.dtype.kind == "u":
        scale = (np.iinfo(block.dtype).max + 1) / 2
    wide = np.float64 if block.dtype.itemsize >= 4 and block.dtype != np.float32 else np.float32
    with np.errstate(invalid="ignore", over="ignore"):  # what comes of it is refused by name
        total = block[:, 0].astype(wide)
        for channel in range(1, block.shape[1]):
            total += block[:, channel]
        total /= block.shape[1] * scale
        if block.dtype.kind == "u":
            total -= 1.0
        return total.astype(np.float32, copy=False)


def _resampled(blocks: Iterator[np.ndarray], rate: int, name: str) -> Iterator[np.ndarray]:
    """float32 [n] at `rate` -> float32 [n] at 16 kHz. How the input is cut makes no difference to soxr."""
    produced = 0
    if rate == SAMPLE_RATE:
        for block in blocks:
            produced += len(block)
            yield block
    else:
        resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        for block in blocks:
            out = resampler.resample_chunk(block)
            produced += len(out)
            if len(out):
                yield out
        out = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        produced += len(out)
        if len(out):
            yield out
    if not produced:
        raise AudioError(f"{name}: holds no samples")
