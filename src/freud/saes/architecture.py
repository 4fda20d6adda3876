"""What an architecture provides: its settings, its training state, and the registry of all of them.

To add one, write a file with a frozen dataclass of settings that derives from `Architecture`, a `Training`, and an
`SAE`, and name both classes in `freud.saes.__init__`; training, checkpoints and files then work unchanged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from freud.errors import FreudError
from freud.saes.sae import SAE


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """Settings of one kind of SAE.

    Attributes:
        expansion: d_sae as a multiple of d_in.
        d_sae: number of latents, instead of `expansion`.
        dead_after: a latent is dead when it has not fired in this many frames.
    """

    name: ClassVar[str]

    expansion: float = 16
    d_sae: int | None = None
    dead_after: int = 200_000

    def latents(self, d_in: int) -> int:
        """The number of latents for inputs of width `d_in`."""
        return self.d_sae if self.d_sae is not None else round(self.expansion * d_in)

    def check(self, d_in: int) -> None:
        """Raise a FreudError that names the first setting out of range for inputs of width `d_in`."""
        require("d_sae", self.d_sae, self.d_sae is None or self.d_sae >= 1, "at least 1")
        require("expansion", self.expansion, self.latents(d_in) >= 1, f"at least one latent for width {d_in}")
        require("dead_after", self.dead_after, self.dead_after >= 0, "0 or more frames")

    def to_dict(self) -> dict[str, Any]:
        """Name and settings as JSON values."""
        return {"architecture": self.name, **asdict(self)}

    @abstractmethod
    def start(self, sample: Tensor, seed: int) -> Training:
        """Training state initialized from a sample of frames [frames, d_in] float32."""


@dataclass
class Loss:
    """What one step computed. Scalars stay tensors so that a step does not wait for the device.

    Attributes:
        total: what is minimised.
        reconstruction: sum of squared errors, in the scaled units of training.
        l0: mean number of active latents a frame.
        parts: further terms for the log.
    """

    total: Tensor
    reconstruction: Tensor
    l0: Tensor
    parts: dict[str, Tensor]


class Training(nn.Module, ABC):
    """Weights in training. Inputs are scaled to unit mean square; `finish` undoes that.

    Attributes:
        scale: factor that brings the activations to unit mean square.
        dead_after: frames of silence after which a latent counts as dead.
        since_fired: [d_sae] int64, frames since each latent was last active; part of the checkpoint.
    """

    scale: Tensor
    since_fired: Tensor

    def __init__(self, scale: Tensor, d_sae: int, dead_after: int) -> None:
        super().__init__()
        self.dead_after = dead_after
        self.register_buffer("scale", scale)
        self.register_buffer("since_fired", torch.zeros(d_sae, dtype=torch.int64))

    @abstractmethod
    def loss(self, x: Tensor, progress: float) -> Loss:
        """Loss on a batch x [frames, d_in] in its original units; `progress` runs from 0 to 1 over the training."""

    @abstractmethod
    def finish(self) -> SAE:
        """The SAE for inference, in the units of the activations."""

    @torch.no_grad()
    def before_step(self) -> None:
        """Called between the backward pass and the optimizer."""

    @torch.no_grad()
    def after_step(self) -> None:
        """Called after the optimizer."""

    @torch.no_grad()
    def count_firing(self, fired: Tensor, frames: int) -> None:
        """Update the dead-latent counters. fired: [d_sae] bool, active in this batch of `frames`."""
        self.since_fired += frames
        self.since_fired[fired] = 0


def require(name: str, value: object, good: bool, expected: str) -> None:
    """Raise a FreudError that names a setting, unless its value is `good`."""
    if not good:
        raise FreudError(f"{name} {value}: expected {expected}")


def center(x: Tensor, b_dec: Tensor) -> tuple[Tensor, Tensor]:
    """x - b_dec in two parts, whose products with W_enc are to be added: [frames, d_in] and [d_in].

    The first holds the value; the second is zero and carries the gradient of b_dec, which so costs a product with a
    vector instead of one with all frames.
    """
    constant = b_dec.detach()
    return x - constant, constant - b_dec


def unit_scale(sample: Tensor) -> Tensor:
    """The factor that gives `sample` [frames, d_in] unit mean square.

    Raises:
        FreudError: the sample is all zeros or not finite.
    """
    mean_square = sample.square().mean()
    if not torch.isfinite(mean_square) or mean_square == 0:
        raise FreudError("activations: all zero or not finite; check the model and the corpus they were collected from")
    return mean_square.rsqrt()


def geometric_median(points: Tensor, iterations: int = 100, tolerance: float = 1e-6) -> Tensor:
    """The point with the least sum of distances to `points` [n, d], by Weiszfeld's algorithm; robust to outliers."""
    guess = points.mean(0)
    for _ in range(iterations):
        weights = 1 / (points - guess).norm(dim=1).clamp_min(1e-9)
        moved = (weights[:, None] * points).sum(0) / weights.sum()
        if (moved - guess).norm() <= tolerance * guess.norm().clamp_min(1e-9):
            return moved
        guess = moved
    return guess


@torch.no_grad()
def unit_rows_(weight: Tensor) -> None:
    """Scale every row of `weight` [d_sae, d_in] to norm 1, in place."""
    weight /= weight.norm(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)


@torch.no_grad()
def remove_parallel_(weight: Tensor) -> None:
    """Take from the gradient of unit rows `weight` [d_sae, d_in] the part that would only change their norm."""
    assert weight.grad is not None
    weight.grad -= (weight.grad * weight).sum(1, keepdim=True) * weight
