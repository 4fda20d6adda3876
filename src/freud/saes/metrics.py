"""How well an SAE reconstructs and how its latents fire, each measure defined once.

FVU = sum ||x - x_hat||^2 / sum ||x - mean||^2, where mean is over *all* the frames given, not over a batch
(DESIGN.md 5.9); explained variance is 1 - FVU, which scikit-learn calls r2_score(..., multioutput="variance_weighted").
Sums run in float64 over a stream of blocks, so memory does not grow with the data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def reconstruction(sae: SAE, blocks: Iterable[Tensor]) -> Reconstruction:
    """Measure how well `sae` reconstructs blocks of frames [frames, d_in].

    Raises:
        FreudError: there are no frames.
    """
    return measure(sae, blocks)[0]


def measure(sae: SAE, blocks: Iterable[Tensor]) -> tuple[Reconstruction, Firing]:
    """Reconstruction and firing of `sae` over blocks of frames [frames, d_in], in one pass.

    Raises:
        FreudError: there are no frames.
    """
    return measure_all([sae], blocks)[0]


def measure_all(saes: Sequence[SAE], blocks: Iterable[Tensor]) -> list[tuple[Reconstruction, Firing]]:
    """Reconstruction and firing of each SAE over the same blocks of frames [frames, d_in], in one pass over them.

    Raises:
        FreudError: there are no frames.
    """
    sums = [_Sums(sae) for sae in saes]
    for block in blocks:
        for part in block.split(CHUNK):
            for each in sums:
                each.add(part)
    return [each.result() for each in sums]


class _Sums:
    """What the measures of one SAE are made of, on its device."""

    def __init__(self, sae: SAE) -> None:
        self.sae = sae
        self.device = sae.W_dec.device
        self.frames = self.moving = 0
        self.squared = self.cosine = self.ratio = self.total_squared = 0.0
        self.total = torch.zeros(sae.d_in, dtype=torch.float64, device=self.device)
        self.active = torch.zeros(sae.d_sae, dtype=torch.int64, device=self.device)
        self.l0 = torch.zeros(sae.d_sae + 1, dtype=torch.int64, device=self.device)

    @torch.no_grad()
    def add(self, x: Tensor) -> None:
        """Take in frames x [frames, d_in]."""
        x = x.to(self.device, torch.float32)
        sparse = self.sae.to_sparse(x)
        x_hat = decode_sparse(self.sae, sparse, x)
        norm, norm_hat = x.norm(dim=1), x_hat.norm(dim=1)
        self.frames += len(x)
        self.squared += float((x - x_hat).square().sum(dtype=torch.float64))
        self.total += x.sum(0, dtype=torch.float64)
        self.total_squared += float(x.square().sum(dtype=torch.float64))
        self.cosine += float(torch.nn.functional.cosine_similarity(x, x_hat, dim=1).sum(dtype=torch.float64))
        self.ratio += float((norm_hat[norm > 0] / norm[norm > 0]).sum(dtype=torch.float64))
        self.moving += int((norm > 0).sum())
        self.active += torch.bincount(sparse.latent, minlength=self.sae.d_sae)
        counts = torch.bincount(sparse.frame, minlength=len(x))
        self.l0 += torch.bincount(counts, minlength=self.sae.d_sae + 1)

    def result(self) -> tuple[Reconstruction, Firing]:
        """The measures of all frames so far."""
        if not self.frames:
            raise FreudError("no frames to measure the SAE on")
        variance = self.total_squared - float(self.total.square().sum()) / self.frames
        fvu = self.squared / variance if variance > 0 else float("nan")
        found = Reconstruction(
            frames=self.frames,
            fvu=fvu,
            explained_variance=1 - fvu,
            l0=int(self.active.sum()) / self.frames,
            dead=1 - int((self.active > 0).sum()) / self.sae.d_sae,
            cosine=self.cosine / self.frames,
            norm_ratio=self.ratio / self.moving if self.moving else float("nan"),
        )
        return found, Firing(self.frames, self.active.cpu(), self.l0.cpu())


def decode_sparse(sae: SAE, sparse: Sparse, x: Tensor) -> Tensor:
    """Reconstructions of frames x [frames, d_in] from their active latents, without making those dense."""
    _, scale, shift = normalized(x, sae.normalize_activations)
    starts = torch.searchsorted(sparse.frame, torch.arange(len(x), device=x.device))
    values = sparse.value.to(sae.W_dec.dtype)
    decoded = torch.nn.functional.embedding_bag(sparse.latent, sae.W_dec, starts, per_sample_weights=values, mode="sum")
    return (decoded + sae.b_dec) * scale + shift
