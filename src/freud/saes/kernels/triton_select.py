"""The largest of scores that a library's product has made, on a GPU, in one look at them: a program for each row.

1. `_groups`: the maxima of groups of neighbors, and the groups whose maximum is among the k largest of them. Nothing
   else can hold one of the k largest scores.
2. `_among`: the k largest of the scores in these groups, or what could be among them within an error.
3. `_whole`, `_crowded`: the k largest of whole rows, where groups would not help or had too many ties.

The k-th largest is found bit by bit, from the highest: 16 counts of what is in registers for bfloat16, 32 for float32.
So counting, which is what takes the time, goes over a few hundred numbers instead of all. Nothing is sorted and
programs share nothing, so results are the same every time.
"""

# A tl.constexpr is given as a plain number, and a launch has options that are not the kernel's.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

SIZE = 8  # scores of a group
CROWD = 32  # rows that a program looks through for those with too many groups


@triton.jit
def _keys(score, inside, BITS: tl.constexpr):  # noqa: N803
    """Integers of so many bits in the order of the float32 scores, NaN first; the lowest where not `inside`."""
    bits = tl.where(score != score, 0x7FFFFFFF, score.to(tl.int32, bitcast=True))
    ordered = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits) >> (32 - BITS)
    return tl.where(inside, ordered, -(1 << (BITS - 1)))


@triton.jit
def _score(key, BITS: tl.constexpr):  # noqa: N803
    """The least float32 that has this key."""
    bits = key << (32 - BITS)
    return tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(tl.float32, bitcast=True)


@triton.jit
def _kth(key, K: tl.constexpr, BITS: tl.constexpr):  # noqa: N803
    """The K-th largest key; the lowest there can be if there are fewer."""
    least = tl.where(tl.sum((key >= 0).to(tl.int32), 0) >= K, 0, -(1 << (BITS - 1)))
    step = 1 << (BITS - 2)
    for _ in range(BITS - 1):
        higher = least + step
        least = tl.where(tl.sum((key >= higher).to(tl.int32), 0) >= K, higher, least)
        step = step // 2
    return least


@triton.jit
def _reach(kth, error, bias, row, rounding):
    """The least score that can belong to the k largest, where `kth` seems to be the k-th of them."""
    slack = tl.load(error + row)
    return kth - slack - rounding * (tl.abs(kth) + tl.load(bias) + slack)


@triton.jit
def _store_largest(key, place, inside, places, row, K: tl.constexpr, BITS: tl.constexpr):  # noqa: N803
    """places[row] = where the K largest keys are, in order; of equal ones the first."""
    least = _kth(key, K, BITS)
    above = (inside & (key > least)).to(tl.int32)
    equal = (inside & (key == least)).to(tl.int32)
    wanted = K - tl.sum(above, 0)
    seen = tl.cumsum((above << 16) | equal, 0)  # two sums in one
    equal_seen = seen & 0xFFFF
    keep = (above == 1) | ((equal == 1) & (equal_seen <= wanted))
    at = (seen >> 16) + tl.minimum(equal_seen, wanted) - 1
    tl.store(places + row * K + at, place, mask=keep)


@triton.jit
def _largest(scored, places, row, n, K: tl.constexpr, BITS: tl.constexpr, W: tl.constexpr):  # noqa: N803
    place = tl.arange(0, W)
    inside = place < n
    score = tl.load(scored + row * n + place, mask=inside, other=0.0).to(tl.float32)
    _store_largest(_keys(score, inside, BITS), place, inside, places, row, K, BITS)


@triton.jit
def _whole(scored, places, n, K: tl.constexpr, BITS: tl.constexpr, W: tl.constexpr):  # noqa: N803
    """places[i] = where the K largest of row i are, in order."""
    _largest(scored, places, tl.program_id(0).to(tl.int64), n, K, BITS, W)


@triton.jit
def _crowded(
    scored, counts, places, rows, n, room, R: tl.constexpr, K: tl.constexpr, BITS: tl.constexpr, W: tl.constexpr  # noqa: N803
):  # fmt: skip
    """`_whole` for those of R rows that had more than `room` groups; there are hardly ever any."""
    first = tl.program_id(0).to(tl.int64) * R
    row = first + tl.arange(0, R)
    if tl.max(tl.load(counts + row, mask=row < rows, other=0), 0) > room:
        for i in range(first, tl.minimum(first + R, rows)):
            if tl.load(counts + i) > room:
                _largest(scored, places, i, n, K, BITS, W)


@triton.jit
def _greater(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _groups(
    scored, error, bias, groups, counts, n, rounding,
    K: tl.constexpr, ROOM: tl.constexpr, BITS: tl.constexpr, G: tl.constexpr, S: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """The first ROOM groups of S scores in row i that may hold one of the K largest, and how many there are.

    More than ROOM if, with an error, that cannot be told, as something is not finite.
    """
    row = tl.program_id(0).to(tl.int64)
    group = tl.arange(0, G)
    place = group[:, None] * S + tl.arange(0, S)[None, :]
    score = tl.load(scored + row * n + place, mask=place < n, other=-float("inf")).to(tl.float32)
    best = tl.reduce(score, 1, _greater)
    there = group * S < n
    key = _keys(best, there, BITS)
    kth = _kth(key, K, BITS)
    keep = there & (key >= kth)
    count = tl.sum(keep.to(tl.int32), 0)
    if error is not None:
        least = _reach(_score(kth, BITS), error, bias, row, rounding)
        keep = there & (best >= least)
        is_number = (tl.sum(tl.where(best != best, 1, 0), 0) == 0) & (tl.abs(least) < float("inf"))
        count = tl.where(is_number, tl.sum(keep.to(tl.int32), 0), ROOM + 1)
    at = tl.cumsum(keep.to(tl.int32), 0) - 1
    tl.store(groups + row * ROOM + at, group, mask=keep & (at < ROOM))
    tl.store(counts + row, count)


@triton.jit
def _among(
    scored, error, bias, groups, counts, places, found, n, rounding,
    K: tl.constexpr, ROOM: tl.constexpr, OUT: tl.constexpr, BITS: tl.constexpr, S: tl.constexpr,  # noqa: N803
):  # fmt: skip
    """places[i] = where the K largest in the groups of row i are, in order; of equal ones the first.

    Given `error`, the first OUT of those that may be among them, and found[i] how many there are; more than OUT if
    that is not known.
    """
    row = tl.program_id(0).to(tl.int64)
    count = tl.load(counts + row)
    if count <= ROOM:
        slot = tl.arange(0, ROOM)
        group = tl.load(groups + row * ROOM + slot, mask=slot < count, other=0)
        place = tl.reshape(group[:, None] * S + tl.arange(0, S)[None, :], (ROOM * S,))
        inside = (tl.arange(0, ROOM * S) // S < count) & (place < n)
        score = tl.load(scored + row * n + place, mask=inside, other=0.0).to(tl.float32)
        key = _keys(score, inside, BITS)
        if error is None:
            _store_largest(key, place, inside, places, row, K, BITS)
        else:
            keep = inside & (score >= _reach(_score(_kth(key, K, BITS), BITS), error, bias, row, rounding))
            at = tl.cumsum(keep.to(tl.int32), 0) - 1
            tl.store(places + row * OUT + at, place, mask=keep & (at < OUT))
            tl.store(found + row, tl.sum(keep.to(tl.int32), 0))
    elif error is not None:
        tl.store(found + row, OUT + 1)


@triton.jit
def _kept(scored, out, n, K: tl.constexpr, BITS: tl.constexpr, W: tl.constexpr):  # noqa: N803
    """out[i] = row i where it is among its K largest and above zero, and zero elsewhere; of equal ones the first."""
    row = tl.program_id(0).to(tl.int64)
    place = tl.arange(0, W)
    inside = place < n
    score = tl.load(scored + row * n + place, mask=inside, other=0.0).to(tl.float32)
    key = _keys(score, inside, BITS)
    least = _kth(key, K, BITS)
    equal = (inside & (key == least)).to(tl.int32)
    wanted = K - tl.sum((key > least).to(tl.int32), 0)
    keep = (key > least) | ((equal == 1) & (tl.cumsum(equal, 0) <= wanted))
    tl.store(out + row * n + place, tl.where(keep & (key > 0), score, 0.0), mask=inside)


def _bits(scored: Tensor) -> int:
    return 16 if scored.dtype == torch.bfloat16 else 32


def _grouped(scored: Tensor, k: int, room: int, slack: tuple[Tensor, Tensor, float] | None) -> tuple[Tensor, Tensor]:
    """The groups [rows, room] that may hold one of the k largest, and their numbers [rows]."""
    rows, n = scored.shape
    width = triton.next_power_of_2(n)
    groups = torch.empty(rows, room, dtype=torch.int32, device=scored.device)
    counts = torch.empty(rows, dtype=torch.int32, device=scored.device)
    error, bias, rounding = slack or (None, None, 0.0)
    _groups[(rows,)](
        scored, error, bias, groups, counts, n, rounding,
        K=k, ROOM=room, BITS=_bits(scored), G=max(1, width // SIZE), S=SIZE, num_warps=max(1, min(8, width // 4096)),
    )  # fmt: skip
    return groups, counts


def largest(scored: Tensor, k: int) -> Tensor:
    """Places [rows, k] int32 of the k largest of each row of `scored` [rows, n], in ascending order.

    scored: float32 or bfloat16, contiguous; k <= n <= `choose.LONGEST`.
    """
    rows, n = scored.shape
    places = torch.empty(rows, k, dtype=torch.int32, device=scored.device)
    room, width = 2 * triton.next_power_of_2(k), triton.next_power_of_2(n)
    sizes = {"K": k, "BITS": _bits(scored), "W": width, "num_warps": min(16, max(1, width // 1024))}
    if n < 32 * room:  # groups would leave most of it
        _whole[(rows,)](scored, places, n, **sizes)
        return places
    groups, counts = _grouped(scored, k, room, None)
    _among[(rows,)](
        scored, None, None, groups, counts, places, None, n, 0.0,
        K=k, ROOM=room, OUT=k, BITS=_bits(scored), S=SIZE, num_warps=max(1, min(8, room * SIZE // 512)),
    )  # fmt: skip
    _crowded[(triton.cdiv(rows, CROWD),)](scored, counts, places, rows, n, room, R=CROWD, **sizes)
    return places


def kept(scored: Tensor, k: int) -> Tensor:
    """`scored` [rows, n] where it is among the k largest of its row and above zero, and zero elsewhere.

    scored: float32 or bfloat16, contiguous; k <= n <= `choose.LONGEST`.
    """
    rows, n = scored.shape
    out, width = torch.empty_like(scored), triton.next_power_of_2(n)
    _kept[(rows,)](scored, out, n, K=k, BITS=_bits(scored), W=width, num_warps=min(16, max(1, width // 2048)))
    return out


def candidates(
    scored: Tensor, k: int, error: Tensor, rounding: float, bias: Tensor, room: int
) -> tuple[Tensor, Tensor]:
    """Which of approximate scores may be among the k largest.

    Args:
        scored: [rows, n], float32 or bfloat16, contiguous; k <= n <= `choose.LONGEST`.
        k: at most `room`.
        error: [rows] float32, how far two scores may be apart that seem equal, before they were rounded.
        rounding: relative error of rounding two scores.
        bias: [] float32, the largest that is in the scores.
        room: for how many places there is room on each row.

    Returns:
        Places [rows, room] int32, of which the first are meant, and their number [rows] int32. Where that is greater
        than `room`, there are more of them or something is not finite.
    """
    rows, n = scored.shape
    places = torch.empty(rows, room, dtype=torch.int32, device=scored.device)
    found = torch.empty(rows, dtype=torch.int32, device=scored.device)
    most = triton.next_power_of_2(room)
    groups, counts = _grouped(scored, k, most, (error, bias, rounding))
    _among[(rows,)](
        scored, error, bias, groups, counts, places, found, n, rounding,
        K=k, ROOM=most, OUT=room, BITS=_bits(scored), S=SIZE, num_warps=max(1, min(8, most * SIZE // 512)),
    )  # fmt: skip
    return places, found
