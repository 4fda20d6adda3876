"""Products of a sparse [frames, d_sae] matrix on a GPU, without atomic adds.

The same three as `sparse.Pattern` has: S dense, S^T dense (entries sorted by latent, so that a program sums one
segment), and dense dense^T where S is not zero; and decoding in one pass with the error, its square and its products
with the rows it was decoded from. A program has a row of the result, or some columns of one, and takes many entries at
a time: rows are gathered from far away, so many must be under way. Programs that follow each other have the same
columns: all that they gather from fits in the L2 cache. Long segments, of latents that are active on many frames, are
summed in pieces. The order of each sum is fixed, so results are the same every time.

What is gathered is most of the time, so a dense factor may be bfloat16, which halves it; sums are always float32.
"""

# A tl.constexpr is given as a plain number, and what depends on one is decided when a kernel is compiled.
# pyright: reportArgumentType=false, reportPossiblyUnboundVariable=false
from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

PIECE = 256  # entries of a segment that one program sums
HELD = 4096  # products that a warp holds; more of them would not fit into its registers


@triton.jit
def _weighted(values, places, first, end, dense, width, dim, E: tl.constexpr, W: tl.constexpr):  # noqa: N803
    """[W]: columns `dim` of the sum of values[e] dense[places[e]] over first <= e < end."""
    total = tl.zeros((E, W), tl.float32)
    for start in range(first, end, E):
        entry = start + tl.arange(0, E)
        there = entry < end
        place = tl.load(places + entry, mask=there, other=0).to(tl.int64)
        value = tl.load(values + entry, mask=there, other=0.0)
        mask = there[:, None] & (dim < width)[None, :]
        rows = tl.load(dense + place[:, None] * width + dim[None, :], mask=mask, other=0.0)
        total += value[:, None] * rows.to(tl.float32)
    return tl.sum(total, 0)


@triton.jit
def _sum_rows(values, places, starts, ends, dense, out, width, E: tl.constexpr, W: tl.constexpr):  # noqa: N803
    """out[i] = sum of values[e] dense[places[e]] over starts[i] <= e < ends[i]."""
    row = tl.program_id(0).to(tl.int64)
    dim = tl.program_id(1) * W + tl.arange(0, W)
    total = _weighted(values, places, tl.load(starts + row), tl.load(ends + row), dense, width, dim, E, W)
    tl.store(out + row * width + dim, total, mask=dim < width)


@triton.jit
def _products(left, right, bias, latents, starts, ends, out, width, E: tl.constexpr, W: tl.constexpr):  # noqa: N803
    """out[e] = left[i] . right[latents[e]] + bias[latents[e]] over starts[i] <= e < ends[i]."""
    row = tl.program_id(0).to(tl.int64)
    end = tl.load(ends + row)
    for start in range(tl.load(starts + row), end, E):
        entry = start + tl.arange(0, E)
        there = entry < end
        place = tl.load(latents + entry, mask=there, other=0).to(tl.int64)
        total = tl.zeros((E, W), tl.float32)
        for column in range(0, width, W):
            dim = column + tl.arange(0, W)
            mine = tl.load(left + row * width + dim, mask=dim < width, other=0.0).to(tl.float32)
            mask = there[:, None] & (dim < width)[None, :]
            rows = tl.load(right + place[:, None] * width + dim[None, :], mask=mask, other=0.0)
            total += mine[None, :] * rows.to(tl.float32)
        product = tl.sum(total, 1)
        if bias is not None:
            product += tl.load(bias + place, mask=there, other=0.0)
        tl.store(out + entry, product, mask=there)


@triton.jit
def _error(
    x, values, latents, starts, dense, bias, out, squares, products, width, E: tl.constexpr, W: tl.constexpr  # noqa: N803
):  # fmt: skip
    """out[i] = x[i] - bias - sum of values[e] dense[latents[e]] over starts[i] <= e < starts[i + 1]; |out[i]|^2.

    If rows have at most E entries, products[e] = out[i] . dense[latents[e]] too, while these are at hand.
    """
    row = tl.program_id(0).to(tl.int64)
    first = tl.load(starts + row)
    end = tl.load(starts + row + 1)
    squared = tl.zeros((W,), tl.float32)
    if products is not None:
        entry = first + tl.arange(0, E)
        there = entry < end
        place = tl.load(latents + entry, mask=there, other=0).to(tl.int64)
        value = tl.load(values + entry, mask=there, other=0.0)
        product = tl.zeros((E, W), tl.float32)
    for column in range(0, width, W):
        dim = column + tl.arange(0, W)
        inside = dim < width
        left = tl.load(x + row * width + dim, mask=inside, other=0.0) - tl.load(bias + dim, mask=inside, other=0.0)
        if products is not None:
            mask = there[:, None] & inside[None, :]
            rows = tl.load(dense + place[:, None] * width + dim[None, :], mask=mask, other=0.0).to(tl.float32)
            left -= tl.sum(value[:, None] * rows, 0)
            product += left[None, :] * rows
        else:
            left -= _weighted(values, latents, first, end, dense, width, dim, E, W)
        tl.store(out + row * width + dim, left, mask=inside)
        squared += left * left
    tl.store(squares + row, tl.sum(squared, 0))
    if products is not None:
        tl.store(products + entry, tl.sum(product, 1), mask=there)


def sum_rows(values: Tensor, places: Tensor, starts: Tensor, ends: Tensor, dense: Tensor) -> Tensor:
    """Sums of values times rows of `dense` over segments.

    values, places: [entries]; starts, ends: [rows] int32; dense: [_, width] float32 or bfloat16 to [rows, width].
    """
    rows, width = len(starts), dense.shape[1]
    out = torch.empty(rows, width, device=dense.device)
    columns = _columns(dense)
    sizes = {"E": 1024 // columns, "W": columns, "num_warps": 1}
    _sum_rows[(rows, triton.cdiv(width, sizes["W"]))](
        values.contiguous(), places, starts, ends, dense.contiguous(), out, width, **sizes
    )
    return out


class Pieces(NamedTuple):
    """Segments, of all entries together, that may be of very different lengths, in pieces of at most `PIECE`."""

    starts: Tensor  # [pieces] int32: where each starts
    ends: Tensor  # and where it ends
    first: Tensor  # [rows] int32: the first piece of each segment
    end: Tensor  # and the one after its last


def pieces(starts: Tensor, entries: int) -> Pieces:
    """The pieces of segments [rows + 1] int32 of so many entries."""
    number = starts.diff().add_(PIECE - 1).div_(PIECE, rounding_mode="floor")
    end = number.cumsum(0, dtype=torch.int32)
    first = end - number
    most = len(number) + entries // PIECE  # as many pieces as there can be: their number is not waited for
    piece = torch.arange(most, dtype=torch.int32, device=starts.device)
    row = torch.searchsorted(end, piece, right=True, out_int32=True).clamp_(max=len(number) - 1)
    start = starts[row] + (piece - first[row]) * PIECE
    return Pieces(start, torch.minimum(start + PIECE, starts[row + 1]), first, end)  # some end before they start


def sum_long_rows(values: Tensor, places: Tensor, segments: Pieces, dense: Tensor) -> Tensor:
    """`sum_rows` of segments that may be of very different lengths.

    values, places: [entries]; dense: [_, width] float32 or bfloat16 to [rows, width].
    """
    sums = sum_rows(values, places, segments.starts, segments.ends, dense)
    piece = torch.arange(len(sums), dtype=torch.int32, device=dense.device)
    return sum_rows(torch.ones_like(piece, dtype=values.dtype), piece, segments.first, segments.end, sums)


def products(
    left: Tensor, right: Tensor, latents: Tensor, starts: Tensor, ends: Tensor, out: Tensor, bias: Tensor | None = None
) -> Tensor:
    """left right^T (+ bias) at a pattern only.

    left: [frames, width]; right: [d_sae, width], both float32 or bfloat16; bias: [d_sae]; starts, ends: [frames] int32,
    of what is a frame's in `latents` and in `out`, which it is written to.
    """
    frames, width = left.shape
    sizes = _sizes(latents.numel() // max(1, frames), right)
    _products[(frames,)](left.contiguous(), right.contiguous(), bias, latents, starts, ends, out, width, **sizes)
    return out


def error(
    x: Tensor, values: Tensor, latents: Tensor, starts: Tensor, dense: Tensor, bias: Tensor, per_frame: int | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """e = x - bias - S dense, [frames, width], the sum of its squares, [], and e dense^T at the pattern.

    x: [frames, width]; values, latents: [entries]; starts: [frames + 1] int32; dense: [d_sae, width], float32 or
    bfloat16; bias: [width]; per_frame: how many entries each frame has, if that is the same for all; where they are too
    many to be held, or of different numbers, the products are not made.
    """
    frames, width = x.shape
    sizes = _sizes(per_frame or len(latents) // max(1, frames), dense)
    out, squares = torch.empty(frames, width, device=x.device), torch.empty(frames, device=x.device)
    found = torch.empty_like(values) if per_frame and per_frame <= sizes["E"] else None
    _error[(frames,)](
        x.contiguous(), values.contiguous(), latents, starts, dense.contiguous(), bias.contiguous(), out, squares,
        found, width, **sizes,
    )  # fmt: skip
    return out, squares.sum(), found


def _sizes(entries: int, dense: Tensor) -> dict[str, int]:
    """What a program takes at a time, of rows that have so many entries: entries E, columns W; and its warps.

    Many small programs hide the time that gathering takes best: on an H200 one warp is two to three times as fast as
    four with the same tile (docs/decisions/0012).
    """
    columns, entries_each = _columns(dense), min(64, max(4, triton.next_power_of_2(entries)))
    return {"E": entries_each, "W": columns, "num_warps": max(1, entries_each * columns // HELD)}


def _columns(dense: Tensor) -> int:
    """256 bytes of a row."""
    return min(256 // dense.element_size(), triton.next_power_of_2(dense.shape[1]))
