"""Training batches: random spans of words cut from the synthesized utterances, augmented, as samples and
targets.

A span of whole words is itself an utterance with a known transcript, so one utterance gives many examples,
and spans can be chosen to fill any window. A batch depends only on its seed (step and process) and on how
many shards there are.
"""

import json
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from model import EOT, FRAME, NO_SPEECH, PROMPT, TOKEN_OF
from sounds import SOUNDS, colored_noise, hum, sound
from speech import ESPEAK_PHONES, FLITE_VOICES
from torch import Tensor

SAMPLE_RATE = 16_000
PHONES = ("pau", *sorted(set(chain(*ESPEAK_PHONES.values()))))
PHONE_ID = {phone: i for i, phone in enumerate(PHONES)}
IGNORE = -100


@dataclass(frozen=True)
class Span:
    """Samples of a few words, the transcript, and times in seconds from the first sample."""

    samples: np.ndarray
    words: list[tuple[float, float, str]]
    phones: list[tuple[float, float, str]]


class Batch(NamedTuple):
    """`tokens` [batch, n] go into the decoder and `labels` [batch, n] are to come out; -100 is ignored.

    `times` [batch, n] is when the label is spoken and `reach` the tolerance, in encoder positions; NaN
    where it has no place in time. `phones` [batch, positions] are phone numbers.
    """

    samples: Tensor
    tokens: Tensor
    labels: Tensor
    times: Tensor
    reach: Tensor
    phones: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in self))


@cache
def read_shard(path: Path) -> tuple[np.ndarray, list[dict]]:
    """The samples, memory-mapped, and the utterances."""
    return np.load(path.with_suffix(".npy"), mmap_mode="r"), json.loads(path.read_text())


class Speech:
    """The shards that are in a folder now, or the first so many of them."""

    def __init__(self, folder: Path, shards: int | None = None) -> None:
        loaded = [read_shard(path) for path in sorted(folder.glob("*.json"))[:shards]]
        self.shards = len(loaded)
        self.samples = [samples for samples, _ in loaded]
        self.utterances = [utterances for _, utterances in loaded]

    def span(self, rng: np.random.Generator, longest: float) -> Span:
        """A run of whole words, no longer than `longest` seconds with a little of the silence around it."""
        while True:
            shard = rng.integers(self.shards)
            utterance = self.utterances[shard][rng.integers(len(self.utterances[shard]))]
            if utterance["speaker"] not in FLITE_VOICES and rng.random() < 0.5:
                continue  # a quarter of the speech, for breadth
            words = utterance["words"]
            i = j = int(rng.integers(len(words))) if rng.random() < 0.8 else 0
            while j < len(words) and words[j][1] - words[i][0] < longest - 0.15:
                j += 1
            while j == len(words) and i > 0 and words[-1][1] - words[i - 1][0] < longest - 0.15:
                i -= 1
            if j > i:
                break
        before = words[i - 1][1] if i else 0.0
        after = words[j][0] if j < len(words) else utterance["samples"] / SAMPLE_RATE
        spare = max(0.0, longest - (words[j - 1][1] - words[i][0]))
        start = max(before, words[i][0] - rng.uniform(0, 0.5) * spare)
        stop = min(after, words[j - 1][1] + rng.uniform(0, 0.5) * spare)
        first = utterance["first"]
        samples = self.samples[shard][first + int(start * SAMPLE_RATE) : first + int(stop * SAMPLE_RATE)]
        chosen = [(a - start, b - start, w) for a, b, w in words[i:j]]
        a, b, last = chosen[-1]
        chosen[-1] = (a, b, last.rstrip(","))
        phones = [(a - start, b - start, p) for a, b, p in utterance["phones"] if b > start and a < stop]
        return Span(samples.astype(np.float32) / 32768, chosen, phones)


class Noise:
    """Background noise, half a minute of each kind, cut at random."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        length = 30 * SAMPLE_RATE
        self.kinds = [colored_noise(rng, length, exponent) for exponent in (0.0, 0.7, 1.0, 1.5, 2.0)]
        self.kinds += [hum(rng, 30.0) for _ in range(2)]
        self.kinds = [(kind / np.sqrt(np.mean(kind**2))).astype(np.float32) for kind in self.kinds]

    def cut(self, rng: np.random.Generator, length: int) -> np.ndarray:
        """Noise of unit RMS."""
        kind = self.kinds[rng.integers(len(self.kinds))]
        first = rng.integers(len(kind) - length)
        return kind[first : first + length]


def stretch(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play `factor` times slower, pitch and all."""
    at = np.arange(int((len(samples) - 1) * factor)) / factor
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)


def transcript_targets(words: list[tuple[float, float, str]]) -> tuple[list[int], list[float], list[float]]:
    """Characters with the encoder position where each is spoken (letters spread over the word) and a
    tolerance.
    """
    ids, times, reach = [], [], []
    per_second = SAMPLE_RATE / FRAME
    for i, (a, b, label) in enumerate(words):
        text = label if i == len(words) - 1 else f"{label} "
        letters = len(label.rstrip(","))
        for k, character in enumerate(text):
            ids.append(TOKEN_OF[character])
            times.append((a + (b - a) * min(1.0, (k + 0.5) / letters)) * per_second)
            reach.append((0.35 * (b - a) + 0.06) * per_second)
    return ids, times, reach


def pad(rows: list[list], value: float, dtype: torch.dtype, multiple: int = 16) -> Tensor:
    width = -(-max(map(len, rows)) // multiple) * multiple
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows], dtype=dtype)


def make_batch(
    speech: Speech,
    noise: Noise,
    seed: tuple[int, int],
    size: int,
    seconds: float,
    window: float,
    shortest: float,
) -> Batch:
    """`size` examples in a window of `window` seconds, each of speech for `shortest` to `seconds` seconds."""
    rng = np.random.default_rng((7, *seed))
    length = int(window * SAMPLE_RATE)
    audio = np.zeros((size, length), np.float32)
    tokens, labels, times, reach = [], [], [], []
    phones = np.zeros((size, length // FRAME), np.int64)
    for row in range(size):
        if rng.random() < 0.02:  # no speech at all
            name = list(SOUNDS)[rng.integers(len(SOUNDS))]
            wave, words, tier = sound(name, rng, rng.uniform(0.5, 1) * seconds), [], []
            wave *= rng.random() < 0.7
        else:
            factor = rng.uniform(0.9, 1.1)
            span = speech.span(rng, rng.uniform(shortest, seconds) / factor)
            wave = stretch(span.samples, factor)
            words = [(a * factor, b * factor, w) for a, b, w in span.words]
            tier = [(a * factor, b * factor, p) for a, b, p in span.phones]
        room = length - len(wave)
        offset = int(rng.uniform(0, min(room, SAMPLE_RATE // 2))) if room > 0 and rng.random() < 0.5 else 0
        wave = wave[: length - offset]
        level = np.sqrt(np.mean(wave**2)) + 1e-4
        if rng.random() < 0.65:
            ratio = 10 ** (-rng.uniform(3, 25) / 20)
            if rng.random() < 0.5:  # noise in the padding too
                audio[row] = noise.cut(rng, length) * level * ratio
                audio[row, offset : offset + len(wave)] += wave
            else:
                audio[row, offset : offset + len(wave)] = wave + noise.cut(rng, len(wave)) * level * ratio
        else:
            audio[row, offset : offset + len(wave)] = wave
        audio[row] *= 10 ** (rng.uniform(-20, 4) / 20)

        shift = offset / SAMPLE_RATE
        for a, b, phone in tier:
            begin = max(0.0, a + shift) * SAMPLE_RATE / FRAME
            phones[row, int(begin + 0.5) : int((b + shift) * SAMPLE_RATE / FRAME + 0.5)] = PHONE_ID[phone]
        ids, at, near = transcript_targets([(a + shift, b + shift, w) for a, b, w in words])
        start = [PROMPT[1] if words else NO_SPEECH, *PROMPT[2:]]
        tokens.append([*PROMPT, *ids])
        labels.append([*start, *ids, EOT])
        nowhere = [float("nan")] * len(start)
        times.append([*nowhere, *at, float("nan")])
        reach.append([*nowhere, *near, 1.0])
    np.clip(audio, -1, 1, out=audio)
    return Batch(
        torch.from_numpy(audio),
        pad(tokens, EOT, torch.long),
        pad(labels, IGNORE, torch.long),
        pad(times, float("nan"), torch.float32),
        pad(reach, 1.0, torch.float32),
        torch.from_numpy(phones),
    )


class LogMel:
    """Whisper's log-mel features of a batch, with a random tilt and masks when given a generator."""

    def __init__(self, filters: np.ndarray, device: torch.device | str = "cpu") -> None:
        self.filters = torch.from_numpy(filters.T.astype(np.float32)).to(device)  # [80, 201]
        self.window = torch.hann_window(400, device=device)

    def __call__(self, samples: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """[batch, samples] to [batch, 80, samples / 160]."""
        power = torch.stft(samples, 400, 160, window=self.window, return_complex=True)[..., :-1].abs().square()
        mel = (self.filters @ power).clamp(min=1e-10).log10()
        if generator is not None:
            mel = self.disturb(mel, generator)
        loudest = mel.flatten(1).amax(1)[:, None, None]
        return (torch.maximum(mel, loudest - 8.0) + 4.0) / 4.0

    def disturb(self, mel: Tensor, generator: torch.Generator) -> Tensor:
        """A gentle random filter on half of the clips, and masks in frequency and time on six tenths."""
        batch, bands, frames = mel.shape
        draw = torch.rand(8, batch, 1, generator=generator).to(mel.device)
        tilt, tilted, low, height, first, length, masked, _ = draw
        slope = torch.linspace(-1, 1, bands, device=mel.device)
        mel = mel + ((tilt * 1.6 - 0.8) * (tilted < 0.5) * slope)[..., None]
        hidden = within(bands, low, height)[:, :, None] | within(frames, first, length)[:, None]
        quiet = mel.flatten(1).amin(1)[:, None, None]
        return torch.where(hidden & (masked < 0.6)[..., None], quiet, mel)


def within(size: int, start: Tensor, length: Tensor, longest: int = 12) -> Tensor:
    """Places in a span of up to `longest` of `size`, [batch, size], drawn by numbers from 0 to 1 [batch, 1]."""
    first = start * size
    place = torch.arange(size, device=start.device)
    return (place >= first.floor()) & (place < (first + length * longest).floor())
