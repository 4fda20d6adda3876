"""The bundled model and SAE, and a clip on which several latents are busy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from freud import audio
from freud.corpus import Clip, Corpus
from freud.editing import bundled_sae
from freud.models import AudioModel
from freud.saes import SAE, load

SITE = "encoder.blocks.2"


@pytest.fixture(scope="session")
def sae() -> SAE:
    """The bundled SAE of nano's block 2."""
    return load(bundled_sae())


@pytest.fixture(scope="session")
def clip(demo: Corpus) -> Clip:
    """The first short spoken clip of the test split."""
    return next(clip for clip in demo if clip.transcript and clip.split == "test" and clip.duration < 3)


@pytest.fixture(scope="session")
def samples(demo: Corpus, clip: Clip) -> np.ndarray:
    return audio.load(demo.audio_path(clip))


@pytest.fixture(scope="session")
def busiest(nano: AudioModel, sae: SAE, samples: np.ndarray) -> list[int]:
    """The latents with the largest sums on the clip, largest first."""
    x = nano.activations(nano.log_mel([samples]), [SITE])[SITE][0, : audio.valid_frames(len(samples))]
    with torch.inference_mode():
        return sae.encode(x).sum(0).topk(8).indices.tolist()


class Identity(SAE):
    """Positive and negative parts as latents: the reconstruction is x itself, to the bit."""

    architecture = "identity"

    def activate(self, pre: Tensor) -> Tensor:
        return pre.relu()


@pytest.fixture
def identity() -> SAE:
    """An SAE of block 2 that reconstructs everything."""
    eye, zero = torch.eye(192), torch.zeros
    both = torch.cat([eye, -eye], 1)
    weights = (both, zero(384), both.T.contiguous(), zero(192))
    return Identity(*weights, apply_b_dec_to_input=False, metadata={"site": SITE})
