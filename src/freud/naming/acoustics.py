"""What can be measured on the sound itself, one row for each 20 ms frame: pitch, energy, centroid, zero crossings.

Everything here is plain signal processing on 16 kHz mono audio, vectorized over frames; frame t is centered on the
middle of samples 320 t ... 320 (t + 1), as an encoder position is.
"""

from __future__ import annotations

import numpy as np
import torch

from freud import audio
from freud.corpus import Clip, Corpus

MEASURES = ("F0", "energy", "centroid", "zero crossings")
F0_LOW, F0_HIGH = 60.0, 500.0  # Hz
WINDOW = 960  # samples: 60 ms, a little over three periods of the lowest pitch
VOICED = 0.5  # least height of the autocorrelation's peak
OCTAVE_COST = 0.02  # for every octave that a candidate lies below F0_HIGH
QUIET = 45.0  # dB below the loudest frame of the window: never voiced
SPECTRUM = 400  # samples: 25 ms, of energy, centroid and zero crossings
STRETCH = 1500 * audio.SAMPLES_PER_FRAME  # 30 s at a time, so that an hour's recording needs no more memory


def clip_acoustics(corpus: Corpus, clip: Clip) -> np.ndarray:
    """The `MEASURES` of every valid frame of a clip, [frames, 4] float32; F0 is NaN where there is no voice.

    Raises:
        FreudError: the audio cannot be read.
    """
    parts = [acoustics(samples) for _, samples in corpus.windows(clip, STRETCH)]
    return np.concatenate(parts) if parts else np.zeros((0, len(MEASURES)), np.float32)


def acoustics(samples: np.ndarray) -> np.ndarray:
    """The `MEASURES` of samples [n] at 16 kHz: F0 and centroid in Hz, energy in dB of full scale, crossings a second.

    Returns:
        [ceil(n / 320), 4] float32.
    """
    wave = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
    short = _frames(wave, SPECTRUM)  # [frames, 400]
    energy = 10 * torch.log10(short.square().mean(1) + 1e-10)
    power = torch.fft.rfft(short * torch.hann_window(SPECTRUM)).abs().square()
    hertz = torch.linspace(0, audio.SAMPLE_RATE / 2, power.shape[1])
    centroid = (power @ hertz) / power.sum(1).clamp_min(1e-12)
    crossings = (short[:, 1:] * short[:, :-1] < 0).float().mean(1) * audio.SAMPLE_RATE
    return torch.stack([_pitch(wave, energy), energy, centroid, crossings], 1).numpy()


def _frames(wave: torch.Tensor, length: int) -> torch.Tensor:
    """Windows of `length` samples around the middle of every frame, zeros beyond the ends: [frames, length]."""
    count = audio.valid_frames(len(wave))
    before = (length - audio.SAMPLES_PER_FRAME) // 2
    total = (count - 1) * audio.SAMPLES_PER_FRAME + length
    padded = torch.nn.functional.pad(wave, (before, max(0, total - before - len(wave))))
    return padded.unfold(0, length, audio.SAMPLES_PER_FRAME)[:count]


def _pitch(wave: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """F0 of every frame, NaN where none: the peak of the autocorrelation over that of the window (Boersma 1993).

    Of the peaks the one with the largest height less `OCTAVE_COST` an octave counts, refined by a parabola; a median
    over three frames takes out single jumps.
    """
    size = 2048
    window = torch.hann_window(WINDOW)
    segments = _frames(wave, WINDOW)
    segments = (segments - segments.mean(1, keepdim=True)) * window
    correlation = torch.fft.irfft(torch.fft.rfft(segments, size).abs().square(), size)
    own = torch.fft.irfft(torch.fft.rfft(window, size).abs().square(), size)
    least, most = round(audio.SAMPLE_RATE / F0_HIGH), round(audio.SAMPLE_RATE / F0_LOW)
    height = correlation[:, least - 1 : most + 2] / correlation[:, :1].clamp_min(1e-9)
    height = height / (own[least - 1 : most + 2] / own[0])
    lag = torch.arange(least, most + 1)
    middle, left, right = height[:, 1:-1], height[:, :-2], height[:, 2:]
    score = middle - OCTAVE_COST * torch.log2(lag / least)
    score = torch.where((middle >= left) & (middle > right), score, -torch.inf)
    best = score.argmax(1, keepdim=True)
    at, a, c = (each.gather(1, best)[:, 0] for each in (middle, left, right))
    shift = 0.5 * (a - c) / (a - 2 * at + c).clamp_max(-1e-9)
    pitch = audio.SAMPLE_RATE / (lag[best[:, 0]] + shift.clamp(-0.5, 0.5))
    voiced = (at > VOICED) & (energy > energy.max() - QUIET) & (energy > -90) & torch.isfinite(score.amax(1))
    pitch = torch.where(voiced, pitch, torch.nan)
    around = torch.nn.functional.pad(pitch, (1, 1), value=torch.nan).unfold(0, 3, 1)
    return torch.where(voiced, around.nanmedian(1).values, torch.nan)
