"""Whisper's log-mel input, computed from its formulas in torch, on whatever device the samples are.

The filter bank is built here for any number of mels. The floor (8 below the maximum) is taken per example, so
a clip's features do not depend on what else is in the batch.
"""

from __future__ import annotations

import functools
import math

import torch

from freud.audio.reading import SAMPLE_RATE
from freud.audio.windows import HOP

WINDOW = 400  # samples in a Fourier window: 25 ms


def log_mel(samples: torch.Tensor, n_mels: int) -> torch.Tensor:
    """The log-mel spectrogram that Whisper's encoder takes.

    Args:
        samples: float32 [..., n] at 16 kHz, padded to the model's window; n > 200.
        n_mels: 80 or 128, by the model's configuration.

    Returns:
        float32 [..., n_mels, n // 160]
    """
    window, filters = _constants(n_mels, samples.device)
    flat = samples.reshape(-1, samples.shape[-1])
    out = flat.new_empty(len(flat), n_mels, samples.shape[-1] // HOP)
    for example, row in zip(flat, out, strict=True):  # a batch would leave the cache: three times slower on a CPU
        spectrum = torch.stft(example, WINDOW, HOP, window=window, pad_mode="reflect", return_complex=True)
        spectrum = spectrum[:, :-1]  # [201, n // 160]
        logs = filters @ (spectrum.real.square() + spectrum.imag.square())
        logs.clamp_(min=1e-10).log10_()
        torch.maximum(logs, logs.max() - 8.0, out=row).add_(4.0).div_(4.0)
    return out.view(*samples.shape[:-1], *out.shape[1:])


def mel_filters(n_mels: int) -> torch.Tensor:
    """Triangular filters, evenly spaced on the Slaney mel scale from 0 to 8 kHz, each of unit area.

    Returns:
        float32 [n_mels, 201]
    """
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    top = _hertz_to_mel(SAMPLE_RATE / 2)
    edges = _mel_to_hertz(torch.linspace(0, top, n_mels + 2, dtype=torch.float64))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequencies - low) / (centre - low)
    falling = (high - frequencies) / (high - centre)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * 2 / (high - low)).float()


# The Slaney scale: 200/3 Hz to a mel up to 1 kHz (15 mels), then 27 mels for each factor of 6.4.
_HERTZ_PER_MEL = 200 / 3
_LOG_STEP = math.log(6.4) / 27


def _hertz_to_mel(hertz: float) -> float:
    return 15 + math.log(hertz / 1000) / _LOG_STEP if hertz > 1000 else hertz / _HERTZ_PER_MEL


def _mel_to_hertz(mel: torch.Tensor) -> torch.Tensor:
    return torch.where(mel < 15, mel * _HERTZ_PER_MEL, 1000 * torch.exp((mel - 15) * _LOG_STEP))


@functools.lru_cache(maxsize=8)
def _constants(n_mels: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The Hann window [400] and the filter bank [n_mels, 201], on the device."""
    return torch.hann_window(WINDOW, device=device), mel_filters(n_mels).to(device)
