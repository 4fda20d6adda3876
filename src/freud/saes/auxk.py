"""What TopK, BatchTopK and Matryoshka share: k, and the auxiliary loss that revives dead latents.

    auxiliary = ||e - e_hat||^2 / ||e||^2,   e = x - x_hat (detached)

where e_hat decodes, without b_dec, the aux_k largest relu(pre) among dead latents (Gao et al. 2024, arXiv 2406.04093,
appendix A.2). Dead are those that were so before the batch: it is known which, whatever fires in it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from freud.saes import kernels, parallel
from freud.saes.architecture import Architecture, Loss, Training, center, require

ENCODER = 0.5  # norm of its rows at the start: in short trainings FVU is 7 % lower than with 1; with 0.2 latents die
SPARSE = 4  # dead latents for each one chosen, from which on sparse products are faster than dense ones on a CPU


@dataclass(frozen=True, kw_only=True)
class AuxK(Architecture):
    """Settings that those architectures share.

    Attributes:
        k: active latents a frame.
        aux_k: dead latents that predict the residual; half of d_in if not given.
        aux_coefficient: weight alpha of the auxiliary loss; 0 turns it off.
    """

    k: int = 32
    aux_k: int | None = None
    aux_coefficient: float = 1 / 32

    def check(self, d_in: int) -> None:
        super().check(d_in)
        d_sae = self.latents(d_in)
        require("k", self.k, 1 <= self.k <= d_sae, f"between 1 and d_sae {d_sae}")
        require("aux_k", self.aux_k, self.aux_k is None or self.aux_k >= 1, "at least 1")
        require("aux_coefficient", self.aux_coefficient, 0 <= self.aux_coefficient < math.inf, "0 or more")


class Reconstructed(NamedTuple):
    """What was reconstructed from the chosen latents."""

    loss: Loss
    error: Tensor  # x - x_hat, [frames, d_in]
    fired: Tensor  # [d_sae] bool
    dead: tuple[Tensor, Tensor] | None = None  # values and places of the largest among dead latents, if they were found


class _Count:
    """How many latents will be dead so many frames on if none fires: the host waits for it only when it is read.

    Args:
        since_fired: the counters, [d_sae].
        frames: from now on.
        dead_after: frames.
    """

    def __init__(self, since_fired: Tensor, frames: int, dead_after: int) -> None:
        self._number = (since_fired + frames > dead_after).sum()
        self._arrived = None
        if since_fired.is_cuda:
            number = torch.empty_like(self._number, device="cpu", pin_memory=True)
            self._number = number.copy_(self._number, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def __int__(self) -> int:
        if self._arrived is not None:
            self._arrived.synchronize()
        return int(self._number)


class AuxKTraining(Training):
    """Weights in training with pre = (x - b_dec) W_enc + b_enc, the loss over some of them, and the auxiliary loss."""

    def __init__(self, settings: AuxK, sample: Tensor, seed: int) -> None:
        super().__init__(settings, sample, seed)
        self.k = settings.k
        self.aux_k = settings.aux_k if settings.aux_k is not None else max(1, sample.shape[1] // 2)
        self.aux_coefficient = settings.aux_coefficient
        self.b_enc = nn.Parameter(torch.zeros(len(self.since_fired)))
        self.W_enc.data.mul_(ENCODER)
        self._room: int | None = None  # for dead latents in the coming batch; None if that has not been looked into
        self._next: _Count | None = None
        self._version = 0  # of the counters, after they were last counted up

    def loss(self, x: Tensor, progress: float) -> Loss:
        x = self.prepare(x)
        centered, shift = center(x, self.W_enc, self.b_dec)
        b_enc = shift + self.b_enc
        frames = parallel.total_frames(x)
        dead, is_dead = self._dead()
        found = self.reconstruct(x, centered, b_enc, dead)
        loss = found.loss
        self.count_firing(found.fired, frames)
        self._room, self._version = None, self.since_fired._version
        if self.aux_coefficient:
            auxiliary = self.auxiliary(centered, b_enc, dead, is_dead, found)
            loss.parts["auxiliary"] = auxiliary.detach()
            loss.total = loss.total + self.aux_coefficient * auxiliary
        return loss

    def expect(self, x: Tensor) -> int | None:
        if not x.is_cuda or parallel.world_size() > 1:
            return None
        return self._make_room(len(x)) if self.aux_coefficient else 0

    @torch.no_grad()
    def _make_room(self, frames: int) -> int:
        """Find out for how many dead latents there has to be room in a batch of so many frames.

        That is known without waiting for the step before it: where the counters stood before that step, it is how many
        would be dead after it if no latent fired.
        """
        count = self._next
        touched = self._version != self.since_fired._version
        if count is None or touched:
            count = _Count(self.since_fired, 0, self.dead_after)
        self._next = _Count(self.since_fired, frames, self.dead_after)
        self._room = min(_rounded_up(int(count)), len(self.since_fired))
        return self._room

    @torch.no_grad()
    def _dead(self) -> tuple[Tensor, Tensor | None]:
        """The dead latents [dead] int64, ascending.

        As many as there is room for, if that was found out, as it is on a GPU alone: then others may follow, and which
        are dead is told by [room] bool.
        """
        if not self.aux_coefficient:
            return self.since_fired.new_empty(0), None
        is_dead = self.since_fired > self.dead_after
        if self._room is None:
            return is_dead.nonzero()[:, 0], None
        dead = is_dead.byte().sort(descending=True, stable=True).indices[: self._room]
        return dead, is_dead[dead]

    @abstractmethod
    def reconstruct(self, x: Tensor, centered: Tensor, b_enc: Tensor, dead: Tensor) -> Reconstructed:
        """Choose among pre = centered W_enc + b_enc; `dead` are latents that will hardly be chosen."""

    def auxiliary(
        self, centered: Tensor, b_enc: Tensor, dead: Tensor, is_dead: Tensor | None, found: Reconstructed
    ) -> Tensor:
        """The auxiliary loss.

        Args:
            centered: x - b_dec, [frames, d_in].
            b_enc: [d_sae].
            dead: [dead] int64, the dead latents and perhaps others.
            is_dead: [dead] bool; None if all are.
            found: what all latents reconstructed.
        """
        error = found.error.detach()
        if not len(dead):
            return error.new_zeros(())
        rows, W_dec = self.W_enc.T.index_select(0, dead), self.W_dec.index_select(0, dead)  # noqa: N806
        bias = b_enc[dead] if is_dead is None else b_enc[dead].masked_fill(~is_dead, -torch.inf)
        count = min(self.aux_k, len(dead))
        if len(dead) >= SPARSE * count and not error.is_cuda:
            squared = kernels.unexplained(error, centered, rows, bias, W_dec, count, found.dead)
        else:
            predicted = kernels.kept(F.linear(centered, rows, bias), count) @ W_dec
            squared = F.mse_loss(predicted.float(), error, reduction="sum")
        scale = parallel.total(found.loss.reconstruction).clamp_min(torch.finfo(error.dtype).tiny)
        return squared / scale if is_dead is None else squared / scale * is_dead.any()


def _rounded_up(number: int) -> int:
    """To a power of two, or a quarter, half or three quarters of the way to the next: few kinds of steps are enough."""
    step = max(16, 1 << max(0, number.bit_length() - 3))
    return -(-number // step) * step
