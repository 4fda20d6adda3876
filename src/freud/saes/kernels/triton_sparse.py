"""Products of a sparse [frames, d_sae] matrix on a GPU, a program for each row of the result, without atomic adds.

The same three as `sparse.Pattern` has: S dense, S^T dense (entries sorted by latent, so that a program sums one
segment), and dense dense^T where S is not zero; and decoding in one pass with the error and its square. The order of
each sum is fixed, so results are the same every time. Written and tested under Triton's interpreter; never timed.
"""

# A tl.constexpr is given as a plain number.
# pyright: reportArgumentType=false
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _sum_rows(values, places, starts, dense, out, width, W: tl.constexpr):  # noqa: N803
    """out[i] = sum of values[e] dense[places[e]] over starts[i] <= e < starts[i + 1]."""
    row = tl.program_id(0).to(tl.int64)
    dim = tl.arange(0, W)
    first = tl.load(starts + row)
    end = tl.load(starts + row + 1)
    total = tl.zeros((W,), tl.float32)
    for entry in range(first, end):
        place = tl.load(places + entry).to(tl.int64)
        total += tl.load(values + entry) * tl.load(dense + place * width + dim, mask=dim < width, other=0.0)
    tl.store(out + row * width + dim, total, mask=dim < width)


@triton.jit
def _products(left, right, latents, starts, out, width, W: tl.constexpr):  # noqa: N803
    """out[e] = left[i] . right[latents[e]] over starts[i] <= e < starts[i + 1]."""
    row = tl.program_id(0).to(tl.int64)
    dim = tl.arange(0, W)
    mine = tl.load(left + row * width + dim, mask=dim < width, other=0.0)
    first = tl.load(starts + row)
    end = tl.load(starts + row + 1)
    for entry in range(first, end):
        place = tl.load(latents + entry).to(tl.int64)
        theirs = tl.load(right + place * width + dim, mask=dim < width, other=0.0)
        tl.store(out + entry, tl.sum(mine * theirs, 0))


@triton.jit
def _error(x, values, latents, starts, dense, bias, out, squares, width, W: tl.constexpr):  # noqa: N803
    """out[i] = x[i] - bias - sum of values[e] dense[latents[e]] over starts[i] <= e < starts[i + 1]; |out[i]|^2."""
    row = tl.program_id(0).to(tl.int64)
    dim = tl.arange(0, W)
    left = tl.load(x + row * width + dim, mask=dim < width, other=0.0)
    left -= tl.load(bias + dim, mask=dim < width, other=0.0)
    first = tl.load(starts + row)
    end = tl.load(starts + row + 1)
    for entry in range(first, end):
        place = tl.load(latents + entry).to(tl.int64)
        left -= tl.load(values + entry) * tl.load(dense + place * width + dim, mask=dim < width, other=0.0)
    tl.store(out + row * width + dim, left, mask=dim < width)
    tl.store(squares + row, tl.sum(left * left, 0))


def sum_rows(values: Tensor, places: Tensor, starts: Tensor, dense: Tensor) -> Tensor:
    """Sums of values times rows of `dense` over segments.

    values, places: [entries]; starts: [rows + 1] int32; dense: [_, width] float32 to [rows, width].
    """
    rows, width = len(starts) - 1, dense.shape[1]
    out = torch.empty(rows, width, dtype=dense.dtype, device=dense.device)
    _sum_rows[(rows,)](
        values.contiguous(), places, starts, dense.contiguous(), out, width, W=triton.next_power_of_2(width)
    )
    return out


def products(left: Tensor, right: Tensor, latents: Tensor, starts: Tensor) -> Tensor:
    """left right^T at the pattern only: left [frames, width], right [d_sae, width] to [entries]."""
    out = torch.empty(len(latents), dtype=left.dtype, device=left.device)
    width = left.shape[1]
    _products[(len(left),)](
        left.contiguous(), right.contiguous(), latents, starts, out, width, W=triton.next_power_of_2(width)
    )
    return out


def error(
    x: Tensor, values: Tensor, latents: Tensor, starts: Tensor, dense: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """x - bias - S dense, [frames, width], and the sum of its squares, [].

    x: [frames, width]; values, latents: [entries]; starts: [frames + 1] int32; dense: [d_sae, width]; bias: [width].
    """
    frames, width = x.shape
    out, squares = torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(frames)
    _error[(frames,)](
        x.contiguous(), values.contiguous(), latents, starts, dense.contiguous(), bias.contiguous(), out, squares,
        width, W=triton.next_power_of_2(width),
    )  # fmt: skip
    return out, squares.sum()
