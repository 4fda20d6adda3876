"""Adam for a weight whose rows keep norm 1, on a GPU, a program for each row: two passes where torch makes about six.

Between them is the norm of all gradients, which clipping needs: `project` takes from the gradient what would only
change the norms of the rows, and says how long it is then; `update` is clipping, Adam and the new norm.
"""

# A tl.constexpr is given as a plain number.
# pyright: reportArgumentType=false
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _project(weight, grad, squares, width, W: tl.constexpr):  # noqa: N803
    """grad[i] -= (grad[i] . weight[i]) weight[i]; squares[i] = |grad[i]|^2."""
    row = tl.program_id(0).to(tl.int64)
    dim = tl.arange(0, W)
    mask = dim < width
    w = tl.load(weight + row * width + dim, mask=mask, other=0.0)
    g = tl.load(grad + row * width + dim, mask=mask, other=0.0)
    g -= tl.sum(g * w, 0) * w
    tl.store(grad + row * width + dim, g, mask=mask)
    tl.store(squares + row, tl.sum(g * g, 0))


@triton.jit
def _update(
    weight, grad, mean, square, factor, step, bad, lr, beta1, beta2, eps, tiny, width, W: tl.constexpr  # noqa: N803
):  # fmt: skip
    """Adam's step number `step` with factor * grad, and weight[i] /= |weight[i]|; nothing if `bad`."""
    if tl.load(bad) == 0:
        dim = tl.arange(0, W)
        mask = dim < width
        at = tl.program_id(0).to(tl.int64) * width + dim
        steps = tl.load(step)
        g = tl.load(grad + at, mask=mask, other=0.0) * tl.load(factor)
        m = beta1 * tl.load(mean + at, mask=mask, other=0.0) + (1 - beta1) * g
        v = beta2 * tl.load(square + at, mask=mask, other=0.0) + (1 - beta2) * g * g
        m_hat = m / (1 - tl.exp2(steps * tl.log2(beta1)))
        v_hat = v / (1 - tl.exp2(steps * tl.log2(beta2)))
        w = tl.load(weight + at, mask=mask, other=0.0) - tl.load(lr) * m_hat / (tl.sqrt(v_hat) + eps)
        w /= tl.maximum(tl.sqrt(tl.sum(w * w, 0)), tiny)
        tl.store(weight + at, w, mask=mask)
        tl.store(mean + at, m, mask=mask)
        tl.store(square + at, v, mask=mask)


def project(weight: Tensor, grad: Tensor) -> Tensor:
    """Take from `grad` the parts along the unit rows of `weight`, each [rows, width]; |its rows|^2 [rows]."""
    rows, width = weight.shape
    squares = weight.new_empty(rows)
    _project[(rows,)](weight, grad, squares, width, W=triton.next_power_of_2(width))
    return squares


def update(
    weight: Tensor,
    grad: Tensor,
    state: dict[str, Tensor],
    factor: Tensor,
    bad: Tensor,
    lr: Tensor,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """A step of Adam on the rows of `weight`, which then get norm 1 again; no step if `bad`.

    Args:
        weight: [rows, width] float32, contiguous, as are `grad` and what is in `state`.
        grad: [rows, width].
        state: exp_avg and exp_avg_sq [rows, width] and step [], as torch.optim.Adam keeps them.
        factor: [], of the gradient.
        bad: [] bool.
        lr: [], learning rate.
        betas: Adam's.
        eps: Adam's.
    """
    rows, width = weight.shape
    state["step"] += ~bad
    _update[(rows,)](
        weight, grad, state["exp_avg"], state["exp_avg_sq"], factor, state["step"], bad.int(), lr, *betas, eps,
        torch.finfo(weight.dtype).tiny, width, W=triton.next_power_of_2(width),
    )  # fmt: skip
