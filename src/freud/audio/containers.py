"""A file open in FFmpeg (through PyAV), its samples placed by the times that the container gives them.

A container says when each packet is to be heard. Packets may start late, or be missing (calls, paused recordings), and
then players and annotation tools show silence there; so do we, or every later label would be off.
"""

from __future__ import annotations

import io
import re
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from typing import Any, BinaryIO

import numpy as np

from freud.audio.errors import AudioError, cut_short, not_audio
from freud.audio.view import View

# Playlists (HLS, concat, DASH) are left out: they would make a file open other files.
_FORMATS = "mov,matroska,webm,aac,asf,amr,mp3,wav,flac,ogg,aiff,au,caf,w64,nistsphere,voc"
_TIMED = ("mov", "matroska", "asf", "ogg")  # FFmpeg's names begin so; the others have no times
BLOCK_SECONDS = 10
BLOCK_VALUES = 1 << 22  # samples times channels in a block, at most: 16 MB as float32

# Times are rounded (Matroska: 1 ms) and jitter (WebRTC stamps packets as they arrive): only what exceeds a frame of
# the models, 20 ms, is a gap, and only if the packets after it agree. The deviation is taken from the count of all
# samples so far, not from the packet before, so it cannot add up.
TOLERANCE = 0.020
_START_TOLERANCE = 0.002
_ASF_DELAY = 0.1  # seconds; the decoder of WMA gives nothing for its first two frames, which is no late start
_AGREEING = 8  # packets
_MOST_SILENCE = 4 * 3600.0  # seconds in all; more is damage
_MOST_OVERLAP = 1.0  # seconds in all, besides 1 % for a clock that drifts; more is another recording
_PLANES = 8  # of AVFrame.data
_NOTES = 3  # gaps that are told one by one

Packet = tuple[int | None, np.ndarray]  # position of the first sample by its time, samples [n, channels]


def block_frames(rate: int, channels: int) -> int:
    """Frames of a block of samples: about ten seconds, fewer where there are very many channels."""
    return max(1, min(BLOCK_SECONDS * rate, BLOCK_VALUES // channels))


class Container:
    """A file open in FFmpeg. Its length is known when it has been decoded.

    Args:
        raw: the file, or a view of it.
        name: what to call it in messages.
        kind: FFmpeg's name of the format, where it is known; found out if not.
        is_cut: whether the file is known to end early; decoding it then ends with that error.
        share: how much of the sound that its header states is there, if it is cut and that is known.
        origin: whether times count from the first of all streams (as players do), not from the movie's own zero.
        stated: the frames that a header states, for decoded ones to be compared with.
    """

    def __init__(
        self,
        raw: BinaryIO | View,
        name: str,
        *,
        kind: str | None = None,
        is_cut: bool = False,
        share: float = 1.0,
        origin: bool = True,
        stated: int | None = None,
    ) -> None:
        import av
        import av.error

        self.name, self.notes, self._stated = name, [], stated
        self._is_cut, self._share = is_cut or share < 1, share
        self._errors = (av.error.FFmpegError, OSError)
        # FFmpeg seeks where a damaged header sends it; a view allows that, a file complains.
        view = raw if isinstance(raw, View) else View(raw, [(0, raw.seek(0, io.SEEK_END))])
        view.seek(0)
        try:
            self.container: Any = av.open(view, format=kind, options={"format_whitelist": _FORMATS})
        except (*self._errors, ValueError):
            raise (_cut_before_index(name) if is_cut else not_audio(name)) from None
        try:
            self._choose_track()
        except AudioError:
            self.close()
            if is_cut:
                raise _cut_before_index(name) from None
            raise
        self._is_timed = self.container.format.name.startswith(_TIMED)
        self._origin = Fraction(self.container.start_time or 0, 1_000_000) if origin and self._is_timed else Fraction(0)
        if self._origin >= Fraction(1, 10):
            self.notes.append(f"its streams start at {float(self._origin):.1f} s: times count from there")

    def close(self) -> None:
        self.container.close()

    def _choose_track(self) -> None:
        """Take the default track, as players do."""
        tracks = self.container.streams.audio
        if not tracks:
            raise AudioError(f"{self.name}: has no audio stream")
        import av.stream

        default = av.stream.Disposition.default
        self.audio = next((track for track in tracks if default in track.disposition), tracks[0])
        if self.audio.codec_context is None:
            raise AudioError(f"{self.name}: its audio is in a coding that cannot be read")
        self.rate, self.channels = self.audio.rate, self.audio.channels
        if not self.rate or not self.channels:
            raise not_audio(self.name)
        if len(tracks) > 1:
            number = 1 + list(tracks).index(self.audio)
            self.notes.append(f"has {len(tracks)} audio tracks: track {number}, the default, is read")

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
        size = block_frames(self.rate, self.channels)
        held, count, total = [], 0, 0
        for samples in self._place(self._decode()):
            held.append(samples)
            count += len(samples)
            total += len(samples)
            if count >= size:
                yield np.concatenate(held)
                held, count = [], 0
        if held:
            yield np.concatenate(held)
        self._check_length(total)

    def _decode(self) -> Iterator[Packet]:
        """(position by its time, samples [n, channels]) of each decoded packet."""
        total, self._longest, kind = 0, 0, self.container.format.name
        try:
            for frame in self.container.decode(self.audio):
                channels = frame.layout.nb_channels
                if frame.sample_rate != self.rate or channels != self.channels:
                    seconds = total / self.rate
                    raise AudioError(f"{self.name}: changes its sample rate or channels after {seconds:.1f} s")
                samples = _samples(frame)
                position = None
                if self._is_timed and frame.pts is not None:
                    time = frame.pts * frame.time_base - self._origin
                    if not total and kind.startswith("asf") and time < _ASF_DELAY:
                        self._origin, time = self._origin + time, Fraction(0)
                    position = round(time * self.rate)
                total += len(samples)
                self._longest = max(self._longest, len(samples))
                yield position, samples
        except self._errors:
            seconds = total / self.rate
            if self._is_cut:
                raise self._cut_short(total) from None
            raise AudioError(f"{self.name}: damaged or cut short after {seconds:.1f} s") from None

    def _place(self, packets: Iterator[Packet]) -> Iterator[np.ndarray]:
        """Put silence where the times leave a gap, and cut what they put twice at the same time."""
        ahead: deque[Packet] = deque()
        end, shifts = 0, []
        while True:
            ahead.extend(islice(packets, _AGREEING - len(ahead)))
            if not ahead:
                break
            late = self._lateness(ahead, end) if end else self._start(ahead)
            if late:
                shifts.append((late, end))
                self._check_shifts(shifts)
            if late > 0:
                yield from self._silence(late, ahead[0][1])
                end += late
            elif late < 0:
                self._cut_overlap(ahead, -late)
                continue
            samples = ahead.popleft()[1]
            end += len(samples)
            yield samples
        self._tell(shifts)

    def _check_shifts(self, shifts: list[tuple[int, int]]) -> None:
        silence, overlap = (sum(max(0, sign * late) for late, _ in shifts) / self.rate for sign in (1, -1))
        at = shifts[-1][1] / self.rate
        if silence > _MOST_SILENCE:
            raise AudioError(f"{self.name}: damaged: its time stamps jump by {silence:.0f} s, at {at:.1f} s")
        if overlap > _MOST_OVERLAP + 0.01 * at:
            raise AudioError(
                f"{self.name}: its time stamps go back by {overlap:.1f} s, at {at:.1f} s: "
                "it holds several recordings; split it"
            )

    def _start(self, ahead: deque[Packet]) -> int:
        """How late the first packet is, in frames."""
        position = ahead[0][0] or 0
        return position if position > _START_TOLERANCE * self.rate else min(0, self._lateness(ahead, 0))

    def _lateness(self, ahead: deque[Packet], end: int) -> int:
        """By how much the next packets are later than the sound so far is long; 0 unless all of them agree."""
        latenesses = []
        for position, samples in ahead:
            latenesses.append(0 if position is None else position - end)
            end += len(samples)
        smallest = min(latenesses, key=abs)
        is_agreed = abs(smallest) > TOLERANCE * self.rate and all((late > 0) == (smallest > 0) for late in latenesses)
        return smallest if is_agreed else 0

    def _silence(self, count: int, like: np.ndarray) -> Iterator[np.ndarray]:
        level = (np.iinfo(like.dtype).max + 1) // 2 if like.dtype.kind == "u" else 0
        size = block_frames(self.rate, self.channels)
        for start in range(0, count, size):
            yield np.full((min(size, count - start), self.channels), level, like.dtype)

    @staticmethod
    def _cut_overlap(ahead: deque[Packet], count: int) -> None:
        while ahead and count:
            position, samples = ahead.popleft()
            if len(samples) > count:
                ahead.appendleft((None if position is None else position + count, samples[count:]))
                return
            count -= len(samples)

    def _tell(self, shifts: list[tuple[int, int]]) -> None:
        for late, end in shifts[:_NOTES]:
            seconds, at = abs(late) / self.rate, end / self.rate
            if late < 0:
                self.notes.append(f"an overlap of {seconds:.2f} s at {at:.1f} s is cut")
            elif end:
                self.notes.append(f"a gap of {seconds:.2f} s at {at:.1f} s is filled with silence")
            else:
                self.notes.append(f"starts {seconds:.2f} s into its container: silence stands before it")
        if len(shifts) > _NOTES:
            self.notes.append(f"{len(shifts) - _NOTES} more gaps and overlaps are filled and cut")

    def _check_length(self, total: int) -> None:
        """Refuse a file that ends early: what a codec puts before and behind the sound is a frame each."""
        if self._is_cut:
            raise self._cut_short(total)
        stated = self._stated_seconds()
        slack = 0 if self._stated is not None else 2 * self._longest + 0.005 * self.rate
        if total < stated * self.rate - slack:
            raise cut_short(self.name, total / self.rate, stated)

    def _cut_short(self, total: int) -> AudioError:
        seconds = total / self.rate
        stated = seconds / self._share if self._share < 1 else self._stated_seconds()
        return cut_short(self.name, seconds, stated if stated > seconds else None)

    def _stated_seconds(self) -> float:
        """The time at which the sound ends by the header, or 0; that of a bare stream is a guess from its bit rate."""
        if self._stated is not None:
            return self._stated / self.rate
        origin = float(self._origin)
        kind = self.container.format.name
        if kind.startswith("mov") and self.audio.duration is not None:
            return float((self.audio.duration + (self.audio.start_time or 0)) * self.audio.time_base) - origin
        if kind.startswith("matroska"):
            tags = [value for key, value in self.audio.metadata.items() if key.startswith("DURATION")]
            if tags and (clock := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d*)?)", tags[0])):
                hours, minutes, seconds = map(float, clock.groups())
                return 3600 * hours + 60 * minutes + seconds - origin
            if len(self.container.streams) == 1 and self.container.duration is not None:
                return self.container.duration / 1e6 - origin
        return 0.0


def _cut_before_index(name: str) -> AudioError:
    return AudioError(f"{name}: ends before the part that says where its sound is: the file is cut short")


def _samples(frame: Any) -> np.ndarray:
    """[n, channels] of a decoded frame.

    PyAV 18 looks for the planes of a frame up to a null pointer, which FFmpeg does not set behind eight planes or more:
    it reads beyond the frame's memory, and the process ends. So these are interleaved first.
    """
    if frame.format.is_planar and frame.layout.nb_channels < _PLANES:
        return frame.to_ndarray().T
    if frame.format.is_planar:
        import av

        [frame] = av.AudioResampler(frame.format.packed, frame.layout, frame.sample_rate).resample(frame)
    return frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
