"""Scores above a bound, as sparse entries where they are few and as a dense matrix where they are not.

Latents whose number a loss does not fix (L1, JumpReLU, Gated) are a few per cent of all once a training is under way,
and then sparse products take a fraction of the time; in its first steps they may be half. Both forms answer the same
questions, so that a loss is written once. Which it is depends on the batch and the weights alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from freud.saes.kernels.choose import reaching, screen, some_frames
from freud.saes.kernels.shares import in_shares
from freud.saes.kernels.sparse import Pattern, by_latent, decode, scores

FEW = 1 / 8  # of all entries: up to there sparse products are faster


@dataclass(frozen=True)
class Dense:
    """All scores.

    Attributes:
        values: [frames, d_sae].
    """

    values: Tensor

    def of(self, weights: Tensor) -> Tensor:
        """weights [d_sae] so that they go with `values`."""
        return weights

    def decode(self, latents: Tensor, W_dec: Tensor) -> Tensor:  # noqa: N803
        """latents, as `values`, times W_dec: [frames, d_in]."""
        return latents @ W_dec

    def fired(self, latents: Tensor) -> Tensor:
        """[d_sae] bool: whether a latent is above zero on any frame. latents: as `values`."""
        return (latents > 0).any(0)


@dataclass(frozen=True)
class Few:
    """The scores above the bound, and none or some of those below.

    Attributes:
        values: [active].
        pattern: where they are.
    """

    values: Tensor
    pattern: Pattern

    def of(self, weights: Tensor) -> Tensor:
        """weights [d_sae] so that they go with `values`."""
        return weights.index_select(0, self.pattern.latents)

    def decode(self, latents: Tensor, W_dec: Tensor) -> Tensor:  # noqa: N803
        """latents, as `values`, times W_dec: [frames, d_in]."""
        return decode(latents, self.pattern, W_dec)

    def fired(self, latents: Tensor) -> Tensor:
        """[d_sae] bool: whether a latent is above zero on any frame. latents: as `values`."""
        return self.pattern.fired(latents)


def above(x: Tensor, W_enc: Tensor, b_enc: Tensor, least: Tensor) -> Dense | Few:  # noqa: N803
    """x W_enc + b_enc where it is above `least`, differentiable in x, W_enc and b_enc.

    Args:
        x: [frames, d_in]; centered already, if it is to be.
        W_enc: [d_in, d_sae]; best kept in memory as [d_sae, d_in].
        b_enc: [d_sae].
        least: [d_sae].
    """
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        found = _pattern(x, W_enc, b_enc, least)
    if found is None:
        return Dense((x @ W_enc + b_enc).float())
    pattern, values = found
    return Few(scores(x, W_enc, b_enc, pattern, values), pattern)


def _pattern(x: Tensor, W_enc: Tensor, b_enc: Tensor, least: Tensor) -> tuple[Pattern, Tensor] | None:  # noqa: N803
    """Where scores reach `least`, and the scores there; None if they are not few, not numbers, or not on a CPU."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return None
    rows, bias = by_latent(W_enc), b_enc - least
    if (torch.mm(some_frames(x), rows.T).add_(bias) >= 0).float().mean() > FEW:
        return None
    found = in_shares(partial(_above_zero, x, rows, bias), len(x))
    if any(share is None for share in found):
        return None
    frame, latent, value = (torch.from_numpy(np.concatenate(each)) for each in zip(*found, strict=True))
    return Pattern.ragged(frame, latent, len(x), len(rows)), value + least[latent]


def _above_zero(
    x: Tensor, rows: Tensor, bias: Tensor, share: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Frames, latents and values of the scores of some frames that are not below zero; None if one is not a number."""
    found = []
    for these, scored, maxima in screen(x[share], rows, bias):
        if maxima.isnan().any():
            return None
        frame, latent, value = reaching(scored, maxima, torch.zeros(len(scored)))
        found.append((frame + share.start + these.start, latent, value))
    frames, latents, values = map(np.concatenate, zip(*found, strict=True))
    return frames, latents, values
