"""What the k largest latents of some leave of an error: AuxK's loss where dead latents are many, on a CPU.

    S = relu of the k largest of x rows^T + bias on each frame,   r = error - S W_dec,   loss = |r|^2
    dS = -2 (r W_dec^T at the pattern, where S > 0),   d rows = dS^T x,   d bias = sums of dS,   dW_dec = -2 S^T r

It is linear in what comes from above, so the gradients are made along with the loss, while a share of the frames is at
hand: `topk` and `error` would do the same one after the other, with lists of places made by one thread in between.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from freud.saes.kernels.choose import largest_scores
from freud.saes.kernels.shares import in_shares
from freud.saes.kernels.sparse import Pattern


def unexplained(
    error: Tensor,
    x: Tensor,
    rows: Tensor,
    bias: Tensor,
    W_dec: Tensor,  # noqa: N803
    k: int,
    found: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """The loss of the module docstring, [], differentiable in rows, bias and W_dec.

    Args:
        error: [frames, d_in].
        x: [frames, d_in].
        rows: of the encoder, [latents, d_in].
        bias: [latents].
        W_dec: [latents, d_in].
        k: at most `latents`.
        found: values and latents [frames, k] of the k largest, where they are known already.
    """
    return _Unexplained.apply(rows, bias, W_dec, error, x, k, found)  # pyright: ignore[reportReturnType]


class _Unexplained(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        bias: Tensor,
        W_dec: Tensor,  # noqa: N803
        error: Tensor,
        x: Tensor,
        k: int,
        found: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        def share(frames: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            part = x[frames]
            if found is None:
                best, latents = largest_scores(part, rows, bias, k)
            else:
                best, latents = (each[frames] for each in found)
            values, pattern = best.relu().view(-1), Pattern.regular(latents, len(rows))
            left = error[frames] - pattern.times(values, W_dec)
            grad = pattern.products(left, W_dec).mul_(values > 0)
            return (
                torch.linalg.vector_norm(left).square(),
                pattern.transposed_times(grad, part),
                pattern.sums(grad),
                pattern.transposed_times(values, left),
            )

        loss, *gradients = (reduce(torch.add, each) for each in zip(*in_shares(share, len(x)), strict=True))
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return *(-2 * grads[0] * gradient for gradient in ctx.saved_tensors), None, None, None, None
