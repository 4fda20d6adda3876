"""Sparse autoencoders with an L1 penalty, untied or tied.

    untied: latents = relu((x - b_dec) W_enc + b_enc),  x_hat = latents W_dec + b_dec
    tied:   latents = relu(x D + b),  x_hat = latents D^T          (the published 200-latent run on Whisper tiny)
    loss = mean over frames of ||x - x_hat||^2 / d_in + lambda sum |latents| / sqrt(d_in)

Decoder rows keep unit norm, so that latents cannot shrink to evade the penalty (Bricken et al. 2023, "Towards
Monosemanticity"); lambda rises linearly over the first part of the training, so that latents do not die before they
have learned anything. Latents that die nevertheless may be resampled, as there: they become frames drawn with
probabilities in proportion to their squared error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from freud.saes import kernels, parallel
from freud.saes.architecture import Architecture, Loss, Training, center, require, unit_rows_
from freud.saes.jumprelu import check_coefficient, risen
from freud.saes.sae import SAE


@dataclass(frozen=True, kw_only=True)
class L1(Architecture):
    """Settings of an L1 SAE.

    Attributes:
        coefficient: lambda; inputs are scaled to unit mean square, so it means the same on every site.
        coefficient_warmup: share of the training over which lambda rises from zero.
        tied: one matrix for encoder and decoder, no decoder bias.
        resample_every: steps after which dead latents are resampled, in the first half of the training; 0 for never.
    """

    name: ClassVar[str] = "l1"

    coefficient: float = 0.08
    coefficient_warmup: float = 0.2
    tied: bool = False
    resample_every: int = 0

    def check(self, d_in: int) -> None:
        super().check(d_in)
        check_coefficient(self.coefficient, self.coefficient_warmup)
        require("resample_every", self.resample_every, self.resample_every >= 0, "0 or more steps")

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
        super().__init__(settings, sample, seed)
        self.settings = settings
        self.resample_every = settings.resample_every
        self.b_enc = nn.Parameter(torch.zeros(len(self.since_fired)))
        if settings.tied:
            del self.W_enc, self.b_dec

    def loss(self, x: Tensor, progress: float) -> Loss:
        x = self.prepare(x)
        frames, d_in = parallel.total_frames(x), x.shape[1]
        found, latents, x_hat = self._reconstruct(x)
        squared = (x - x_hat).square().sum()
        sparsity = latents.sum() / (frames * d_in**0.5)
        weight = risen(self.settings.coefficient, self.settings.coefficient_warmup, progress)
        latents = latents.detach()
        self.count_firing(found.fired(latents), frames)
        return Loss(
            squared / (frames * d_in) + weight * sparsity,
            squared.detach(),
            (latents > 0).sum() / len(x),
            {"sparsity": sparsity.detach()},
        )

    def _reconstruct(self, x: Tensor) -> tuple[kernels.Dense | kernels.Few, Tensor, Tensor]:
        """Scores, latents as these, and reconstructions, of scaled frames x [frames, d_in]."""
        if self.settings.tied:
            W_enc, b_enc, b_dec = self.W_dec.T, self.b_enc, 0.0  # noqa: N806
        else:
            W_enc, b_dec = self.W_enc, self.b_dec  # noqa: N806
            x, shift = center(x, W_enc, b_dec)
            b_enc = shift + self.b_enc
        found = kernels.above(x, W_enc, b_enc, torch.zeros_like(b_enc))
        latents = found.values.relu()
        return found, latents, found.decode(latents, self.W_dec) + b_dec

    @torch.no_grad()
    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        dead = self.since_fired > self.dead_after
        count = int(dead.sum())
        if count:
            x = self.prepare(x)
            error = (x - self._reconstruct(x)[2]).square().sum(1)
            drawn = torch.multinomial(error.double().cpu(), count, replacement=True, generator=generator)
            rows = x[drawn.to(x.device)] - (0 if self.settings.tied else self.b_dec)
            unit_rows_(rows)
            parallel.from_first_(rows)
            self.W_dec[dead] = rows
            self.b_enc[dead] = 0
            if not self.settings.tied:  # a fifth of the others' norm: small, so that the rest hardly notices
                self.W_enc[:, dead] = 0.2 * self.W_enc[:, ~dead].norm(dim=0).mean().nan_to_num(1) * rows.T
            self.since_fired[dead] = 0
        return dead

    def sae(self) -> StandardSAE:
        if self.settings.tied:
            weights = (self.W_dec.T.contiguous(), self.b_enc, self.W_dec, torch.zeros_like(self.W_dec[0]))
        else:
            weights = (self.W_enc, self.b_enc, self.W_dec, self.b_dec)
        return StandardSAE(*(w.detach().clone() for w in weights), apply_b_dec_to_input=not self.settings.tied)
