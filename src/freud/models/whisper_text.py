"""Transcription: a clip's windows through transformers' generate, and the tokens back to text.

A clip is cut into consecutive windows of the model's context, decoded without timestamp tokens, so a segment
is a window; its times are clip times.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from freud.audio import SAMPLE_RATE, from_array, windows
from freud.errors import FreudError, UnknownNameError
from freud.models.base import Segment, Transcript
from freud.models.whisper_network import quiet
from freud.models.whisper_tokens import generation_config, text_decoder

if TYPE_CHECKING:
    from transformers.generation.configuration_utils import GenerationConfig

    from freud.models.whisper import WhisperModel

BATCH = 8  # windows decoded together


def transcribe(
    model: WhisperModel,
    audio: str | Path | np.ndarray,
    language: str | None,
    task: str,
    max_new_tokens: int | None,
    num_beams: int,
) -> Transcript:
    """See `WhisperModel.transcribe`."""
    text = text_decoder(model.checkpoint)
    config = generation_config(model.checkpoint)
    marks = _marks(config, language, task)
    segments: list[Segment] = []
    remaining = _windows(audio, model.window_samples)
    while batch := list(itertools.islice(remaining, BATCH)):
        mel = model.log_mel([samples for _, samples in batch])
        if "task" in marks and marks.get("language") is None:
            marks["language"] = detect_language(model, mel[:1], config)
        tokens = generate(model, mel, config, max_new_tokens=max_new_tokens, num_beams=num_beams, **marks)
        for (start, samples), ids in zip(batch, tokens, strict=True):
            end = start + len(samples)
            segments.append(Segment(start / SAMPLE_RATE, end / SAMPLE_RATE, text(ids).strip()))
    spoken = " ".join(segment.text for segment in segments if segment.text)
    code = marks["language"].strip("<|>") if marks.get("language") else None
    return Transcript(spoken, tuple(segments), code)


@torch.inference_mode()
def generate(model: WhisperModel, mel: Tensor, config: GenerationConfig, **options: Any) -> list[list[int]]:
    """The text tokens that transformers' generate finds for each window, without prompt, end and padding.

    Args:
        model: a model with a decoder.
        mel: [B, n_mels, 2 * frames_per_window].
        config: as from `generation_config`.
        options: further arguments of generate; `language` and `task` only for multilingual models.
    """
    network: Any = model.network
    if options.get("max_new_tokens") is None:
        options.pop("max_new_tokens", None)
    with quiet():
        sequences = network.generate(
            mel,
            generation_config=config,
            attention_mask=torch.ones_like(mel[:, 0], dtype=torch.long),
            do_sample=False,
            return_timestamps=False,
            **options,
        )
    control = {config.decoder_start_token_id, config.eos_token_id, config.pad_token_id}
    control |= {*getattr(config, "lang_to_id", {}).values(), *getattr(config, "task_to_id", {}).values()}
    last = getattr(config, "no_timestamps_token_id", None) or model.encoder.config.vocab_size  # then timestamps
    return [[i for i in row if i not in control and i < last] for row in sequences.tolist()]


def detect_language(model: WhisperModel, mel: Tensor, config: GenerationConfig) -> str:
    """The token of the most probable language of a window, such as `<|en|>`."""
    network: Any = model.network
    best = network.detect_language(mel, generation_config=config, num_segment_frames=2 * model.frames_per_window)
    languages: dict[str, int] = vars(config)["lang_to_id"]
    return next(name for name, token in languages.items() if token == int(best))


def _marks(config: GenerationConfig, language: str | None, task: str) -> dict[str, Any]:
    """The language and task for generate; none for a model of one language, which has no such tokens.

    Raises:
        UnknownNameError: the model does not know the language or the task.
    """
    tasks = getattr(config, "task_to_id", None) or {}
    languages = getattr(config, "lang_to_id", None) or {}
    if not getattr(config, "is_multilingual", bool(languages)) or not languages:
        if language not in {None, "en", "english", "English"} or task != "transcribe":
            raise FreudError("this model only transcribes English; load a multilingual one, such as tiny")
        return {}
    if task not in tasks:
        raise UnknownNameError(f"unknown task {task!r}: this model has {', '.join(tasks)}")
    if language is None:
        return {"task": task, "language": None}
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    token = f"<|{TO_LANGUAGE_CODE.get(language.lower(), language.lower())}|>"
    if token not in languages:
        known = ", ".join(name.strip("<|>") for name in languages)
        raise UnknownNameError(f"unknown language {language!r}: this model has {known}")
    return {"task": task, "language": token}


def _windows(audio: str | Path | np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first sample, samples) of each window of a file or of 16 kHz mono samples."""
    if isinstance(audio, str | Path):
        yield from windows(audio, size)
        return
    samples = from_array(audio, SAMPLE_RATE)
    for start in range(0, len(samples), size):
        yield start, samples[start : start + size]
