"""The k largest of x W_enc + b_enc on each frame, or of all frames, exactly and with no second look at all scores.

The product is only needed to see which latents could be among the k largest. So it is made a block of frames at a
time, in bfloat16 where the machine is clearly faster at that, and looked at while it is in cache:

1. The maxima of groups of 32 latents: the k-th largest of them, t, is a score that k latents reach.
2. A product in float32 is what counts, so the k largest are among the scores that reach t. In one in bfloat16 a latent
   of the k largest cannot score below t by more than twice its error, for which there is a bound: |error| <= (2u + u^2
   + d 2^-23) ||x|| max ||w||, and u times the result for its rounding, where u is 2^-9 (Cauchy-Schwarz over the rounded
   factors). All others are dropped, unseen groups at once.
3. The few that are left (about 1.5 k) are scored anew in float32 if they were not, and the k largest taken.

On a GPU the product is made whole and kernels do the same in registers (`triton_select`).

So the result is that of float32 whichever product was made, to rounding; which is faster is measured once a process,
and bfloat16 has to be so by a quarter, so that no noise decides. Under autocast (`precision="bfloat16"`) step 2 allows
bfloat16 no error: latents whose scores differ by less than it can tell may be taken for each other, while the values
stay float32. Where k is over 1/64 of the latents nothing could be dropped: there all scores are made in float32 and
their k largest taken.

The largest of all frames together (`largest_of_all`) are those above a score that is first guessed from a few frames:
if more than are wanted reach it, the largest are among them; if fewer do, it is guessed lower.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from freud.saes.kernels.shares import in_shares
from freud.saes.kernels.sparse import Pattern, by_latent, has_triton, scores, triton_for

GROUP = 32  # latents; amax over fewer is not vectorized
BLOCK = 1 << 21  # scores looked at at a time: 8 MB, about what a cache holds
CLEARLY = 3 / 4  # of the time: then one product counts as faster than another
U = 2.0**-9  # relative error of rounding to bfloat16
GPU_BLOCK = 1 << 28  # the same on a GPU: 512 MB in bfloat16
DENSE = 1 << 36  # products of float32 that take a GPU 2 or 3 ms
LONGEST = 1 << 15  # scores of a frame that a kernel holds in registers
ROOM = 3  # times k candidates that there is room for on a GPU; a frame that has more is scored whole
SAMPLE = 64  # frames to guess from
GENEROUS = 1.25  # times as many scores as are wanted shall reach the guess


def topk(x: Tensor, W_enc: Tensor, b_enc: Tensor, k: int) -> tuple[Tensor, Pattern]:  # noqa: N803
    """The k largest of x W_enc + b_enc on each frame, in no particular order; differentiable in all three.

    Args:
        x: [frames, d_in]; centered already, if it is to be.
        W_enc: [d_in, d_sae]; best kept in memory as [d_sae, d_in].
        b_enc: [d_sae].
        k: at most d_sae.

    Returns:
        Scores [frames * k] and where they are.
    """
    exact = _exact(x)
    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        values, latents = largest_scores(x.detach(), by_latent(W_enc.detach()), b_enc.detach(), k, exact)
    pattern = Pattern.regular(latents, W_enc.shape[1])
    return scores(x, W_enc, b_enc, pattern, values.reshape(-1)), pattern


def topk_apart(
    x: Tensor,
    W_enc: Tensor,  # noqa: N803
    b_enc: Tensor,
    k: int,
    apart: Tensor,
    most: int,
) -> tuple[Tensor, Pattern, tuple[Tensor, Tensor]]:
    """`topk`, and the `most` largest on each frame of the latents `apart` alone, on a CPU.

    For latents that are hardly ever among the k largest and are wanted all the same: they are scored once, in
    float32, and the others are screened without them.

    Args:
        x: [frames, d_in] float32, as of `topk`.
        W_enc: [d_in, d_sae].
        b_enc: [d_sae].
        k: at most d_sae - n.
        apart: [n] int64, ascending.
        most: at most n.

    Returns:
        What `topk` does; values and places in `apart`, each [frames, most], without a gradient.
    """
    exact = _exact(x)
    frames, d_sae = len(x), W_enc.shape[1]
    is_other = torch.ones(d_sae, dtype=torch.bool)
    is_other[apart] = False
    others = is_other.nonzero()[:, 0]
    values, latents = torch.empty(frames, k), torch.empty(frames, k, dtype=torch.int32)
    found = torch.empty(frames, most), torch.empty(frames, most, dtype=torch.int32)
    rows, bias = by_latent(W_enc.detach()), b_enc.detach()
    of_others, of_apart = ((rows[some], bias[some]) for some in (others, apart))

    def share(these: slice) -> None:
        best, places = largest_scores(x[these], *of_others, k, exact)
        where = others[places.long()].int()
        for block, scored, maxima in screen(x[these], *of_apart):
            # Written so that what is not a number counts as risen, and stays.
            risen = block.start + (~(maxima.amax(1) <= best[block].amin(1))).nonzero()[:, 0]
            if len(risen):
                every = torch.cat([best[risen], scored[risen - block.start, : len(apart)]], 1)
                best[risen], place = every.topk(k, dim=1, sorted=False)
                where[risen] = torch.cat([where[risen], apart.int().expand(len(risen), -1)], 1).gather(1, place)
            _partition_into(scored, found[0][these][block], found[1][these][block])
        values[these], latents[these] = best, where

    with torch.no_grad(), torch.autocast(x.device.type, enabled=False):
        in_shares(share, frames)
    pattern = Pattern.regular(latents, d_sae)
    return scores(x, W_enc, b_enc, pattern, values.reshape(-1)), pattern, found


def kept(scored: Tensor, k: int) -> Tensor:
    """`scored` [rows, n] where it is among the k largest of its row and above zero, and zero elsewhere."""
    return _Kept.apply(scored, k)  # pyright: ignore[reportReturnType]


class _Kept(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scored: Tensor, k: int) -> Tensor:
        if triton_for(scored) and scored.shape[1] <= LONGEST:
            from freud.saes.kernels import triton_select

            found = triton_select.kept(scored.contiguous(), k)
        else:
            values, places = largest(scored.detach(), k)
            found = torch.zeros_like(scored).scatter_(1, places.long(), values.relu())
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return torch.ops.aten.threshold_backward(grads[0], ctx.saved_tensors[0], 0), None


@torch.no_grad()
def largest_of_all(x: Tensor, W_enc: Tensor, b_enc: Tensor, count: int) -> tuple[Tensor, Tensor]:  # noqa: N803
    """Those above zero of the `count` largest of x W_enc + b_enc over all frames; without a gradient.

    Args:
        x: [frames, d_in]; centered already, if it is to be.
        W_enc: [d_in, d_sae]; best kept in memory as [d_sae, d_in].
        b_enc: [d_sae].
        count: at least 1.

    Returns:
        Scores [found] and their places frame * d_sae + latent [found], ascending; found <= count.
    """
    exact = _exact(x)
    with torch.autocast(x.device.type, enabled=False):
        rows = by_latent(W_enc)
        if x.device.type == "cpu" and x.dtype == torch.float32:
            values, places = _largest_of_all(x, rows, b_enc, min(count, len(x) * len(rows)))
        else:
            dtype = x.dtype if exact else torch.bfloat16
            scored = F.linear(x.to(dtype), rows.to(dtype), b_enc.to(dtype)).flatten()
            places = scored.topk(min(count, len(scored)), sorted=False).indices.sort().values
            values = scored[places].float()
    above = values > 0
    return values[above], places[above]


def _largest_of_all(x: Tensor, rows: Tensor, b_enc: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Values and places [count] of the `count` largest, or of all that are above zero where those are fewer."""
    frames, d_sae = len(x), len(rows)
    sample = torch.mm(some_frames(x), rows.T).add_(b_enc).flatten().numpy()
    share = GENEROUS * count / (frames * d_sae)
    while True:
        reached = len(sample) - max(1, round(share * len(sample)))
        least = max(0.0, float(np.partition(sample, reached)[reached])) if reached > 0 else 0.0
        shares = in_shares(partial(_reaching_most, x, rows, b_enc, count, least), frames)
        found, place = (np.concatenate(each) for each in zip(*shares, strict=True))
        if len(found) >= count or least <= 0:
            found, place = _first(found, place, count)
            return torch.from_numpy(found), torch.from_numpy(place)
        share *= 2


def _reaching_most(
    x: Tensor, rows: Tensor, b_enc: Tensor, count: int, least: float, share: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Values and places of the scores of some frames that reach `least`; of many more than `count`, the largest."""
    values, places = [], []
    for these, scored, maxima in screen(x[share], rows, b_enc):
        frame, latent, found = reaching(scored, maxima, torch.full((len(scored),), least))
        values.append(found)
        places.append((frame + share.start + these.start) * len(rows) + latent)
        if sum(map(len, values)) > 4 * count:  # the guess was low
            kept, place = _first(np.concatenate(values), np.concatenate(places), count)
            values, places, least = [kept], [place], float(kept.min())
    return np.concatenate(values), np.concatenate(places)


def some_frames(x: Tensor) -> Tensor:
    """About `SAMPLE` of the frames x [frames, d_in], from all over."""
    return x[:: -(-len(x) // SAMPLE)]


def screen(x: Tensor, rows: Tensor, bias: Tensor, *, low: bool = False) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """x rows^T + bias, a block of frames at a time, each in the place of the one before.

    The product is made in float32 or, if `low`, in bfloat16.

    Yields:
        The frames of a block; their scores [frames, d_sae], padded with -inf to whole groups; the maxima of the groups
        [frames, groups].
    """
    d_sae = len(rows)
    count = max(1, round(len(x) * d_sae / BLOCK))
    block = max(1, -(-len(x) // count))  # all alike: a few frames that are left take as long as many
    held = torch.empty(block, -(-d_sae // GROUP) * GROUP)
    held[:, d_sae:] = -torch.inf
    factor = (rows.bfloat16() if low else rows).T
    for first in range(0, len(x), block):
        these = slice(first, first + block)
        part = x[these]
        scored = held[: len(part)]
        if low:
            torch.add(part.bfloat16() @ factor, bias, out=scored[:, :d_sae])
        else:
            torch.mm(part, factor, out=scored[:, :d_sae]).add_(bias)
        yield these, scored, scored.view(len(part), -1, GROUP).amax(-1)


def _first(values: np.ndarray, places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest values and their places, in the order that they have."""
    if len(values) <= count:
        return values, places
    least = np.partition(values, len(values) - count)[len(values) - count]
    kept = values >= least
    ties = np.flatnonzero(values == least)
    kept[ties[len(ties) - (int(kept.sum()) - count) :]] = False
    return values[kept], places[kept]


def _exact(x: Tensor) -> bool:
    """Whether float32 is to decide."""
    return not torch.is_autocast_enabled(x.device.type) or (x.device.type == "cpu" and not _has_bfloat16())


def largest_scores(x: Tensor, rows: Tensor, b_enc: Tensor, k: int, exact: bool = True) -> tuple[Tensor, Tensor]:
    """Values and latents [frames, k] of the k largest of x rows^T + b_enc, rows [d_sae, d_in]."""
    d_sae = len(rows)
    if x.device.type == "cpu":
        screened = x.dtype == torch.float32 and d_sae >= 2 * GROUP * k  # or there are too few groups to drop any
        return _screened(x, rows, b_enc, k, exact) if screened else _plain(x, rows, b_enc, k)
    if not exact:
        low = x.bfloat16(), rows.bfloat16()
        latents = _plain(*low, b_enc, k)[1]
        products = Pattern.regular(latents, d_sae).products(*(low if triton_for(x) else (x, rows)))
        return products.view_as(latents) + b_enc[latents], latents
    return (_screened_by_triton if _is_screened(x, d_sae, k) else _plain)(x, rows, b_enc, k)


def _is_screened(x: Tensor, d_sae: int, k: int) -> bool:
    """Whether a GPU is to screen the products of float32: not where all take less time than the host does to ask."""
    large = x.numel() * d_sae > DENSE
    return large and x.dtype == torch.float32 and triton_for(x) and 2 * GROUP * k <= d_sae <= LONGEST


def looks(x: Tensor, d_sae: int, k: int) -> bool:
    """Whether the host looks at what a GPU has found when `topk` is called for x [frames, d_in]."""
    return _exact(x) and _is_screened(x, d_sae, k)


def _plain(x: Tensor, rows: Tensor, b_enc: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """All scores of a frame at once, in the precision of x and rows, and the largest of them."""
    block = max(1, (GPU_BLOCK if x.is_cuda else BLOCK) // len(rows))

    def share(frames: slice) -> list[tuple[Tensor, Tensor]]:
        return [largest(F.linear(part, rows, b_enc.to(x.dtype)), k) for part in x[frames].split(block)]

    shares = in_shares(share, len(x)) if x.device.type == "cpu" else [share(slice(None))]
    values, latents = (torch.cat(each) for each in zip(*chain(*shares), strict=True))
    return values, latents


def largest(scored: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Values and places of the k largest of each row of `scored` [rows, n], each [rows, k], in no particular order.

    On a CPU by NumPy's partition, which takes a quarter of the time that torch's topk does; on a GPU by a kernel where
    that is faster.
    """
    width = 1 << (scored.shape[1] - 1).bit_length()
    if scored.is_cuda and has_triton() and _kernel_is_faster(width, k, scored.dtype):
        from freud.saes.kernels import triton_select

        places = triton_select.largest(scored.contiguous(), k).long()
        return scored.gather(1, places), places
    if scored.device.type != "cpu" or scored.dtype != torch.float32:
        return scored.topk(k, dim=1, sorted=False)
    values, places = scored.new_empty(len(scored), k), torch.empty(len(scored), k, dtype=torch.int64)

    def share(rows: slice) -> None:
        parts = (each[rows].split(max(1, BLOCK // 8 // scored.shape[1])) for each in (scored, values, places))
        for part in zip(*parts, strict=True):
            _partition_into(*part)

    in_shares(share, len(scored))
    return values, places


def _partition_into(scored: Tensor, values: Tensor, places: Tensor) -> None:
    """The largest of each row of `scored` [rows, n] into `values` and `places`, each [rows, k]."""
    (rows, n), k = scored.shape, places.shape[1]
    array = scored.numpy()
    least = np.partition(array, n - k, axis=1)[:, n - k]
    found = np.flatnonzero(array >= least[:, None])
    if len(found) == rows * k:
        found = found.reshape(rows, k)
        place = np.subtract(found, np.arange(0, rows * n, n)[:, None], out=places.numpy(), casting="same_kind")
        if ((place[:, 0] >= 0) & (place[:, -1] < n)).all():
            np.take(array, found, out=values.numpy(), mode="clip")
            return
    best = scored.topk(k, dim=1, sorted=False)  # there are ties, or what is not a number
    values.copy_(best.values)
    places.copy_(best.indices)


def _screened(x: Tensor, rows: Tensor, b_enc: Tensor, k: int, exact: bool) -> tuple[Tensor, Tensor]:
    """The three steps of the module docstring."""
    d_sae, width = rows.shape
    low = _bfloat16_is_faster(d_sae, width, torch.get_num_threads())
    error = 2 * _error_of_products(x, rows) if low and exact else None
    bias = b_enc.abs().amax()
    values = torch.empty(len(x), k)
    latents = torch.empty(len(x), k, dtype=torch.int32)

    def share(frames: slice) -> None:
        part, into = x[frames], (values[frames], latents[frames])
        slack = None if error is None else error[frames]
        for these, scored, maxima in screen(part, rows, b_enc, low=low):
            groups = maxima.shape[1]
            least = torch.from_numpy(np.partition(maxima.numpy(), groups - k, axis=1)[:, groups - k].copy())
            if slack is not None:
                least -= slack[these] + 1.02 * 2 * U * (least.abs() + bias + slack[these])
            found = _largest_reaching(scored, maxima, least, k, (part[these], rows, b_enc) if low else None)
            if found is None:  # something is not finite
                found = torch.addmm(b_enc, part[these], rows.T).topk(k, dim=1, sorted=False)
            into[0][these], into[1][these] = found

    in_shares(share, len(x))
    return values, latents


def _largest_reaching(
    scored: Tensor, maxima: Tensor, least: Tensor, k: int, anew: tuple[Tensor, Tensor, Tensor] | None
) -> tuple[Tensor, Tensor] | None:
    """The k largest of the scores [frames, d_sae padded] that reach `least` [frames], and their latents: [frames, k].

    maxima: of their groups, [frames, groups].
    anew: x [frames, d_in], rows [d_sae, d_in] and b_enc of which to make those scores again, in float32.
    None if fewer reach it on a frame.
    """
    if not torch.isfinite(least).all():
        return None
    frame, latent, values = reaching(scored, maxima, least)
    counts = np.bincount(frame, minlength=len(scored))
    if counts.min() < k:
        return None
    if anew is not None:
        x, rows, b_enc = anew
        pattern = Pattern.ragged(torch.from_numpy(frame), torch.from_numpy(latent), len(x), len(rows))
        values = (pattern.products(x, rows) + b_enc[pattern.latents]).numpy()
    starts = counts.cumsum() - counts
    padded = np.full((len(scored), counts.max()), -np.inf, np.float32)
    padded[frame, np.arange(len(frame)) - starts[frame]] = values
    places = np.argpartition(padded, padded.shape[1] - k, axis=1)[:, padded.shape[1] - k :]
    best = np.take_along_axis(padded, places, axis=1)
    return torch.from_numpy(best), torch.from_numpy(latent[starts[:, None] + places])


def _screened_by_triton(x: Tensor, rows: Tensor, b_enc: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The same on a GPU; waits for it once, to see whether a frame had more candidates than there is room for."""
    from freud.saes.kernels import triton_select, triton_sparse

    d_sae, error = len(rows), 2 * _error_of_products(x, rows)
    bias, room = b_enc.abs().amax(), ROOM * k
    low, low_bias, block = rows.bfloat16(), b_enc.bfloat16(), max(1, GPU_BLOCK // d_sae)
    with _full_sums():
        found = [
            triton_select.candidates(F.linear(part.bfloat16(), low, low_bias), k, slack, 1.02 * 2 * U, bias, room)
            for part, slack in zip(x.split(block), error.split(block), strict=True)
        ]
    places, counts = (torch.cat(each) for each in zip(*found, strict=True))
    starts = torch.arange(0, places.numel(), room, dtype=torch.int32, device=x.device)
    scored = torch.full(places.shape, -torch.inf, device=x.device)
    fits = counts <= room
    triton_sparse.products(x, rows, places, starts, starts + counts * fits, scored, b_enc)
    best = triton_select.largest(scored, k).long()
    values, latents = scored.gather(1, best), places.gather(1, best)
    more = (~fits).nonzero()[:, 0]
    if len(more):
        values[more], found = _plain(x[more], rows, b_enc, k)
        latents[more] = found.int()
    return values, latents


def _error_of_products(x: Tensor, rows: Tensor) -> Tensor:
    """[frames]: the bound of the module docstring on x rows^T, before it is rounded."""
    return x.norm(dim=1) * rows.norm(dim=1).amax() * (2 * U + U * U + x.shape[1] * 2.0**-23)


@contextmanager
def _full_sums() -> Iterator[None]:
    """Products in bfloat16 add up in float32 even where their sums are split, as the bound on their error wants."""
    flags = torch.backends.cuda.matmul
    allowed, flags.allow_bf16_reduced_precision_reduction = flags.allow_bf16_reduced_precision_reduction, False
    try:
        yield
    finally:
        flags.allow_bf16_reduced_precision_reduction = allowed


def reaching(scored: Tensor, maxima: Tensor, least: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (ascending), latents and values of the scores [frames, d_sae padded] that reach `least` [frames].

    maxima: of their groups, [frames, groups]; only in groups whose maximum reaches it is looked any further.
    """
    reached = least.numpy()[:, None]
    group = np.flatnonzero(maxima.numpy() >= reached)  # NumPy compares, finds and divides faster than torch
    frame, group_of_frame = np.divmod(group, maxima.shape[1])
    members = scored.view(-1, GROUP).index_select(0, torch.from_numpy(group)).numpy()
    member = np.flatnonzero(members >= reached[frame])
    which = member // GROUP
    return frame[which], (group_of_frame * GROUP)[which] + member % GROUP, members.reshape(-1)[member]


@cache
def _has_bfloat16() -> bool:
    """Whether products in bfloat16 are done with float32 sums by instructions of their own."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


@cache
def _bfloat16_is_faster(d_sae: int, width: int, threads: int) -> bool:
    """Whether the product of 256 frames takes less in bfloat16, conversions included: measured once for a shape.

    Not measured where a processor has tiles for it (AMX), which take a third to two thirds of the time: a busy moment
    would let one process choose otherwise than the next, and the same training give other last bits.
    """
    if not _has_bfloat16():
        return False
    if torch.cpu._is_amx_tile_supported():
        return True
    x, rows = torch.ones(256, width), torch.ones(d_sae, width)
    low, scored = rows.bfloat16(), torch.empty(256, d_sae)
    seconds, exact = _seconds(lambda: scored.copy_(x.bfloat16() @ low.T), lambda: torch.mm(x, rows.T, out=scored))
    return seconds < CLEARLY * exact


@cache
def _kernel_is_faster(width: int, k: int, dtype: torch.dtype) -> bool:
    """Measured once for a shape: the k largest of rows of up to `width` scores by our kernels, or by torch's topk."""
    if width > LONGEST or dtype not in {torch.float32, torch.bfloat16}:
        return False
    from freud.saes.kernels import triton_select

    scored = torch.randn(8192, width, device="cuda", dtype=dtype)
    ours, theirs = _seconds(lambda: triton_select.largest(scored, k), lambda: scored.topk(k, dim=1, sorted=False))
    return ours < theirs


def _seconds(*runs: Callable[[], object]) -> list[float]:
    """The least time of each in a dozen rounds, after one that is not counted.

    They take turns, so that a busy moment of the machine slows all of them, and the answer is the same every time:
    with four rounds one after the other, one process in fifty chose otherwise than the rest on a busy machine.
    """
    taken: list[list[float]] = [[] for _ in runs]
    for _ in range(13):
        for run, times in zip(runs, taken, strict=True):
            start = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    return [min(times[1:]) for times in taken]
