"""Signed TopK sparse autoencoders: latents may be negative (sparsify's `signed`; AbsTopK, arXiv 2510.00404).

pre = (x - b_dec) W_enc + b_enc
latents = the k entries of pre that are largest by magnitude, with their sign, the others zero
x_hat = latents W_dec + b_dec

They are read and used, not trained here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from freud.saes.sae import Sparse
from freud.saes.topk import TopKSAE


class AbsTopKSAE(TopKSAE):
    """A trained signed TopK SAE: `k` latents are active on a frame, above or below zero."""

    architecture = "abstopk"

    def activate(self, pre: Tensor) -> Tensor:
        latents = self._largest(pre)
        return torch.zeros_like(pre).scatter(-1, latents, pre.gather(-1, latents))

    def to_sparse(self, x: Tensor) -> Sparse:
        pre = self.pre_activations(x)
        latents = self._largest(pre)
        values = pre.gather(-1, latents)
        active = values != 0
        frame = torch.arange(len(x), device=x.device)[:, None].expand_as(active)
        return Sparse(frame[active], latents[active], values[active])

    def _largest(self, pre: Tensor) -> Tensor:
        """The latents [..., k] that are largest by magnitude."""
        return pre.abs().topk(self.k, dim=-1, sorted=False).indices
