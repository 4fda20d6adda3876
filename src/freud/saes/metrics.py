"""How well an SAE reconstructs, each measure defined once.

FVU = sum ||x - x_hat||^2 / sum ||x - mean||^2, where mean is over *all* the frames given, not over a batch
(DESIGN.md 5.9). Sums run in float64 over a stream of blocks, so memory does not grow with the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from freud.errors import FreudError
from freud.saes.sae import SAE


@dataclass(frozen=True)
class Reconstruction:
    """Reconstruction quality over some frames.

    Attributes:
        frames: number of frames N.
        fvu: fraction of variance unexplained; 0 is perfect, 1 is the mean.
        l0: mean number of active latents a frame.
        dead: share of the latents that fired on none of the N frames.
        cosine: mean cosine between frame and reconstruction.
    """

    frames: int
    fvu: float
    l0: float
    dead: float
    cosine: float


@torch.no_grad()
def reconstruction(sae: SAE, blocks: Iterable[Tensor]) -> Reconstruction:
    """Measure `sae` on blocks of frames [frames, d_in].

    Raises:
        FreudError: there are no frames.
    """
    frames, squared, active, cosine = 0, 0.0, 0, 0.0
    total = torch.zeros(sae.d_in, dtype=torch.float64)
    total_squared = 0.0
    fired = torch.zeros(sae.d_sae, dtype=torch.bool)
    for block in blocks:
        x = block.float()
        sparse = sae.to_sparse(x)
        x_hat = _decode(sae, sparse, len(x))
        frames += len(x)
        squared += float((x - x_hat).square().sum(dtype=torch.float64))
        total += x.sum(0, dtype=torch.float64)
        total_squared += float(x.square().sum(dtype=torch.float64))
        cosine += float(torch.nn.functional.cosine_similarity(x, x_hat, dim=1).sum(dtype=torch.float64))
        active += len(sparse.value)
        fired[sparse.latent] = True
    if not frames:
        raise FreudError("no frames to measure the SAE on")
    variance = total_squared - float(total.square().sum()) / frames
    return Reconstruction(
        frames=frames,
        fvu=squared / variance if variance > 0 else float("nan"),
        l0=active / frames,
        dead=1 - float(fired.sum()) / sae.d_sae,
        cosine=cosine / frames,
    )


def _decode(sae: SAE, sparse: tuple[Tensor, Tensor, Tensor], frames: int) -> Tensor:
    """Decode active latents without making them dense, [frames, d_in]."""
    frame, latent, value = sparse
    starts = torch.searchsorted(frame, torch.arange(frames))
    return (
        torch.nn.functional.embedding_bag(
            latent, sae.W_dec, starts, per_sample_weights=value.to(sae.W_dec.dtype), mode="sum"
        )
        + sae.b_dec
    )
