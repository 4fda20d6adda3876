"""Sparse autoencoders with an L1 penalty, untied or tied.

    untied: latents = relu((x - b_dec) W_enc + b_enc),  x_hat = latents W_dec + b_dec
    tied:   latents = relu(x D + b),  x_hat = latents D^T          (the published 200-latent run on Whisper tiny)
    loss = mean over frames of ||x - x_hat||^2 / d_in + lambda sum |latents| / sqrt(d_in)

Decoder rows keep unit norm, so that latents cannot shrink to evade the penalty (Bricken et al. 2023, "Towards
Monosemanticity"); lambda rises linearly over the first part of the training, so that latents do not die before they
have learned anything.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from freud.saes.architecture import (
    Architecture,
    Loss,
    Training,
    center,
    geometric_median,
    remove_parallel_,
    require,
    unit_rows_,
    unit_scale,
)
from freud.saes.sae import SAE


@dataclass(frozen=True, kw_only=True)
class L1(Architecture):
    """Settings of an L1 SAE.

    Attributes:
        coefficient: lambda; inputs are scaled to unit mean square, so it means the same on every site.
        coefficient_warmup: share of the training over which lambda rises from zero.
        tied: one matrix for encoder and decoder, no decoder bias.
    """

    name: ClassVar[str] = "l1"

    coefficient: float = 0.08
    coefficient_warmup: float = 0.2
    tied: bool = False

    def check(self, d_in: int) -> None:
        super().check(d_in)
        require("coefficient", self.coefficient, 0 <= self.coefficient < math.inf, "0 or more")
        warmup = self.coefficient_warmup
        require("coefficient_warmup", warmup, 0 <= warmup <= 1, "a share from 0 to 1")

    def start(self, sample: Tensor, seed: int) -> L1Training:
        return L1Training(self, sample, seed)


class StandardSAE(SAE):
    """A trained ReLU SAE; SAELens calls the architecture "standard"."""

    architecture = "standard"

    def activate(self, pre: Tensor) -> Tensor:
        return pre.relu()


class L1Training(Training):
    """Weights and losses of an L1 SAE in training."""

    def __init__(self, settings: L1, sample: Tensor, seed: int) -> None:
        d_in = sample.shape[1]
        d_sae = settings.latents(d_in)
        super().__init__(unit_scale(sample), d_sae, settings.dead_after)
        self.settings = settings
        decoder = torch.randn(d_sae, d_in, generator=torch.Generator().manual_seed(seed))
        unit_rows_(decoder)
        self.W_dec = nn.Parameter(decoder)
        self.b_enc = nn.Parameter(torch.zeros(d_sae))
        if not settings.tied:
            self.W_enc = nn.Parameter(decoder.T.clone(memory_format=torch.contiguous_format))
            self.b_dec = nn.Parameter(geometric_median(sample * self.scale))

    def loss(self, x: Tensor, progress: float) -> Loss:
        x = x * self.scale
        frames, d_in = x.shape
        if self.settings.tied:
            latents = (x @ self.W_dec.T + self.b_enc).relu().float()
            x_hat = latents @ self.W_dec
        else:
            centered, shift = center(x, self.b_dec)
            latents = (centered @ self.W_enc + (shift @ self.W_enc + self.b_enc)).relu().float()
            x_hat = latents @ self.W_dec + self.b_dec
        squared = (x - x_hat).square().sum()
        sparsity = latents.sum() / (frames * d_in**0.5)
        warmup = self.settings.coefficient_warmup
        weight = self.settings.coefficient * (min(1.0, progress / warmup) if warmup else 1.0)
        active = latents.detach() > 0
        self.count_firing(active.any(0), frames)
        return Loss(
            squared / (frames * d_in) + weight * sparsity,
            squared.detach(),
            active.sum() / frames,
            {"sparsity": sparsity.detach()},
        )

    def before_step(self) -> None:
        remove_parallel_(self.W_dec)

    def after_step(self) -> None:
        unit_rows_(self.W_dec.data)

    def finish(self) -> StandardSAE:
        if self.settings.tied:
            zero = torch.zeros(self.W_dec.shape[1])
            weights = (self.W_dec.T.contiguous(), self.b_enc / self.scale, self.W_dec, zero)
        else:
            weights = (self.W_enc, self.b_enc / self.scale, self.W_dec, self.b_dec / self.scale)
        return StandardSAE(*(w.detach().clone() for w in weights), apply_b_dec_to_input=not self.settings.tied)
