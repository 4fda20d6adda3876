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
from freud.models.base import Hearing, Segment, Transcript
from freud.models.edits import Edit, Window, check, writes
from freud.models.whisper_decoding import Decoded, Search, decode, score
from freud.models.whisper_layers import Cache
from freud.models.whisper_tokens import language_token

if TYPE_CHECKING:
    from freud.models.whisper import WhisperModel

BATCH = 8  # windows decoded together


def transcribe(
    model: WhisperModel,
    audio: str | Path | np.ndarray,
    language: str | None,
    task: str | None,
    search: Search,
    edits: Sequence[Edit],
    substitute: bool,
    pad_frames: bool,
) -> Transcript:
    """See `AudioModel.transcribe`."""
    language = language_token(model.steering, language, task)
    prompt: list[int] = []  # that of the first window is that of all
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
                cache = Cache()
                prompt = prompt or prompt_for(model, encoded, language, task, cache)
                found = decode(model.decoder, encoded, prompt, model.steering, search, cache.only_audio())
        for (start, samples), text in zip(batch, found, strict=True):
            end = start + len(samples)
            segments.append(Segment(start / SAMPLE_RATE, end / SAMPLE_RATE, to_text(model, text)))
    spoken = _code(model.steering.language_of(prompt))
    return Transcript(join(segment.text for segment in segments), tuple(segments), spoken)


def prompt_for(model: WhisperModel, encoded: Tensor, language: str | None, task: str | None, cache: Cache) -> list[int]:
    """The prompt of texts, with the language of the first row of `encoded` [rows, T, width] if none is asked for.

    Args:
        model: a model with a decoder.
        encoded: the encoder's output.
        language: what the user asks for, as `language_token` returns it.
        task: what the user asks for.
        cache: as of `detect_language`.
    """
    steering = model.steering
    detected = detect_language(model, encoded, cache) if steering.detects(language, task) else None
    return steering.prompt(language, task, detected)


def _encode(model: WhisperModel, mel: Tensor, changes: dict) -> Tensor:
    with model.hooked(write={name: write for name, write in changes.items() if name.startswith("encoder.")}):
        return model.run(mel)


def hear(
    model: WhisperModel,
    encoded: Tensor,
    language: str | None,
    task: str | None,
    search: Search,
    scored: Sequence[int],
    alike: bool,
) -> list[Hearing]:
    """See `AudioModel.hear`."""
    steering, decoder, cache = model.steering, model.decoder, Cache()
    prompt, cache = prompt_for(model, encoded, language, task, cache), cache.only_audio()
    spoken = _code(steering.language_of(prompt))
    found = decode(decoder, encoded, prompt, steering, search, cache, alike=alike)
    asked = {found[row] for row in scored}
    told: dict[Decoded, Hearing] = {}
    for text in found:  # of rows that heard the same, one is enough
        if text in told:
            continue
        words, owners = _words(model, text)
        scores = totals = None
        if text in asked:
            each = score(decoder, encoded, prompt, text, steering, cache)  # [rows, tokens and the end]
            scores = each.new_zeros(len(encoded), len(words))
            scores.index_add_(1, torch.tensor(owners, dtype=torch.long, device=each.device), each[:, : len(owners)])
            totals = each.sum(1)
        tokens = (*prompt, *text.tokens)
        told[text] = Hearing(" ".join(words), tuple(words), tokens, scores, totals, spoken)
    return [told[text] for text in found]


def _code(token: str | None) -> str | None:
    return token.strip("<|>") if token else None


def _words(model: WhisperModel, found: Decoded) -> tuple[list[str], list[int]]:
    """The words of a text, and for each token the word that its last letter is in."""
    owners = [max(len(model.text(found.tokens[:number]).split()) - 1, 0) for number in range(1, len(found.tokens) + 1)]
    words = model.text(found.tokens).split()
    return words, [min(owner, len(words) - 1) for owner in owners] if words else []


def to_text(model: WhisperModel, found: Decoded) -> str:
    """The words that tokens stand for."""
    return model.text(found.tokens).strip()


def join(texts) -> str:
    """The transcript of a clip from those of its windows."""
    return " ".join(text for text in texts if text)


def detect_language(model: WhisperModel, encoded: Tensor, cache: Cache) -> str | None:
    """The token of the most probable language of the first row, such as `<|en|>`; None if the model knows only one.

    Args:
        model: a model with a decoder.
        encoded: [rows, T, width].
        cache: an empty one, which keeps what the decoder makes of the audio.
    """
    languages = model.steering.languages or {}
    if len(languages) < 2:
        return next(iter(languages), None)
    start = torch.full((len(encoded), 1), model.steering.start, device=encoded.device)
    logits = model.decoder.logits(model.decoder(start, encoded, cache)[0, -1])
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
