"""How well an SAE reconstructs and how its latents fire, each measure defined once.

FVU = sum ||x - x_hat||^2 / sum ||x - mean||^2, where mean is over *all* the frames given, not over a batch
(DESIGN.md 5.9); explained variance is 1 - FVU, which scikit-learn calls r2_score(..., multioutput="variance_weighted").
Sums run in float64 over a stream of blocks, so memory does not grow with the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from freud.errors import FreudError
from freud.saes.sae import SAE, Sparse, normalized

DENSE = 0.1  # a latent is dense when it is active on more than this share of the frames
CHUNK = 2048  # frames encoded together


@dataclass(frozen=True)
class Reconstruction:
    """Reconstruction quality over some frames.

    Attributes:
        frames: number of frames N.
        fvu: fraction of variance unexplained; 0 is perfect, 1 is the mean.
        explained_variance: 1 - fvu.
        l0: mean number of active latents a frame.
        dead: share of the latents that fired on none of the N frames.
        cosine: mean cosine between frame and reconstruction.
        norm_ratio: mean of |reconstruction| / |frame|, over the frames that are not all zero; below 1 is shrinkage.
    """

    frames: int
    fvu: float
    explained_variance: float
    l0: float
    dead: float
    cosine: float
    norm_ratio: float


@dataclass(frozen=True)
class Firing:
    """How often latents fire over some frames.

    Attributes:
        frames: number of frames N.
        active: [d_sae] int64, frames on which each latent is above zero.
        l0: [d_sae + 1] int64, number of frames that have 0, 1, 2 ... active latents.
    """

    frames: int
    active: Tensor
    l0: Tensor

    @property
    def density(self) -> Tensor:
        """[d_sae] float64, share of the frames on which each latent is active."""
        return self.active.double() / self.frames

    @property
    def alive(self) -> Tensor:
        """[d_sae] bool, active on at least one of the N frames."""
        return self.active > 0

    @property
    def dense(self) -> float:
        """Share of the latents that are active on more than a tenth of the frames."""
        return float((self.density > DENSE).double().mean())

    def l0_quantile(self, share: float) -> int:
        """The least number of active latents that at least `share` of the frames do not exceed."""
        reached = self.l0.cumsum(0) >= share * self.frames
        return int(reached.int().argmax())


@torch.no_grad()
def reconstruction(sae: SAE, blocks: Iterable[Tensor]) -> Reconstruction:
    """Measure how well `sae` reconstructs blocks of frames [frames, d_in].

    Raises:
        FreudError: there are no frames.
    """
    return measure(sae, blocks)[0]


@torch.no_grad()
def measure(sae: SAE, blocks: Iterable[Tensor]) -> tuple[Reconstruction, Firing]:
    """Reconstruction and firing of `sae` over blocks of frames [frames, d_in], in one pass.

    Raises:
        FreudError: there are no frames, or some are not finite.
    """
    frames = moving = 0
    squared = cosine = ratio = total_squared = 0.0
    total = torch.zeros(sae.d_in, dtype=torch.float64)
    active = torch.zeros(sae.d_sae, dtype=torch.int64)
    l0 = torch.zeros(sae.d_sae + 1, dtype=torch.int64)
    for x in (part.float() for block in blocks for part in block.split(CHUNK)):
        sparse = sae.to_sparse(x)
        x_hat = decode_sparse(sae, sparse, x)
        norm, norm_hat = x.norm(dim=1), x_hat.norm(dim=1)
        frames += len(x)
        squared += float((x - x_hat).square().sum(dtype=torch.float64))
        total += x.sum(0, dtype=torch.float64)
        total_squared += float(x.square().sum(dtype=torch.float64))
        cosine += float(torch.nn.functional.cosine_similarity(x, x_hat, dim=1).sum(dtype=torch.float64))
        ratio += float((norm_hat[norm > 0] / norm[norm > 0]).sum(dtype=torch.float64))
        moving += int((norm > 0).sum())
        active += torch.bincount(sparse.latent, minlength=sae.d_sae)
        l0 += torch.bincount(torch.bincount(sparse.frame, minlength=len(x)), minlength=sae.d_sae + 1)
    if not frames:
        raise FreudError("no frames to measure the SAE on")
    variance = total_squared - float(total.square().sum()) / frames
    fvu = squared / variance if variance > 0 else float("nan")
    found = Reconstruction(
        frames=frames,
        fvu=fvu,
        explained_variance=1 - fvu,
        l0=int(active.sum()) / frames,
        dead=1 - int((active > 0).sum()) / sae.d_sae,
        cosine=cosine / frames,
        norm_ratio=ratio / moving if moving else float("nan"),
    )
    return found, Firing(frames, active, l0)


def decode_sparse(sae: SAE, sparse: Sparse, x: Tensor) -> Tensor:
    """Reconstructions of frames x [frames, d_in] from their active latents, without making those dense."""
    _, scale, shift = normalized(x, sae.normalize_activations)
    starts = torch.searchsorted(sparse.frame, torch.arange(len(x), device=x.device))
    values = sparse.value.to(sae.W_dec.dtype)
    decoded = torch.nn.functional.embedding_bag(sparse.latent, sae.W_dec, starts, per_sample_weights=values, mode="sum")
    return (decoded + sae.b_dec) * scale + shift
