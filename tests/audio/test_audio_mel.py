"""Log-mel input, against the openai-whisper package and against itself in batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from whisper.audio import log_mel_spectrogram
from whisper.audio import mel_filters as whisper_filters

from freud import audio
from freud.audio.mel import mel_filters

pytestmark = pytest.mark.numeric

WINDOW = 480_000


def examples() -> torch.Tensor:
    """[5, 480000]: noise, a quiet tone in half a window, a click, silence, noise over full scale."""
    random = torch.Generator().manual_seed(0)
    batch = torch.zeros(5, WINDOW)
    batch[0] = 0.1 * torch.randn(WINDOW, generator=random)
    batch[1, : WINDOW // 2] = 1e-3 * torch.sin(torch.arange(WINDOW // 2) * 0.2)
    batch[2, 100_000] = 1.0
    batch[4] = 3 * torch.randn(WINDOW, generator=random)
    return batch


@pytest.mark.parametrize("n_mels", [80, 128])
def test_the_filter_bank_is_whispers(n_mels):
    torch.testing.assert_close(mel_filters(n_mels), whisper_filters("cpu", n_mels), rtol=0, atol=1e-7)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_is_whispers(n_mels):
    for samples in examples():
        ours = audio.log_mel(samples, n_mels)
        assert ours.shape == (n_mels, 3000)
        torch.testing.assert_close(ours, log_mel_spectrogram(samples, n_mels), rtol=0, atol=1e-4)


@pytest.mark.parametrize("samples", [16_000, 16_001, 16_159, 201])
def test_log_mel_of_any_length(samples):
    wave = torch.sin(torch.arange(samples) * 0.3)
    ours = audio.log_mel(wave, 80)
    assert ours.shape == (80, samples // 160)
    torch.testing.assert_close(ours, log_mel_spectrogram(wave, 80), rtol=0, atol=1e-4)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_a_batch_gives_each_example_what_it_gets_alone(n_mels):
    batch = examples()
    together = audio.log_mel(batch, n_mels)
    for index, samples in enumerate(batch):
        assert torch.equal(together[index], audio.log_mel(samples, n_mels))
    assert torch.equal(audio.log_mel(batch[:4].reshape(2, 2, WINDOW), n_mels).flatten(0, 1), together[:4])


@pytest.mark.shared
@pytest.mark.parametrize("n_mels", [80, 128])
def test_log_mel_of_real_clips_is_whispers(shared, n_mels):
    real = shared / "data/real-audio"
    paths = [real / "jfk.flac", *sorted((real / "librispeech_test-other").glob("*.flac"))[::25]]
    paths += sorted((real / "esc10").glob("*.ogg"))[::100]
    for path in paths:
        samples = torch.from_numpy(audio.pad(audio.load(path), WINDOW))
        ours = audio.log_mel(samples, n_mels)
        theirs = log_mel_spectrogram(np.asarray(samples), n_mels)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
