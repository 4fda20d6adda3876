"""The product with the encoder and the choice of the k largest scores in one pass on a GPU; no [frames, d_sae] is kept.

A program has some frames and goes over all latents, a tile at a time. Scores above the least that could still matter
are appended to the frame's list; when a list may not hold another tile it is sorted, all but its k largest are dropped,
and the k-th becomes the new least. The result is exact. Written and tested under Triton's interpreter; never timed.
"""

# A tl.constexpr is given as a plain number.
# pyright: reportArgumentType=false
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

FRAMES, TILE, DEPTH = 16, 64, 64  # of a program: frames, latents at a time, dimensions at a time


@triton.jit
def _prune(lists, count, rows, inside, K: tl.constexpr, ROOM: tl.constexpr):  # noqa: N803
    """Keep the k largest entries of each list, sorted; the new counts, and the k-th largest score or -inf."""
    place = tl.arange(0, ROOM)
    lowest = -0x8000000000000000
    there = (place[None, :] < count[:, None]) & inside[:, None]
    tl.debug_barrier()  # others of this program wrote what is read here
    entries = tl.load(lists + rows[:, None] * ROOM + place[None, :], mask=there, other=lowest)
    entries = tl.sort(entries, dim=1, descending=True)
    tl.store(lists + rows[:, None] * ROOM + place[None, :], entries, mask=(place[None, :] < K) & inside[:, None])
    tl.debug_barrier()
    kth = tl.max(tl.where(place[None, :] == K - 1, entries, lowest), 1)
    return tl.minimum(count, K), kth


@triton.jit
def _scan(
    x, rows_, bias, lists, frames, width, d_sae,
    K: tl.constexpr, ROOM: tl.constexpr, BF: tl.constexpr, BL: tl.constexpr, BD: tl.constexpr,  # noqa: N803
    LOW: tl.constexpr,  # noqa: N803
):  # fmt: skip
    row = tl.program_id(0) * BF + tl.arange(0, BF)
    row = row.to(tl.int64)
    inside = row < frames
    count = tl.zeros((BF,), tl.int32)
    least = tl.full((BF,), -0x8000000000000000, tl.int64)
    for first in range(0, d_sae, BL):
        latent = first + tl.arange(0, BL)
        score = tl.zeros((BF, BL), tl.float32)
        for at in range(0, width, BD):
            dim = at + tl.arange(0, BD)
            a = tl.load(
                x + row[:, None] * width + dim[None, :], mask=inside[:, None] & (dim[None, :] < width), other=0.0
            )
            b = tl.load(
                rows_ + latent[None, :].to(tl.int64) * width + dim[:, None],
                mask=(latent[None, :] < d_sae) & (dim[:, None] < width),
                other=0.0,
            )
            if LOW:
                score = tl.dot(a.to(tl.bfloat16), b.to(tl.bfloat16), score)
            else:
                score = tl.dot(a, b, score, input_precision="ieee")
        score += tl.load(bias + latent, mask=latent < d_sae, other=0.0)[None, :]
        bits = score.to(tl.int32, bitcast=True)
        bits = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # integers in the order of the floats
        entry = (bits.to(tl.int64) << 32) | latent[None, :].to(tl.int64)
        keep = (entry > least[:, None]) & (latent[None, :] < d_sae) & inside[:, None]
        place = count[:, None] + tl.cumsum(keep.to(tl.int32), 1) - 1
        tl.store(lists + row[:, None] * ROOM + place, entry, mask=keep)
        count += tl.sum(keep.to(tl.int32), 1)
        if tl.max(count, 0) > ROOM - BL:
            count, kth = _prune(lists, count, row, inside, K, ROOM)
            least = tl.maximum(least, kth)
    _prune(lists, count, row, inside, K, ROOM)


def largest(x: Tensor, rows: Tensor, b_enc: Tensor, k: int, *, low: bool = False) -> tuple[Tensor, Tensor]:
    """The k largest of x rows^T + b_enc, in descending order.

    Args:
        x: [frames, d_in] float32.
        rows: [d_sae, d_in] float32, contiguous.
        b_enc: [d_sae] float32.
        k: at most d_sae.
        low: make the products in bfloat16, with float32 sums.

    Returns:
        Values [frames, k] float32 and latents [frames, k] int32.
    """
    frames, width = x.shape
    room = triton.next_power_of_2(max(2 * k, k + TILE))
    lists = torch.empty(frames, room, dtype=torch.int64, device=x.device)
    grid = (triton.cdiv(frames, FRAMES),)
    _scan[grid](
        x.contiguous(), rows, b_enc.contiguous(), lists, frames, width, len(rows),
        K=k, ROOM=room, BF=FRAMES, BL=TILE, BD=DEPTH, LOW=low,
    )  # fmt: skip
    entries = lists[:, :k]
    bits = (entries >> 32).int()
    values = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).view(torch.float32)
    return values, (entries & 0xFFFFFFFF).int()
