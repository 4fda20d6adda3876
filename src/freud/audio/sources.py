"""An open audio file, read by libsndfile or by FFmpeg: its rate, its channels, and its blocks of samples.

libsndfile is fast and exact, so it is asked first; FFmpeg (through PyAV) reads the others. Both hide
cut files in their own ways (a shortened length, a log line, silence); here those become an `AudioError`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from os import PathLike
from typing import BinaryIO

import numpy as np
import soundfile

from freud.errors import FreudError

# Playlists (HLS, concat, DASH) are left out: they would make a file open other files.
_FFMPEG_FORMATS = "mov,matroska,webm,aac,asf,amr,mp3,wav,flac,ogg,aiff,au,caf,w64"
_BLOCK_SECONDS = 10
_BLOCK_VALUES = 1 << 22  # samples times channels in a block, at most: 16 MB as float32
_LONGEST = 1 << 48  # libsndfile gives 2**63 - 1 for "length unknown"

File = str | PathLike[str]


class AudioError(FreudError):
    """An audio file that cannot be used; the message names it and says why."""


@contextlib.contextmanager
def open_source(path: File, name: str) -> Iterator[SoundFile | Container]:
    """Open with libsndfile, or with FFmpeg where that cannot be done or cannot be trusted with the length."""
    try:
        with open(path, "rb") as raw:
            if os.fstat(raw.fileno()).st_size == 0:
                raise AudioError(f"{name}: the file is empty")
            sound = _soundfile(raw)
            if sound is not None:
                with sound:
                    says_length = sound.format != "MP3" or _mp3_says_length(path)
                    if says_length and 0 < sound.frames < _LONGEST:
                        yield SoundFile(sound, path, name)
                        return
            raw.seek(0)
            yield from _open_container(raw, name)
    except FileNotFoundError:
        raise AudioError(f"{name}: no such file") from None
    except OSError as error:
        raise AudioError(f"{name}: cannot be read: {(error.strerror or 'input error').lower()}") from None


def _soundfile(raw: BinaryIO) -> soundfile.SoundFile | None:
    """Open with libsndfile, if it knows the content; it is not told the suffix, by which it would guess."""
    try:
        return soundfile.SoundFile(raw.fileno(), closefd=False)
    except soundfile.SoundFileError:
        return None


def _open_container(raw: BinaryIO, name: str) -> Iterator[Container]:
    import av
    import av.error

    try:
        container = av.open(raw, options={"format_whitelist": _FFMPEG_FORMATS})
    except (av.error.FFmpegError, OSError, ValueError):
        raise _not_audio(name) from None
    with container:
        if not container.streams.audio:
            raise AudioError(f"{name}: has no audio stream")
        yield Container(container, name)


class SoundFile:
    """A file open in libsndfile, which knows its exact length."""

    def __init__(self, sound: soundfile.SoundFile, path: File, name: str) -> None:
        self.sound, self.path, self.name = sound, path, name
        self.rate, self.channels = sound.samplerate, sound.channels
        self._refuse_cut()

    def count(self) -> int:
        """Frames in the file, after checking that the last one is there."""
        if self.sound.format in {"FLAC", "MP3"}:  # the others are checked by size when opened
            try:
                self.sound.seek(self.sound.frames - 1)
                whole = len(self.sound.read(1)) == 1
            except soundfile.SoundFileError:
                whole = False
            if not whole:
                self._find_end()
        return self.sound.frames

    def seek(self, first: int) -> int:
        """Go to frame `first`, or before it (lossy formats start over); return where that is."""
        if self.sound.format in {"OGG", "MP3"}:
            return 0
        try:
            return self.sound.seek(min(first, self.sound.frames))
        except soundfile.SoundFileError:
            self._find_end()
            raise AudioError(f"{self.name}: damaged: cannot go to {first / self.rate:.1f} s") from None

    def blocks(self) -> Iterator[np.ndarray]:
        """float32 [n, channels] from the present position to the end."""
        size = _block_frames(self.rate, self.channels)
        position = self.sound.tell()
        while position < self.sound.frames:
            try:
                block = self.sound.read(size, dtype="float32", always_2d=True)
            except soundfile.SoundFileError:
                position = max(position, self.sound.tell())
                block = np.zeros((0, self.channels), np.float32)
            if not len(block):
                raise _cut_short(self.name, position / self.rate, self.sound.frames / self.rate)
            position += len(block)
            yield block

    def _find_end(self) -> None:
        """Read a file whose end could not be reached, for the error that says where it ends."""
        with open(self.path, "rb") as raw:
            sound = _soundfile(raw)
            if sound is not None:
                with sound:
                    for _ in SoundFile(sound, self.path, self.name).blocks():
                        pass

    def _refuse_cut(self) -> None:
        """libsndfile shortens a wav or aiff that ends early and only logs it; of Ogg it says nothing."""
        for stated, present in re.findall(r"(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", self.sound.extra_info):
            if int(present) < int(stated) < 0x7FFFFF00:  # larger: written by a program that could not seek back
                seconds = self.sound.frames / self.rate
                raise _cut_short(self.name, seconds, seconds * int(stated) / int(present))
        if self.sound.format == "OGG" and not _ends_with_ogg_page(self.path):
            seconds = self.sound.frames / self.rate
            raise AudioError(f"{self.name}: ends within a page, after {seconds:.1f} s: the file is cut short")


class Container:
    """A file open in FFmpeg. Its length is known when it has been decoded."""

    def __init__(self, container, name: str) -> None:
        self.container, self.name = container, name
        self.audio = container.streams.audio[0]
        if self.audio.codec_context is None:
            raise AudioError(f"{name}: its audio is in a coding that cannot be read")
        self.rate, self.channels = self.audio.rate, self.audio.channels
        if not self.rate or not self.channels:
            raise _not_audio(name)

    def count(self) -> int:
        """Frames in the file, by decoding it."""
        frames = sum(len(block) for block in self.blocks())
        if not frames:
            raise AudioError(f"{self.name}: holds no samples")
        return frames

    def seek(self, first: int) -> int:
        """Always 0: seeking in these formats is not exact to the sample."""
        return 0

    def blocks(self) -> Iterator[np.ndarray]:
        """[n, channels] in the stream's own sample type."""
        import av.error

        held, size, total = [], 0, 0
        try:
            for frame in self.container.decode(self.audio):
                samples = self._samples(frame, total)
                held.append(samples)
                size += len(samples)
                total += len(samples)
                if size >= _block_frames(self.rate, self.channels):
                    yield np.concatenate(held)
                    held, size = [], 0
        except (av.error.FFmpegError, OSError):
            raise AudioError(f"{self.name}: damaged or cut short after {total / self.rate:.1f} s") from None
        if held:
            yield np.concatenate(held)
        stated = self._stated_seconds()
        if total / self.rate < 0.98 * stated - 0.2:
            raise _cut_short(self.name, total / self.rate, stated)

    def _samples(self, frame, total: int) -> np.ndarray:
        """[n, channels] of one decoded frame, `total` samples into the file."""
        samples, channels = frame.to_ndarray(), frame.layout.nb_channels
        if frame.sample_rate != self.rate or channels != self.channels:
            raise AudioError(f"{self.name}: changes its sample rate or channels after {total / self.rate:.1f} s")
        return samples.T if frame.format.is_planar else samples.reshape(-1, channels)

    def _stated_seconds(self) -> float:
        """The length its header gives, or 0; that of a bare stream is FFmpeg's guess from its bit rate."""
        if self.container.format.name in {"mp3", "aac", "amr"}:
            return 0.0
        if self.audio.duration is not None and self.audio.time_base is not None:
            return float(self.audio.duration * self.audio.time_base)
        if self.container.duration is not None and not self.container.streams.video:
            return self.container.duration / 1e6
        return 0.0


def _block_frames(rate: int, channels: int) -> int:
    return max(1, min(_BLOCK_SECONDS * rate, _BLOCK_VALUES // channels))


def _not_audio(name: str) -> AudioError:
    return AudioError(f"{name}: not audio of a format that can be read, or damaged at its start")


def _cut_short(name: str, present: float, stated: float) -> AudioError:
    return AudioError(f"{name}: ends after {present:.1f} s of {stated:.1f} s: the file is cut short")


def _mp3_says_length(path: File) -> bool:
    """Whether an MP3 has a Xing, Info or VBRI header; without one libsndfile only guesses its length."""
    with open(path, "rb") as raw:
        head = raw.read(10)
        if head[:3] == b"ID3":  # a tag, with its size in four groups of seven bits
            raw.seek(10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)))
        else:
            raw.seek(0)
        frame = raw.read(256)
    return any(word in frame for word in (b"Xing", b"Info", b"VBRI"))


def _ends_with_ogg_page(path: File) -> bool:
    """Whether the last Ogg page is whole: a 27-byte header, a table of segment sizes, the segments."""
    with open(path, "rb") as raw:
        size = raw.seek(0, io.SEEK_END)
        raw.seek(max(0, size - 65_536))  # a page has at most 65 307 bytes
        tail = raw.read()
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + 27:
        return False
    table = tail[start + 27 : start + 27 + tail[start + 26]]
    return len(tail) >= start + 27 + tail[start + 26] + sum(table)
