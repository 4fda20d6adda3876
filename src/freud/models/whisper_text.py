"""Transcription: a clip's windows through encoder and decoder, and the tokens back to text.

A clip is cut into consecutive windows of the model's context, decoded without timestamp tokens, so a segment
is a window; its times are clip times. Windows are encoded one by one, so that none depends on its neighbors, and
decoded in batches.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from freud.audio import SAMPLE_RATE, from_array, load, windows
from freud.models.base import Segment, Transcript
from freud.models.edits import Edit, Window, check, writes
from freud.models.whisper_decoding import Decoded, Search, decode
from freud.models.whisper_tokens import language_token

if TYPE_CHECKING:
    from freud.models.whisper import WhisperModel

BATCH = 8  # windows decoded together


def transcribe(
    model: WhisperModel,
    audio: str | Path | np.ndarray,
    language: str | None,
    task: str,
    search: Search,
    edits: Sequence[Edit],
    substitute: bool,
    pad_frames: bool,
) -> Transcript:
    """See `AudioModel.transcribe`."""
    token = language_token(model.steering, language, task)
    if edits:
        audio = load(audio) if isinstance(audio, str | Path) else audio
        check(edits, model, len(audio) / SAMPLE_RATE)
    segments: list[Segment] = []
    remaining = cut(audio, model.window_samples)
    while batch := list(itertools.islice(remaining, BATCH)):
        mels = [model.log_mel([samples]) for _, samples in batch]
        where = [Window(start, len(samples)) for start, samples in batch]
        with model.lock, torch.inference_mode():
            encoded = torch.cat(
                [
                    _encode(model, mel, writes(edits, model, [window], substitute=substitute, pad_frames=pad_frames))
                    for mel, window in zip(mels, where, strict=True)
                ]
            )
            changes = writes(edits, model, where, substitute=substitute, pad_frames=pad_frames)
            with model.hooked(write={name: write for name, write in changes.items() if name.startswith("decoder.")}):
                if token is None:
                    token = detect_language(model, encoded[:1])
                found = decode(model.decoder, encoded, model.steering.prompt(token, task), model.steering, search)
        for (start, samples), text in zip(batch, found, strict=True):
            end = start + len(samples)
            segments.append(Segment(start / SAMPLE_RATE, end / SAMPLE_RATE, to_text(model, text)))
    return Transcript(
        join(segment.text for segment in segments), tuple(segments), token.strip("<|>") if token else None
    )


def _encode(model: WhisperModel, mel: Tensor, changes: dict) -> Tensor:
    with model.hooked(write={name: write for name, write in changes.items() if name.startswith("encoder.")}):
        return model.run(mel)


def to_text(model: WhisperModel, found: Decoded) -> str:
    """The words that tokens stand for."""
    size = model.checkpoint.config["vocab_size"]
    return model.text([token for token in found.tokens if model.steering.is_text(token, size)]).strip()


def join(texts) -> str:
    """The transcript of a clip from those of its windows."""
    return " ".join(text for text in texts if text)


def detect_language(model: WhisperModel, encoded: Tensor) -> str | None:
    """The token of the most probable language of a window, such as `<|en|>`; None if the model knows only one.

    Args:
        model: a model with a decoder.
        encoded: [1, T, width].
    """
    languages = model.steering.languages
    if not languages:
        return None
    start = torch.tensor([[model.steering.start]], device=encoded.device)
    logits = model.decoder.logits(model.decoder(start, encoded)[0, -1])
    names = list(languages)
    return names[int(logits[torch.tensor([languages[name] for name in names], device=logits.device)].argmax())]


def cut(audio: str | Path | np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first sample, samples) of each window of a file or of 16 kHz mono samples."""
    if isinstance(audio, str | Path):
        yield from windows(audio, size)
        return
    samples = from_array(audio, SAMPLE_RATE)
    for start in range(0, len(samples), size):
        yield start, samples[start : start + size]
