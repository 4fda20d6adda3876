"""TopK sparse autoencoders with the auxiliary loss that revives dead latents (Gao et al. 2024, arXiv 2406.04093).

    pre = (x - b_dec) W_enc + b_enc
    latents = the k largest of relu(pre), the others zero
    x_hat = latents W_dec + b_dec
    loss = ||x - x_hat||^2 / ||x - mean||^2 + alpha ||e - e_hat||^2 / ||e||^2,   e = x - x_hat (detached)

where e_hat decodes, without b_dec, the aux_k largest relu(pre) among dead latents (section 3 and appendix A.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
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
from freud.saes.sae import SAE, Sparse


@dataclass(frozen=True, kw_only=True)
class TopK(Architecture):
    """Settings of a TopK SAE.

    Attributes:
        k: active latents a frame.
        aux_k: dead latents that predict the residual; half of d_in if not given.
        aux_coefficient: weight alpha of the auxiliary loss; 0 turns it off.
    """

    name: ClassVar[str] = "topk"

    k: int = 32
    aux_k: int | None = None
    aux_coefficient: float = 1 / 32

    def check(self, d_in: int) -> None:
        super().check(d_in)
        d_sae = self.latents(d_in)
        require("k", self.k, 1 <= self.k <= d_sae, f"between 1 and d_sae {d_sae}")
        require("aux_k", self.aux_k, self.aux_k is None or self.aux_k >= 1, "at least 1")
        require("aux_coefficient", self.aux_coefficient, 0 <= self.aux_coefficient < math.inf, "0 or more")

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


class TopKTraining(Training):
    """Weights and losses of a TopK SAE in training."""

    def __init__(self, settings: TopK, sample: Tensor, seed: int) -> None:
        d_in = sample.shape[1]
        d_sae = settings.latents(d_in)
        super().__init__(unit_scale(sample), d_sae, settings.dead_after)
        self.settings = settings
        self.aux_k = settings.aux_k if settings.aux_k is not None else max(1, d_in // 2)
        decoder = torch.randn(d_sae, d_in, generator=torch.Generator().manual_seed(seed))
        unit_rows_(decoder)
        self.W_dec = nn.Parameter(decoder)
        self.W_enc = nn.Parameter(decoder.T.clone(memory_format=torch.contiguous_format))
        self.b_enc = nn.Parameter(torch.zeros(d_sae))
        self.b_dec = nn.Parameter(geometric_median(sample * self.scale))

    def loss(self, x: Tensor, progress: float) -> Loss:
        x = x * self.scale
        centered, shift = center(x, self.b_dec)
        pre = centered @ self.W_enc + (shift @ self.W_enc + self.b_enc)  # [frames, d_sae]
        values, latents = pre.topk(self.settings.k, dim=1, sorted=False)
        values = values.relu().float()
        x_hat = _sparse_decode(values, latents, self.W_dec) + self.b_dec
        error = x - x_hat
        squared = error.square().sum()
        variance = (x - x.mean(0)).square().sum().clamp_min(torch.finfo(x.dtype).tiny)
        total = squared / variance

        fired = torch.zeros_like(self.since_fired, dtype=torch.bool)
        fired[latents[values > 0]] = True
        self.count_firing(fired, len(x))
        parts = {}
        if self.settings.aux_coefficient:
            auxiliary = self._auxiliary(pre, error.detach())
            parts["auxiliary"] = auxiliary.detach()
            total = total + self.settings.aux_coefficient * auxiliary
        return Loss(total, squared.detach(), (values > 0).sum() / len(x), parts)

    def _auxiliary(self, pre: Tensor, error: Tensor) -> Tensor:
        dead = (self.since_fired > self.dead_after).nonzero()[:, 0]
        if not len(dead):
            return error.new_zeros(())
        values, chosen = pre[:, dead].topk(min(self.aux_k, len(dead)), dim=1, sorted=False)
        # At most aux_k of the dead rows are active, so a dense product over the dead rows alone is cheapest.
        latents = torch.zeros(len(pre), len(dead), dtype=values.dtype).scatter(1, chosen, values.relu())
        predicted = latents.float() @ self.W_dec[dead]
        scale = error.square().sum().clamp_min(torch.finfo(error.dtype).tiny)
        return (error - predicted).square().sum() / scale

    def before_step(self) -> None:
        remove_parallel_(self.W_dec)

    def after_step(self) -> None:
        unit_rows_(self.W_dec.data)

    def finish(self) -> TopKSAE:
        # latents(s x) / s: the decoder keeps unit rows and latents come in the units of x.
        weights = (self.W_enc, self.b_enc / self.scale, self.W_dec, self.b_dec / self.scale)
        return TopKSAE(*(w.detach().clone() for w in weights), k=self.settings.k)


def _sparse_decode(values: Tensor, latents: Tensor, W_dec: Tensor) -> Tensor:  # noqa: N803
    """values, latents: [frames, k] to [frames, d_in], touching only the k rows of W_dec a frame uses."""
    return F.embedding_bag(latents, W_dec, per_sample_weights=values, mode="sum")
