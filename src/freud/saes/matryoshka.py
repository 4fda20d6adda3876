"""Matryoshka BatchTopK sparse autoencoders (Bussmann et al. 2025, arXiv 2503.17547).

    latents as in BatchTopK (`batchtopk.py`)
    x_hat_m = latents[:m] W_dec[:m] + b_dec    for each prefix m of the latents
    loss = mean over m of ||x - x_hat_m||^2 / ||x - mean||^2 + alpha auxiliary

Each prefix has to reconstruct by itself, so that the first latents stay general instead of being taken apart by later,
special ones (feature splitting and absorption). The prefixes are fixed shares of the latents.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from freud.saes import kernels, parallel
from freud.saes.architecture import Loss, require
from freud.saes.auxk import Reconstructed
from freud.saes.batchtopk import BatchTopK, BatchTopKTraining


@dataclass(frozen=True, kw_only=True)
class Matryoshka(BatchTopK):
    """Settings of a Matryoshka BatchTopK SAE.

    Attributes:
        prefixes: shares of the latents that reconstruct by themselves, ascending; the last is 1, all of them.
    """

    name: ClassVar[str] = "matryoshka"

    prefixes: tuple[float, ...] = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)

    def check(self, d_in: int) -> None:
        super().check(d_in)
        bounds = [0, *(round(share * self.latents(d_in)) for share in self.prefixes)]
        good = all(a < b for a, b in pairwise(bounds)) and self.prefixes[-1:] == (1.0,)
        require("prefixes", self.prefixes, good, "ascending shares of the latents, the last of them 1")

    def start(self, sample: Tensor, seed: int) -> MatryoshkaTraining:
        return MatryoshkaTraining(self, sample, seed)


class MatryoshkaTraining(BatchTopKTraining):
    """Weights and losses of a Matryoshka BatchTopK SAE in training."""

    def __init__(self, settings: Matryoshka, sample: Tensor, seed: int) -> None:
        super().__init__(settings, sample, seed)
        self.bounds = [0, *(round(share * len(self.since_fired)) for share in settings.prefixes)]

    def reconstruct(self, x: Tensor, centered: Tensor, b_enc: Tensor, dead: Tensor) -> Reconstructed:
        values, pattern = self.choose(centered, b_enc)
        bounds = list(pairwise(self.bounds))
        error, every = x - self.b_dec, []
        for (first, end), rows in zip(bounds, self.W_dec.split([b - a for a, b in bounds]), strict=True):
            error = error - kernels.decode(*pattern.among(values, first, end), rows)
            every.append(error.square().sum())
        variance = parallel.variance(x)
        total = torch.stack(every).mean() / variance
        parts = {"shortest_prefix": every[0].detach() / variance}
        loss = Loss(total, every[-1].detach(), values.new_tensor(len(values) / len(x)), parts)
        return Reconstructed(loss, error, pattern.fired(values))
