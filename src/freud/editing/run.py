"""A clip heard three times in one go: by the model as it is, through the SAE unedited, and with the edits.

The encoder up to the first edited site runs once; what comes after runs for each variant by itself, so that each gets
bit for bit what a plain run computes. The variants are then decoded together; those that sound bit for bit the same are
one row, so an edit that changes nothing changes nothing that is reported.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from freud.audio import SAMPLE_RATE, from_array, load, valid_frames
from freud.corpus.table import Segment
from freud.editing.probe import Probe
from freud.editing.result import EditResult, Heard, OutputChange, ProbeChange, SiteChange, Trace, Word
from freud.editing.words import character_errors, differences, word_errors
from freud.errors import FreudError
from freud.models import AudioModel
from freud.models.base import Hearing
from freud.models.edits import Edit, Encodings, Seen, SiteEdits, Window, check, reconstructions, resolve, writes
from freud.models.whisper_decoding import Search


@dataclass(frozen=True)
class Variant:
    """One way to run the model."""

    edits: Sequence[Edit] = ()
    substitute: bool = False
    see: Callable[[Seen], None] | None = None


PLAIN = Variant()


@dataclass(frozen=True)
class Outcome:
    """A window as a variant hears it; `row` is that of the variant in the scores of hearings."""

    encoded: Tensor  # [1, T, width]
    row: int
    hearing: Hearing | None


def run_window(
    model: AudioModel,
    samples: np.ndarray,
    start: int,
    variants: Sequence[Variant],
    *,
    pad_frames: bool = False,
    language: str | None = None,
    task: str | None = None,
    search: Search | None = None,
    scored: Sequence[int] = (),
) -> tuple[list[Outcome], float]:
    """One window under several variants, the first of which gives the language.

    Args:
        model: the model; hearings are None if it cannot transcribe.
        samples: [1 ... window_samples] at 16 kHz.
        start: first sample of the window in the clip.
        variants: with edits that `check` has passed.
        pad_frames: edit padding too.
        language: as `AudioModel.hear`.
        task: as there.
        search: as there.
        scored: the variants whose text every other is asked about.

    Returns:
        an outcome for each variant, and the seconds that encoding took.
    """
    began = time.perf_counter()
    window = [Window(start, len(samples))]
    mel = model.log_mel([samples])
    encodings: Encodings = {}
    changes = [
        writes(
            each.edits, model, window,
            substitute=each.substitute, pad_frames=pad_frames, see=each.see, encodings=encodings,
        )
        for each in variants
    ]  # fmt: skip
    in_encoder = [{name: w for name, w in each.items() if not name.startswith("decoder.")} for each in changes]
    in_decoder = [{name: w for name, w in each.items() if name.startswith("decoder.")} for each in changes]
    with model.lock, torch.inference_mode():
        encoded = model.run_variants(mel, in_encoder)
        seconds = time.perf_counter() - began
        if not model.can_transcribe:
            return [Outcome(each, row, None) for row, each in enumerate(encoded)], seconds
        rows: list[int] = []  # the variant that each row is of
        row_of: list[int] = []
        for number, each in enumerate(encoded):
            same = (
                row
                for row, other in enumerate(rows)
                if not in_decoder[other] and not in_decoder[number] and torch.equal(encoded[other], each)
            )
            row_of.append(next(same, len(rows)))
            if row_of[-1] == len(rows):
                rows.append(number)
        quiet = [_unseen(in_decoder[number]) for number in rows]
        with model.hooked(write=_by_row(quiet)):
            hearings = model.hear(
                torch.cat([encoded[number] for number in rows]),
                language=language,
                task=task,
                search=search,
                scored=sorted({row_of[number] for number in scored}),
                alike=not any(in_decoder),
            )
        outcomes = [Outcome(each, row, hearings[row]) for each, row in zip(encoded, row_of, strict=True)]
        for variant, write, outcome in zip(variants, in_decoder, outcomes, strict=True):
            if variant.see is not None and write and outcome.hearing is not None:
                with model.hooked(write=write):
                    model.reread(outcome.encoded, outcome.hearing)
    return outcomes, seconds


def _unseen(changes: dict[str, SiteEdits]) -> dict[str, SiteEdits]:
    """The same writes, without telling anybody: decoding computes a site once a token."""
    return {name: replace(write, see=None) for name, write in changes.items()}


def _by_row(changes: Sequence[dict[str, SiteEdits]]) -> dict[str, Callable[[Tensor], Tensor]]:
    """Writes of a batch whose row r (or r-th run of rows, with beams) is written by changes[r]."""

    def write(name: str) -> Callable[[Tensor], Tensor]:
        def rows(x: Tensor) -> Tensor:
            parts = x.chunk(len(changes))
            return torch.cat(
                [each[name](part) if name in each else part for each, part in zip(changes, parts, strict=True)]
            )

        return rows

    return {name: write(name) for name in dict.fromkeys(name for each in changes for name in each)}


def edit(
    model: AudioModel,
    audio: str | Path | np.ndarray,
    edits: Sequence[Edit],
    *,
    offset: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
    segments: Iterable[Segment] = (),
    substitute: bool = False,
    pad_frames: bool = False,
    language: str | None = None,
    task: str | None = None,
    max_new_tokens: int | None = None,
    num_beams: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    probe: Probe | None = None,
) -> EditResult:
    """Change features while the model listens to a clip, and report all that it changes.

    Safe to call from several threads with one model.

    Args:
        model: any model; without a decoder, the change of the encoder's output is reported.
        audio: a file, or 16 kHz mono samples.
        edits: one or many, at one or several sites: `[sae[30].scale(-1)]`.
        offset: where in the file the clip starts, in seconds.
        duration: how long it is; to the end of the file if not given.
        channel: of the file, from 0; the mean of all if not given.
        segments: labeled intervals of the clip (`corpus.segments(clip.id)`), for edits with a label.
        substitute: replace activations by the bare reconstruction of the edited latents.
        pad_frames: edit the padding behind the clip as well.
        language: as `AudioModel.transcribe`; all variants take the one that is detected in the unedited clip.
        task: as `AudioModel.transcribe`.
        max_new_tokens: as there.
        num_beams: as there.
        temperature: as there; all variants draw with the same random numbers.
        seed: as there.
        probe: a linear probe on the encoder's final output, to report on.

    Raises:
        FreudError: an edit does not fit the model or the clip, or two contradict each other; the audio cannot be read.
    """
    began = time.perf_counter()
    search = Search(max_new_tokens, num_beams, temperature, seed)
    samples = clip_samples(audio, offset, duration, channel)
    edits = resolve(edits, segments)
    if not edits:
        raise FreudError("no edit: give at least one, such as sae[30].scale(-1)")
    check(edits, model, len(samples) / SAMPLE_RATE)
    if probe is not None:
        probe.check(model)
    bare = reconstructions(edits)
    record = _Record()
    variants = [PLAIN, Variant(edits, substitute, record.see), *([Variant(bare, True)] if bare else [])]
    tally = _Tally(probe)
    heard: list[list[tuple[Outcome, list[Outcome]]]] = [[] for _ in variants]
    seconds = {"audio": time.perf_counter() - began, "encode": 0.0, "decode": 0.0}
    for start in range(0, len(samples), model.window_samples):
        part = samples[start : start + model.window_samples]
        before = time.perf_counter()
        outcomes, encoding = run_window(
            model, part, start, variants,
            pad_frames=pad_frames, language=language, task=task, search=search, scored=range(len(variants)),
        )  # fmt: skip
        seconds["encode"] += encoding
        seconds["decode"] += time.perf_counter() - before - encoding
        tally.add(outcomes[0].encoded[0], outcomes[1].encoded[0], valid_frames(len(part)))
        for texts, outcome in zip(heard, outcomes, strict=True):
            texts.append((outcome, outcomes))
    seconds["total"] = time.perf_counter() - began
    plain, edited, *rest = [_heard(texts) for texts in heard] if model.can_transcribe else [None, None, None]
    found = differences([w.text for w in plain.words], [w.text for w in edited.words]) if plain and edited else ()
    return EditResult(
        model=model.name,
        duration=len(samples) / SAMPLE_RATE,
        edits=tuple(each.as_json() for each in edits),
        substitute=substitute,
        plain=plain,
        reconstruction=rest[0] if rest else None,
        edited=edited,
        language=spoken.language if (spoken := heard[0][0][0].hearing) else None,
        differences=found,
        wer=word_errors(found) / len(plain.words) if plain and plain.words else None,
        cer=character_errors(plain.text, edited.text) / len(plain.text) if plain and edited and plain.text else None,
        traces=record.traces(model, edits),
        changes=record.changes(),
        output=tally.output(),
        probe=tally.probe_changes(),
        seconds={name: round(value, 4) for name, value in seconds.items()},
    )


def clip_samples(
    audio: str | Path | np.ndarray, offset: float = 0.0, duration: float | None = None, channel: int | None = None
) -> np.ndarray:
    """The samples of a clip at 16 kHz, [n] float32; the whole of it, as an edit of minutes of speech is in memory."""
    if isinstance(audio, str | Path):
        return load(audio, offset, duration, channel)
    return from_array(audio, SAMPLE_RATE)


def _heard(windows: Sequence[tuple[Outcome, list[Outcome]]]) -> Heard:
    """A variant's transcript over all windows, with its words' scores to the plain and to the edited model."""
    words: list[Word] = []
    texts: list[str] = []
    total = 0.0
    for own, (plain, edited, *_) in windows:
        hearing = own.hearing
        assert hearing is not None
        assert hearing.scores is not None
        assert hearing.totals is not None
        before, after = (hearing.scores[row].tolist() for row in (plain.row, edited.row))
        words += [Word(w, b, a, a - b) for w, b, a in zip(hearing.words, before, after, strict=True)]
        total += float(hearing.totals[own.row])
        texts.append(hearing.text)
    return Heard(" ".join(text for text in texts if text), tuple(words), total)


class _Record:
    """What the edited variant's sites report, window after window."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
        self._after: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
        self._frames: dict[str, int] = defaultdict(int)
        self._change: dict[str, float] = defaultdict(float)
        self._norm: dict[str, float] = defaultdict(float)

    def see(self, seen: Seen) -> None:
        for column, feature in enumerate(seen.features):
            self._before[seen.site, feature].append(seen.before[:, column].float().cpu().numpy())
            self._after[seen.site, feature].append(seen.after[:, column].float().cpu().numpy())
        self._frames[seen.site] += int((seen.change > 0).sum())
        self._change[seen.site] += float(seen.change.double().sum())
        self._norm[seen.site] += float(seen.norm.double().sum())

    def traces(self, model: AudioModel, edits: Sequence[Edit]) -> tuple[Trace, ...]:
        basis: dict[str, Literal["neurons", "latents"]]
        basis = {model.site(each.site).name: each.basis for each in edits if each.feature is not None}
        return tuple(
            Trace(site, basis[site], feature, model.site(site).frames_per_second, np.concatenate(before),
                  np.concatenate(self._after[site, feature]))
            for (site, feature), before in self._before.items()
        )  # fmt: skip

    def changes(self) -> tuple[SiteChange, ...]:
        return tuple(
            SiteChange(site, self._frames[site], total, total / self._norm[site] if self._norm[site] else 0.0)
            for site, total in self._change.items()
        )


class _Tally:
    """The change of the encoder's final output, and of what a probe makes of it, window after window."""

    def __init__(self, probe: Probe | None) -> None:
        self._probe = probe
        self._cosine: list[np.ndarray] = []
        self._norm: list[np.ndarray] = []
        self._scores: list[tuple[Tensor, Tensor]] = []

    def add(self, plain: Tensor, edited: Tensor, frames: int) -> None:
        """plain, edited: [T, width], of which `frames` are valid."""
        before, after = plain[:frames].float(), edited[:frames].float()
        self._cosine.append(torch.cosine_similarity(before, after, dim=1).cpu().numpy())
        self._norm.append(((after - before).norm(dim=1) / before.norm(dim=1)).cpu().numpy())
        if self._probe is not None:
            self._scores.append((self._probe.log_probabilities(before), self._probe.log_probabilities(after)))

    def output(self) -> OutputChange:
        return OutputChange(np.concatenate(self._cosine), np.concatenate(self._norm))

    def probe_changes(self) -> tuple[ProbeChange, ...] | None:
        if self._probe is None:
            return None
        before, after = (torch.cat(part) for part in zip(*self._scores, strict=True))
        return self._probe.changes(before, after)
