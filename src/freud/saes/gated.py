"""Gated sparse autoencoders (Rajamanoharan et al. 2024, arXiv 2404.16014).

    h = (x - b_dec) W_enc
    gate = h + b_gate,   magnitude = relu(h exp(r_mag) + b_mag)
    latents = magnitude where gate > 0, else zero
    x_hat = latents W_dec + b_dec
    loss = mean over frames of (||x - x_hat||^2 + ||x - x_gate||^2) / d_in + lambda sum relu(gate) / sqrt(d_in)

where x_gate decodes relu(gate) with W_dec and b_dec held fixed: this auxiliary loss trains the gate, to which the first
term has no gradient. Only the gate is penalised, so magnitudes do not shrink. Decoder rows have norm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from freud.saes import kernels, parallel
from freud.saes.architecture import Architecture, Loss, Training, center
from freud.saes.jumprelu import check_coefficient, risen
from freud.saes.sae import SAE, normalized


@dataclass(frozen=True, kw_only=True)
class Gated(Architecture):
    """Settings of a Gated SAE.

    Attributes:
        coefficient: lambda; inputs are scaled to unit mean square, so it means the same on every site.
        coefficient_warmup: share of the training over which lambda rises from zero.
    """

    name: ClassVar[str] = "gated"

    coefficient: float = 0.08
    coefficient_warmup: float = 0.2

    def check(self, d_in: int) -> None:
        super().check(d_in)
        check_coefficient(self.coefficient, self.coefficient_warmup)

    def start(self, sample: Tensor, seed: int) -> GatedTraining:
        return GatedTraining(self, sample, seed)


class GatedSAE(SAE):
    """A trained Gated SAE. `b_gate` stands where other SAEs have `b_enc`, as pre-activations decide what is active.

    Attributes:
        b_gate, b_mag, r_mag: [d_sae].
    """

    architecture = "gated"
    b_gate: Tensor
    b_mag: Tensor
    r_mag: Tensor

    def __init__(
        self,
        W_enc: Tensor,  # noqa: N803
        W_dec: Tensor,  # noqa: N803
        b_dec: Tensor,
        *,
        b_gate: Tensor,
        b_mag: Tensor,
        r_mag: Tensor,
        **options: Any,
    ) -> None:
        super().__init__(W_enc, torch.zeros(W_enc.shape[-1]), W_dec, b_dec, **options)
        del self.b_enc
        for name, tensor in (("b_gate", b_gate), ("b_mag", b_mag), ("r_mag", r_mag)):
            self._add(name, tensor, (self.d_sae,))

    def pre_activations(self, x: Tensor) -> Tensor:
        """x: [..., d_in] to the product with W_enc [..., d_sae], before the two biases."""
        x, _, _ = normalized(x, self.normalize_activations)
        return (x - self.b_dec if self.apply_b_dec_to_input else x) @ self.W_enc

    def activate(self, pre: Tensor) -> Tensor:
        return (pre * self.r_mag.exp() + self.b_mag).relu() * (pre + self.b_gate > 0)

    def _scale_latents_(self, factor: Tensor, *, weights: bool = True) -> None:
        if weights:
            self.W_enc.mul_(factor)
        self.b_gate.mul_(factor)
        self.b_mag.mul_(factor)

    def _shift_latents_(self, shift: Tensor) -> None:
        self.b_gate.add_(shift)
        self.b_mag.add_(shift * self.r_mag.exp())


class GatedTraining(Training):
    """Weights and losses of a Gated SAE in training."""

    b_gate: Tensor
    b_mag: Tensor
    r_mag: Tensor

    def __init__(self, settings: Gated, sample: Tensor, seed: int) -> None:
        super().__init__(settings, sample, seed)
        self.settings = settings
        for name in ("b_gate", "b_mag", "r_mag"):
            self.register_parameter(name, nn.Parameter(torch.zeros(len(self.since_fired))))

    def loss(self, x: Tensor, progress: float) -> Loss:
        x = self.prepare(x)
        frames, d_in = parallel.total_frames(x), x.shape[1]
        centered, shift = center(x, self.W_enc, self.b_dec)
        found = kernels.above(centered, self.W_enc, shift, -self.b_gate)
        gate = found.values + found.of(self.b_gate)
        magnitude = found.values * found.of(self.r_mag.exp()) + found.of(self.b_mag)
        latents = magnitude.relu() * (gate.detach() > 0)
        opened = gate.relu()
        squared = (x - found.decode(latents, self.W_dec) - self.b_dec).square().sum()
        x_gate = found.decode(opened, self.W_dec.detach()) + self.b_dec.detach()
        auxiliary = (x - x_gate).square().sum() / (frames * d_in)
        sparsity = opened.sum() / (frames * d_in**0.5)
        latents = latents.detach()
        self.count_firing(found.fired(latents), frames)
        weight = risen(self.settings.coefficient, self.settings.coefficient_warmup, progress)
        return Loss(
            squared / (frames * d_in) + auxiliary + weight * sparsity,
            squared.detach(),
            (latents > 0).sum() / len(x),
            {"auxiliary": auxiliary.detach(), "sparsity": sparsity.detach()},
        )

    def sae(self) -> GatedSAE:
        names = ("W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag")
        return GatedSAE(**{name: getattr(self, name).detach().clone() for name in names})
