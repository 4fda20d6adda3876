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
import torch.nn.functional as F
from torch import Tensor

from freud.saes import parallel
from freud.saes.architecture import Loss
from freud.saes.auxk import AuxK, AuxKTraining
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

    def reconstruct(self, x: Tensor, pre: Tensor) -> tuple[Loss, Tensor, Tensor]:
        variance = parallel.variance(x)
        values, latents = pre.topk(self.most, dim=1, sorted=self.most > self.k)
        values = values.relu().float()
        total = 0.0
        if self.most > self.k:
            total = MULTI_WEIGHT * (x - self._decode(values, latents)).square().sum() / variance
            values, latents = values[:, : self.k], latents[:, : self.k]
        error = x - self._decode(values, latents)
        squared = error.square().sum()
        fired = torch.zeros_like(self.since_fired, dtype=torch.bool)
        fired[latents[values > 0]] = True
        return Loss(squared / variance + total, squared.detach(), (values > 0).sum() / len(x), {}), error, fired

    def _decode(self, values: Tensor, latents: Tensor) -> Tensor:
        """values, latents: [frames, k] to [frames, d_in], touching only the k rows of W_dec a frame uses."""
        return F.embedding_bag(latents, self.W_dec, per_sample_weights=values, mode="sum") + self.b_dec

    def sae(self) -> TopKSAE:
        weights = (self.W_enc, self.b_enc, self.W_dec, self.b_dec)
        return TopKSAE(*(w.detach().clone() for w in weights), k=self.k)
