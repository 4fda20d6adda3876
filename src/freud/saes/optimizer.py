"""Adam over the weights of an SAE in training, and what is done to gradients before it and to weights after it.

Gradients are clipped to a norm, those that are not finite are skipped on the device, and decoder rows keep norm 1. On
a GPU that has Triton the decoder goes through kernels of its own (`kernels.triton_adam`), to the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from freud.saes.architecture import Training
from freud.saes.kernels.sparse import triton_for


class Optimizer:
    """The optimizer of one training.

    Args:
        training: whose weights, on their device.
        clip: the largest norm of the gradient of all weights together.
    """

    def __init__(self, training: Training, clip: float) -> None:
        self.training = training
        self.clip = clip
        self.weights = list(training.parameters())
        # Adam copies the gradient of what is not contiguous; W_enc is, the other way around.
        self._rows = [w if w.is_contiguous() else torch.nn.Parameter(w.data.T) for w in self.weights]
        # On a GPU the rate is a tensor, which a recorded step reads anew.
        device = training.W_dec.device
        rate = torch.zeros((), device=device) if device.type == "cuda" else 0.0
        self.adam = torch.optim.Adam(self._rows, lr=rate, fused=True, capturable=device.type == "cuda")
        # Adam makes its state at the first step; making it here lets a checkpoint be loaded in place.
        for weight in self._rows:
            self.adam.state[weight] = {
                "step": torch.tensor(0.0, device=weight.device),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }
        self._advance = self._by_triton if triton_for(training.W_dec) else self._plain

    def state(self, weight: Tensor) -> dict[str, Tensor]:
        """exp_avg and exp_avg_sq as `weight`, and step []."""
        rows = next(r for w, r in zip(self.weights, self._rows, strict=True) if w is weight)
        state = self.adam.state[rows]
        return state if rows is weight else {key: each.T if each.ndim else each for key, each in state.items()}

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for weight in self.weights:
            weight.grad = None

    def set_rate(self, lr: float) -> None:
        """The learning rate of the steps that follow."""
        group = self.adam.param_groups[0]
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr

    @torch.no_grad()
    def step(self) -> tuple[Tensor, Tensor]:
        """Make a step; the norm of the gradient before it was clipped, and whether the step was left out: each []."""
        return self._advance()

    def _plain(self) -> tuple[Tensor, Tensor]:
        self.training.before_step()
        norm = _norm(self.weights)
        bad = self._adam(norm)
        self.training.after_step()
        return norm, bad

    def _by_triton(self) -> tuple[Tensor, Tensor]:
        from freud.saes.kernels import triton_adam

        decoder = self.training.W_dec
        assert decoder.grad is not None
        grad, decoder.grad = decoder.grad.contiguous(), None
        squares = triton_adam.project(decoder, grad)
        norm = torch.hypot(_norm(self.weights), squares.sum().sqrt())
        bad = self._adam(norm)
        group = self.adam.param_groups[0]
        factor = 1 / self._excess(norm)
        lr = torch.as_tensor(group["lr"], device=decoder.device)
        triton_adam.update(decoder, grad, self.state(decoder), factor, bad, lr, group["betas"], group["eps"])
        self.training.constrain()
        return norm, bad

    def _adam(self, norm: Tensor) -> Tensor:
        """Clip and do Adam for all weights that have a gradient, unless `norm` is not finite; whether it is not."""
        bad = ~norm.isfinite()
        for weight, rows in zip(self.weights, self._rows, strict=True):
            if rows is not weight:
                rows.grad = None if weight.grad is None else weight.grad.T
        # Fused Adam divides gradients as it reads them, and does nothing at all if told so.
        self.adam.grad_scale = self._excess(norm)  # pyright: ignore[reportAttributeAccessIssue]
        self.adam.found_inf = bad.float()  # pyright: ignore[reportAttributeAccessIssue]
        self.adam.step()
        return bad

    def _excess(self, norm: Tensor) -> Tensor:
        """What gradients of this norm are divided by, as torch clips."""
        return ((norm + 1e-6) / self.clip).clamp(min=1)


def _norm(weights: Sequence[Tensor]) -> Tensor:
    """Of the gradients of all weights that have one."""
    return torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
