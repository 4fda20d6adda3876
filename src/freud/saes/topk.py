"""TopK sparse autoencoders with the auxiliary loss that revives dead latents (Gao et al. 2024, arXiv 2406.04093).

pre = (x - b_dec) W_enc + b_enc
latents = the k largest of relu(pre), the others zero
x_hat = latents W_dec + b_dec
loss = ||x - x_hat||^2 / ||x - mean||^2 + alpha auxiliary                  (`auxk.py`)
multi-TopK adds 1/8 of the first term with 4 k latents instead of k        (their appendix A.4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from freud.saes import kernels, parallel
from freud.saes.architecture import Loss
from freud.saes.auxk import SPARSE, AuxK, AuxKTraining, Reconstructed
from freud.saes.sae import SAE, Sparse

MULTI = 4  # times k
MULTI_WEIGHT = 1 / 8


@dataclass(frozen=True, kw_only=True)
class TopK(AuxK):
    """Settings of a TopK SAE.

    Attributes:
        multi_topk: also reconstruct from 4 k latents, so that the SAE degrades gently when more than k are kept.
    """

    name: ClassVar[str] = "topk"

    multi_topk: bool = False

    def start(self, sample: Tensor, seed: int) -> TopKTraining:
        return TopKTraining(self, sample, seed)


class TopKSAE(SAE):
    """A trained TopK SAE: at most `k` latents are active on a frame."""

    architecture = "topk"

    def __init__(self, *weights: Tensor, k: int, **options: Any) -> None:
        super().__init__(*weights, **options)
        self.k = k

    def config(self) -> dict[str, Any]:
        return {"k": self.k}

    def activate(self, pre: Tensor) -> Tensor:
        values, latents = pre.topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter(-1, latents, values.relu())

    def to_sparse(self, x: Tensor) -> Sparse:
        values, latents = self.pre_activations(x).topk(self.k, dim=-1, sorted=False)
        active = values > 0
        frame = torch.arange(len(x), device=x.device)[:, None].expand_as(active)
        return Sparse(frame[active], latents[active], values[active])

    def unit_decoder(self) -> None:
        """Scale all decoder rows by one factor, to norm 1 on average: factors of their own would change the choice."""
        norm = self.W_dec.norm(dim=1).mean().clamp_min(torch.finfo(self.W_dec.dtype).tiny)
        self.W_dec.div_(norm)
        self._scale_latents_(norm)


class TopKTraining(AuxKTraining):
    """Weights and losses of a TopK SAE in training."""

    def __init__(self, settings: TopK, sample: Tensor, seed: int) -> None:
        super().__init__(settings, sample, seed)
        self.most = min(MULTI * self.k, len(self.since_fired)) if settings.multi_topk else self.k

    def expect(self, x: Tensor) -> int | None:
        room = super().expect(x)
        return None if kernels.looks(x, len(self.since_fired), self.most) else room

    def reconstruct(self, x: Tensor, centered: Tensor, b_enc: Tensor, dead: Tensor) -> Reconstructed:
        variance = parallel.variance(x)
        values, pattern, of_dead = self.choose(centered, b_enc, dead)
        values, total = values.relu(), torch.zeros((), device=x.device)
        if self.most > self.k:
            total = MULTI_WEIGHT * self._error(x, values, pattern)[1] / variance
            values, pattern = self._first_k(values, pattern)
        error, squared = self._error(x, values, pattern)
        loss = Loss(squared / variance + total, squared.detach(), (values > 0).sum() / len(x), {})
        return Reconstructed(loss, error, pattern.fired(values), of_dead)

    def choose(
        self, centered: Tensor, b_enc: Tensor, dead: Tensor
    ) -> tuple[Tensor, kernels.Pattern, tuple[Tensor, Tensor] | None]:
        """Values [frames * most], where they are, and the largest among `dead` if they are better found here."""
        many = len(dead) >= SPARSE * self.aux_k and len(dead) + self.most <= len(b_enc)
        if many and centered.device.type == "cpu":
            return kernels.topk_apart(centered, self.W_enc, b_enc, self.most, dead, self.aux_k)
        return *kernels.topk(centered, self.W_enc, b_enc, self.most), None

    def _error(self, x: Tensor, values: Tensor, pattern: kernels.Pattern) -> tuple[Tensor, Tensor]:
        return kernels.error(x, values, pattern, self.W_dec, self.b_dec)

    def _first_k(self, values: Tensor, pattern: kernels.Pattern) -> tuple[Tensor, kernels.Pattern]:
        """The k largest on each frame, of `most`."""
        values, places = values.view(-1, self.most).topk(self.k, dim=1, sorted=False)
        latents = pattern.latents.view(-1, self.most).gather(1, places)
        return values.reshape(-1), kernels.Pattern.regular(latents, pattern.d_sae)

    def sae(self) -> TopKSAE:
        weights = (self.W_enc, self.b_enc, self.W_dec, self.b_dec)
        return TopKSAE(*(w.detach().clone() for w in weights), k=self.k)
