"""Every clip by its id, of the corpus or uploaded: what is known of it, its samples, and its pictures.

A client only ever gives an id. What file it stands for is looked up in the corpus; no path from a client is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import torch

from freud import audio
from freud.audio import SAMPLE_RATE
from freud.corpus import Clip as CorpusClip
from freud.corpus import Corpus, Segment
from freud.errors import FreudError
from freud.server import schemas
from freud.server.images import Image, part
from freud.server.kept import Kept
from freud.server.model import ServedModel
from freud.server.result import Result
from freud.server.uploads import UploadedClip, Uploads

pc: Any = pyarrow.compute  # its functions are made when it is imported

MEDIA_TYPES = {".flac": "audio/flac", ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"}
KEPT_IMAGES = 64 << 20  # bytes
KEPT_SAMPLES = 128 << 20  # half an hour fits
KEPT_MELS = 64 << 20  # so does its log-mel
COLUMNS = 8192  # of a picture, at most: 80 s of log-mel
COLUMN = audio.HOP / SAMPLE_RATE  # seconds a column of the log-mel
WIDE_WINDOW, WIDE_HOP, WIDE_FFT = 80, 80, 256  # samples: 5 ms
WIDE_RANGE = 70.0  # dB below the loudest
WIDE_BLOCK = 16384  # columns that are transformed together


class Library:
    """The clips of a result, and uploads."""

    def __init__(self, result: Result, model: ServedModel, uploads: Uploads | None = None) -> None:
        self.result, self.model, self.uploads = result, model, uploads
        self._images, self._samples, self._mels = Kept(KEPT_IMAGES), Kept(KEPT_SAMPLES), Kept(KEPT_MELS)
        self._lengths: dict[Path, float] = {}  # seconds of files

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus that the result was made from.

        Raises:
            FreudError: it is no longer where it was.
        """
        store = self.result.store
        if store is None:
            raise FreudError(f"{self.result.path}: the activations that point to its corpus are gone: no audio")
        return store.open_corpus(otherwise=f"no audio without the one that {store.path} was collected from")

    def corpora(self) -> list[schemas.Corpus]:
        """What the API says of the corpus; none if it is gone."""
        try:
            corpus = self.corpus
        except FreudError:
            return []
        table = corpus.table
        return [
            schemas.Corpus(
                name=(corpus.path or corpus.root).name if corpus.path is None else corpus.root.name,
                clips=len(corpus),
                seconds=round(corpus.hours * 3600, 3),
                speakers=_values(table["speaker"]),
                labels=_values(table["class"]),
                tiers=corpus.tiers,
                problems=len(corpus.problems),
            )
        ]

    @cached_property
    def has_corpus(self) -> bool:
        """Whether the corpus is still where it was."""
        try:
            return bool(len(self.corpus))
        except FreudError:
            return False

    @cached_property
    def _durations(self) -> dict[str, float]:
        table = self.corpus.table
        return dict(zip(table["id"].to_pylist(), table["duration"].to_pylist(), strict=True))

    def durations(self, clips: Sequence[str]) -> dict[str, float]:
        """The lengths of clips of the corpus in seconds, by id."""
        return {clip: self._durations[clip] for clip in clips}

    def upload(self, clip: str) -> UploadedClip | None:
        """The upload of that id, if it is one."""
        if self.uploads is not None and clip.startswith("u-"):
            return self.uploads.get(clip)
        return None

    def find(self, clip: str) -> CorpusClip | UploadedClip:
        """A clip by its id.

        Raises:
            UnknownNameError: there is none.
        """
        return self.upload(clip) or self.corpus[clip]

    def row(self, clip: str) -> dict[str, Any]:
        """The fields of `schemas.ClipRow`."""
        found = self.find(clip)
        if isinstance(found, UploadedClip):
            nothing = dict.fromkeys(("transcript", "label", "speaker", "split", "channel"))
            return {"id": clip, "name": found.name, "source": "upload", "duration": found.duration, **nothing}
        return _row(found)

    def describe(self, clip: str) -> schemas.Clip:
        """What is known of a clip, with its tiers."""
        row = self.row(clip)
        tiers: dict[str, list[schemas.Interval]] = {}
        for segment in self.segments(clip):
            interval = schemas.Interval(start=segment.start, end=segment.end, label=segment.label)
            tiers.setdefault(segment.tier, []).append(interval)
        original = self.original(clip)
        return schemas.Clip(
            **row,
            tiers=[schemas.Tier(name=name, intervals=intervals) for name, intervals in tiers.items()],
            original=original[1] if original else None,
        )

    def segments(self, clip: str) -> list[Segment]:
        """The labeled intervals of a clip; an upload has none."""
        return [] if self.upload(clip) else self.corpus.segments(clip)

    def page(
        self, *, query: str | None, speaker: str | None, label: str | None, offset: int, n: int
    ) -> schemas.ClipPage:
        """Clips of the corpus in its order."""
        table = self.corpus.table
        keep = pa.chunked_array([pa.array(np.ones(table.num_rows, bool))])
        for column, value in (("speaker", speaker), ("class", label)):
            if value is not None:
                keep = pc.and_(keep, pc.fill_null(pc.equal(table[column], value), False))
        if query:
            texts = (table["path"], table["transcript"])
            found = [pc.fill_null(pc.match_substring(t, query, ignore_case=True), False) for t in texts]
            keep = pc.and_(keep, pc.or_(*found))
        table = table.filter(keep)
        rows = [CorpusClip(label=row.pop("class"), **row) for row in table.slice(offset, n).to_pylist()]
        return schemas.ClipPage(total=table.num_rows, clips=[schemas.ClipRow(**_row(clip)) for clip in rows])

    def original(self, clip: str) -> tuple[Path, str] | None:
        """The file that a clip of the corpus is the whole of, with its media type, if browsers play that kind."""
        found = self.find(clip)
        if isinstance(found, UploadedClip):
            return None
        path = self.corpus.audio_path(found)
        kind = MEDIA_TYPES.get(path.suffix.lower())
        if kind is None or found.channel is not None or found.offset:
            return None
        try:
            lasts = self._file_seconds(path)
        except audio.AudioError:  # it has gone or been damaged since the import: there is nothing to give
            return None
        return (path, kind) if abs(lasts - found.duration) < 1 / found.sample_rate else None

    def _file_seconds(self, path: Path) -> float:
        if path not in self._lengths:
            self._lengths[path] = audio.probe(path).duration
        return self._lengths[path]

    def samples(self, clip: str) -> np.ndarray:
        """float32 [n] at 16 kHz, as the model hears it."""

        def load() -> np.ndarray:
            found = self.find(clip)
            if isinstance(found, UploadedClip):
                return found.load()
            return self.corpus.samples(found)

        return self._samples.get(clip, load)

    def log_mel(self, clip: str) -> np.ndarray:
        """The part of the model's input that is not padding: float32 [columns, mels], 100 columns a second."""
        return self._mels.get(self.find(clip).id, lambda: model_input(self.samples(clip), self.model))

    def mel(self, clip: str, start: float | None = None, end: float | None = None, columns: int = COLUMNS) -> bytes:
        """The same as a picture of a clip or a span of it, in at most so many columns."""

        def make() -> bytes:
            return Image(self.log_mel(clip), COLUMN, 0.0, SAMPLE_RATE / 2, mel=True).to_bytes()

        return part(self._images.get(("mel", self.find(clip).id), make), start, end, columns)

    def spectrogram(
        self, clip: str, start: float | None = None, end: float | None = None, columns: int = COLUMNS
    ) -> bytes:
        """A wide-band spectrogram in dB below the loudest, as a picture of a clip or a span of it."""

        def make() -> bytes:
            step = WIDE_HOP / SAMPLE_RATE
            return Image(wide_band(self.samples(clip)), step, 0.0, SAMPLE_RATE / 2, mel=False).to_bytes()

        return part(self._images.get(("wide", self.find(clip).id), make), start, end, columns)


@torch.inference_mode()
def model_input(samples: np.ndarray, model: ServedModel) -> np.ndarray:
    """The log-mel that the model receives, window by window, without the columns of padding: [columns, mels].

    Silence behind the samples does not change the columns before it, so 50 ms of it stand for a whole window's.
    """
    loaded = model.get()
    size = loaded.window_samples
    parts = []
    for first in range(0, len(samples), size):
        window = samples[first : first + size]
        padded = audio.pad(window, min(size, -(-len(window) // audio.HOP) * audio.HOP + 800))
        mel = audio.log_mel(torch.from_numpy(padded), loaded.n_mels)
        parts.append(mel[:, : -(-len(window) // audio.HOP)].T)
    return torch.cat(parts).numpy()


@torch.inference_mode()
def wide_band(samples: np.ndarray) -> np.ndarray:
    """Level in dB below the loudest, at most 70: [columns of 5 ms, 128 frequencies to 8 kHz]."""
    signal = torch.from_numpy(np.ascontiguousarray(samples))
    signal = torch.cat([signal[:1], signal[1:] - 0.97 * signal[:-1]])  # speech falls by 6 dB an octave
    signal = torch.nn.functional.pad(signal, (0, -len(signal) % WIDE_HOP + WIDE_FFT))
    frames = signal.unfold(0, WIDE_WINDOW, WIDE_HOP)[: -(-len(samples) // WIDE_HOP)]
    window = torch.hann_window(WIDE_WINDOW, periodic=False)
    level = torch.cat(
        [
            torch.fft.rfft(some * window, WIDE_FFT)[:, : WIDE_FFT // 2].abs().clamp(min=1e-7).log10()
            for some in frames.split(WIDE_BLOCK)
        ]
    ).mul_(20)
    return (level - level.max()).clamp_(min=-WIDE_RANGE).numpy()


def _row(clip: CorpusClip) -> dict[str, Any]:
    names = ("id", "name", "duration", "transcript", "label", "speaker", "split", "channel")
    return {**{name: getattr(clip, name) for name in names}, "source": "corpus"}


def _values(column: pa.ChunkedArray) -> list[str]:
    """The different values of a column, sorted; at most 1000."""
    return sorted(value for value in column.unique().to_pylist() if value is not None)[:1000]
