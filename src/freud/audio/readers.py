"""libsndfile, and several files read as one: both with the same few methods as `Container`, which is FFmpeg's.

A reader has a rate, channels, notes, and `count`, `seek`, `blocks` and `close`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from freud.audio.containers import Container, block_frames
from freud.audio.errors import AudioError, cut_short
from freud.audio.view import View

Raw = BinaryIO | View


class SoundFile:
    """A file open in libsndfile.

    Raises:
        soundfile.SoundFileError: libsndfile does not know the content.
    """

    def __init__(self, raw: Raw, name: str) -> None:
        self.name, self.notes, self._raw, self._file = name, [], raw, None
        self._open()
        self.rate, self.channels = self.sound.samplerate, self.sound.channels

    def _open(self) -> None:
        """Open at the start. libsndfile is not told the suffix, by which it would guess."""
        if isinstance(self._raw, View):
            self._raw.seek(0)
            self.sound = soundfile.SoundFile(self._raw)  # pyright: ignore[reportArgumentType]
            return
        # A descriptor of its own: the position of `raw` must not move.
        self._file = open(self._raw.name, "rb", buffering=0)  # noqa: SIM115
        try:
            self.sound = soundfile.SoundFile(self._file.fileno(), closefd=False)
        except soundfile.SoundFileError:
            self._file.close()
            raise

    def close(self) -> None:
        self.sound.close()
        if self._file is not None:
            self._file.close()

    def count(self) -> int:
        """Frames in the file, after checking that the last one is there. What is read next is not from the start."""
        if not self.sound.seekable():  # GSM 6.10, G.721, NMS ADPCM: only reading tells
            return sum(len(block) for block in self.blocks())
        if self.sound.format in {"FLAC", "MP3"}:  # the others are checked by their headers
            try:
                self.sound.seek(self.sound.frames - 1)
                is_whole = len(self.sound.read(1)) == 1
            except soundfile.SoundFileError:
                is_whole = False
            if not is_whole:
                self.close()  # after a failure it cannot even go back
                self._open()
                for _ in self.blocks():  # raises the error that says where it ends
                    pass
        return self.sound.frames

    def seek(self, first: int) -> int:
        """Go to frame `first`, or before it (lossy formats start over); return where that is."""
        if self.sound.format in {"OGG", "MP3"} or not self.sound.seekable():
            return 0
        try:
            return self.sound.seek(min(first, self.sound.frames))
        except soundfile.SoundFileError:
            self.count()
            raise AudioError(f"{self.name}: damaged: cannot go to {first / self.rate:.1f} s") from None

    def blocks(self) -> Iterator[np.ndarray]:
        """float32 [n, channels] from the present position to the end."""
        size = block_frames(self.rate, self.channels)
        is_seekable = self.sound.seekable()
        position = self.sound.tell() if is_seekable else 0
        while position < self.sound.frames:
            try:
                block = self.sound.read(size, dtype="float32", always_2d=True)
            except soundfile.SoundFileError:
                position = max(position, self.sound.tell()) if is_seekable else position
                block = np.zeros((0, self.channels), np.float32)
            if not len(block):
                raise cut_short(self.name, position / self.rate, self.sound.frames / self.rate)
            position += len(block)
            yield block


class Chain:
    """Several files in one, read one after the other; all of the same rate and channels."""

    def __init__(self, openers: list[Callable[[], SoundFile | Container]], name: str) -> None:
        self.name, self.notes, self._openers = name, [], openers
        first = openers[0]()
        self.rate, self.channels = first.rate, first.channels
        first.close()

    def close(self) -> None:
        """Nothing is open between calls."""

    def count(self) -> int:
        """Frames of all parts."""
        return sum(part.count() for part in self._parts())

    def seek(self, first: int) -> int:
        """Always 0."""
        return 0

    def blocks(self) -> Iterator[np.ndarray]:
        """[n, channels], in the sample type of each part."""
        for part in self._parts():
            yield from part.blocks()

    def _parts(self) -> Iterator[SoundFile | Container]:
        for number, opener in enumerate(self._openers, 1):
            part = opener()
            try:
                if (part.rate, part.channels) != (self.rate, self.channels):
                    raise AudioError(
                        f"{self.name}: is {len(self._openers)} files one behind the other, and number {number} has "
                        f"another sample rate or other channels ({part.rate} Hz, {part.channels}; before: "
                        f"{self.rate} Hz, {self.channels}); split it"
                    )
                yield part
            finally:
                part.close()
            self.notes += part.notes
