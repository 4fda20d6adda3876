"""Frames out of a tensor, so that training is tested without a model or a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor


class TensorFrames:
    """A `FrameSource` of the rows of x [frames, d_in], cut into clips of equal length, in two pools."""

    fingerprint = "0123456789abcdef"
    corpus = "fedcba9876543210"

    def __init__(self, x: Tensor, clips: int = 20, only: Sequence[str] | None = None) -> None:
        self.x = x
        self.width = x.shape[1]
        self.every = [f"clip{i:03}" for i in range(clips)]
        self.clips = list(self.every if only is None else only)
        self.parts = [x.chunk(clips)[self.every.index(clip)] for clip in self.clips]
        self.frames = sum(map(len, self.parts))
        self.origin: dict[str, Any] = {
            "model": "none",
            "model_fingerprint": "f" * 16,
            "site": "encoder.blocks.0",
        }
        self.problems: dict[str, str] = {}
        self.dealt: list[Tensor] = []

    def only(self, clips: Sequence[str]) -> TensorFrames:
        part = TensorFrames(self.x, len(self.every), clips)
        part.dealt = self.dealt
        return part

    def pools(self) -> int:
        return min(2, len(self.parts))

    def pool(self, seed: int, epoch: int, number: int) -> Tensor:
        order = np.random.default_rng([seed, epoch]).permutation(len(self.parts))
        frames = torch.cat([self.parts[i] for i in order[number :: self.pools()]])
        self.dealt.append(frames)
        return frames

    def ordered(self) -> Iterator[Tensor]:
        yield from self.parts


@pytest.fixture
def dictionary() -> Tensor:
    """24 random unit atoms in 16 dimensions."""
    return torch.nn.functional.normalize(torch.randn(24, 16, generator=torch.Generator().manual_seed(3)), dim=1)


@pytest.fixture
def sparse_data(dictionary: Tensor) -> Tensor:
    """4000 sums of two atoms with strengths between 1 and 2, about an offset."""
    generator = torch.Generator().manual_seed(4)
    strengths = torch.zeros(4000, 24)
    chosen = torch.rand(4000, 24, generator=generator).topk(2).indices
    strengths.scatter_(1, chosen, 1 + torch.rand(4000, 2, generator=generator))
    return strengths @ dictionary + 0.3


@pytest.fixture
def source(sparse_data: Tensor) -> TensorFrames:
    return TensorFrames(sparse_data)


@pytest.fixture
def tensor_frames() -> type[TensorFrames]:
    return TensorFrames
