"""Pitch and energy of sounds whose pitch and energy are known."""

from __future__ import annotations

import numpy as np
import pytest

from freud.naming.acoustics import acoustics


def harmonics(hertz: float | np.ndarray, seconds: float = 1.0) -> np.ndarray:
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hertz, round(16000 * seconds))) / 16000
    highest = int(4000 / np.max(hertz))
    return (0.1 * sum(np.sin(k * phase + k) / k for k in range(1, highest + 1))).astype(np.float32)


@pytest.mark.parametrize("hertz", [70, 110, 165, 220, 330, 450])
def test_pitch_of_harmonics(hertz: float) -> None:
    pitch = acoustics(harmonics(hertz))[2:-2, 0]
    assert pitch == pytest.approx(hertz, rel=0.005)


def test_pitch_follows_a_glide_and_its_loudness_does_not_matter() -> None:
    hertz = np.linspace(120, 240, 16000)
    pitch = acoustics(harmonics(hertz))[3:-3, 0]
    assert pitch == pytest.approx(hertz[160::320][3:-3], rel=0.02)
    assert acoustics(0.01 * harmonics(hertz))[3:-3, 0] == pytest.approx(pitch, rel=0.001)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(size=16000).astype(np.float32)
    assert np.isnan(acoustics(0.1 * noise)[:, 0]).mean() > 0.97
    assert np.isnan(acoustics(np.zeros(8000, np.float32))[:, 0]).all()


def test_energy_centroid_and_crossings_of_a_tone() -> None:
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000 + 0.1)).astype(np.float32)
    rows = acoustics(tone)[2:-2]
    assert rows[:, 1] == pytest.approx(10 * np.log10(0.125), abs=0.05)
    assert rows[:, 2] == pytest.approx(1000, abs=10)
    assert rows[:, 3] == pytest.approx(2000, rel=0.02)


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 960, 16001])
def test_one_row_for_each_valid_frame(samples: int) -> None:
    assert acoustics(np.ones(samples, np.float32)).shape == (-(-samples // 320), 4)
