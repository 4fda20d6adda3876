"""JumpReLU sparse autoencoders (Rajamanoharan et al. 2024, arXiv 2407.14435).

    pre = (x - b_dec) W_enc + b_enc
    latents = pre where pre > threshold, else zero;  threshold [d_sae] is learned
    x_hat = latents W_dec + b_dec
    loss = mean over frames of ||x - x_hat||^2 / d_in + lambda sum penalty
    penalty of a latent: "l0"    1 where pre > threshold
                         "tanh"  tanh(4 latent)      (Conerly et al. 2025, "Dictionary Learning Optimization
                                                      Techniques")

Both jumps have no slope, so the threshold learns from straight-through estimates with a rectangle K of width epsilon
(their equations 11 and 12), and only from them:

    d latents / d threshold = -threshold / epsilon K((pre - threshold) / epsilon)
    d [pre > threshold] / d threshold = -1 / epsilon K((pre - threshold) / epsilon)

The threshold itself is trained, and kept at zero or more, where the paper trains its logarithm: Adam then crosses the
range in the steps that runs here take. lambda rises linearly over the first part of the training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from freud.saes import kernels, parallel
from freud.saes.architecture import Architecture, Loss, Training, center, require
from freud.saes.sae import SAE

Penalty = Literal["l0", "tanh"]
STEEPNESS = 4.0


@dataclass(frozen=True, kw_only=True)
class JumpReLU(Architecture):
    """Settings of a JumpReLU SAE. Inputs are scaled to unit mean square, so they mean the same on every site.

    Attributes:
        coefficient: lambda.
        coefficient_warmup: share of the training over which lambda rises from zero.
        penalty: what is summed over latents.
        threshold: where thresholds start.
        bandwidth: epsilon.
    """

    name: ClassVar[str] = "jumprelu"

    coefficient: float = 2e-3
    coefficient_warmup: float = 0.2
    penalty: Penalty = "l0"
    threshold: float = 0.1
    bandwidth: float = 0.1

    def check(self, d_in: int) -> None:
        super().check(d_in)
        check_coefficient(self.coefficient, self.coefficient_warmup)
        require("penalty", self.penalty, self.penalty in {"l0", "tanh"}, "l0 or tanh")
        require("threshold", self.threshold, 0 <= self.threshold < math.inf, "0 or more")
        require("bandwidth", self.bandwidth, 0 < self.bandwidth < math.inf, "a number above 0")

    def start(self, sample: Tensor, seed: int) -> JumpReLUTraining:
        return JumpReLUTraining(self, sample, seed)


def check_coefficient(coefficient: float, warmup: float) -> None:
    """Raise a FreudError if the weight of a penalty, or its warm-up, is out of range."""
    require("coefficient", coefficient, 0 <= coefficient < math.inf, "0 or more")
    require("coefficient_warmup", warmup, 0 <= warmup <= 1, "a share from 0 to 1")


def risen(coefficient: float, warmup: float, progress: float) -> float:
    """`coefficient`, or less while `progress` is still within the warm-up."""
    return coefficient * (min(1.0, progress / warmup) if warmup else 1.0)


class JumpReLUSAE(SAE):
    """A trained JumpReLU SAE: latents at or below their `threshold` [d_sae] are zero."""

    architecture = "jumprelu"
    threshold: Tensor

    def __init__(self, *weights: Tensor, threshold: Tensor, **options: Any) -> None:
        super().__init__(*weights, **options)
        self._add("threshold", threshold, (self.d_sae,))

    def activate(self, pre: Tensor) -> Tensor:
        return pre.relu() * (pre > self.threshold)

    def _scale_latents_(self, factor: Tensor, *, weights: bool = True) -> None:
        super()._scale_latents_(factor, weights=weights)
        self.threshold.mul_(factor)


class _Jump(torch.autograd.Function):
    """height(pre) where pre > threshold, else zero; the gradient of the threshold is the estimate in the docstring.

    threshold: [d_sae] or, where pre is not [frames, d_sae], of the shape of pre.
    """

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, bandwidth: float, to_zero_or_one: bool) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.bandwidth, ctx.to_zero_or_one = bandwidth, to_zero_or_one
        above = pre > threshold
        return above.to(pre.dtype) if to_zero_or_one else pre * above

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:  # pyright: ignore
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.bandwidth / 2
        estimate = -(gradient * near).sum_to_size(threshold.shape) / ctx.bandwidth
        if ctx.to_zero_or_one:
            return None, estimate, None, None
        return gradient * (pre > threshold), estimate * threshold, None, None


class JumpReLUTraining(Training):
    """Weights and losses of a JumpReLU SAE in training."""

    def __init__(self, settings: JumpReLU, sample: Tensor, seed: int) -> None:
        super().__init__(settings, sample, seed)
        self.settings = settings
        self.b_enc = nn.Parameter(torch.zeros(len(self.since_fired)))
        self.threshold = nn.Parameter(torch.full((len(self.since_fired),), settings.threshold))

    def loss(self, x: Tensor, progress: float) -> Loss:
        settings = self.settings
        x = self.prepare(x)
        frames, d_in = parallel.total_frames(x), x.shape[1]
        centered, shift = center(x, self.W_enc, self.b_dec)
        found = kernels.above(centered, self.W_enc, shift + self.b_enc, self.threshold - settings.bandwidth / 2)
        threshold = found.of(self.threshold)
        latents = _Jump.apply(found.values, threshold, settings.bandwidth, False)
        x_hat = found.decode(latents, self.W_dec) + self.b_dec
        squared = (x - x_hat).square().sum()
        if settings.penalty == "l0":
            penalty = _Jump.apply(found.values, threshold, settings.bandwidth, True).sum() / frames
        else:
            penalty = (STEEPNESS * latents).tanh().sum() / frames
        latents = latents.detach()
        self.count_firing(found.fired(latents), frames)
        weight = risen(settings.coefficient, settings.coefficient_warmup, progress)
        return Loss(
            squared / (frames * d_in) + weight * penalty,
            squared.detach(),
            (latents > 0).sum() / len(x),
            {"penalty": penalty.detach()},
        )

    @torch.no_grad()
    def constrain(self) -> None:
        self.threshold.clamp_(min=0)

    def sae(self) -> JumpReLUSAE:
        weights = (self.W_enc, self.b_enc, self.W_dec, self.b_dec)
        return JumpReLUSAE(*(w.detach().clone() for w in weights), threshold=self.threshold.detach().clone())
