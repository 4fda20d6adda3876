"""Products with the few latents that are active, and their gradients, without anything dense in between.

Active latents are rows of a compressed sparse matrix S [frames, d_sae]: a `Pattern` says where, a vector says how much.

    decode:  x_hat = S W_dec        dS = (dx_hat W_dec^T at the pattern),   dW_dec = S^T dx_hat
    error:   e = x - S W_dec - b_dec,  |e|^2:   the same with dx_hat = -2 e,   db_dec = column sums of dx_hat
    scores:  S = (x W_enc + b_enc at the pattern),   dW_enc^T = dS^T x,   db_enc = column sums of dS,   dx = dS W_enc^T

Products with S^T take the entries sorted by latent, once for both gradients; on a CPU that is five times as fast as
adding rows up where they belong. Under autocast on a GPU the dense factors of `error`, `decode` and `scores` are
rounded to bfloat16, as those of any product are; sums are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SLICE = 96  # columns of a dense factor that are summed at a time: what is gathered from then stays in a core's cache


T = TypeVar("T")


class _Once(Generic[T]):
    """`functools.cached_property`, of which Python 3.11 lets one thread at a time compute any, for all instances."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute = compute

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> T:
        found = instance.__dict__[self.name] = self.compute(instance)
        return found


class Pattern:
    """Which latents are active on which frames.

    Attributes:
        latents: [active] int32, frame by frame; no latent twice on a frame.
        offsets: [frames + 1] int32; frame i has `latents[offsets[i] : offsets[i + 1]]`.
        d_sae: number of latents there are.
        per_frame: how many are active on each frame, if that is the same for all.
    """

    def __init__(self, latents: Tensor, offsets: Tensor, d_sae: int, per_frame: int | None = None) -> None:
        self.latents = latents
        self.offsets = offsets
        self.d_sae = d_sae
        self.per_frame = per_frame

    @classmethod
    def regular(cls, latents: Tensor, d_sae: int) -> Pattern:
        """The same number of latents on each frame: latents [frames, k]."""
        frames, k = latents.shape
        offsets = torch.arange(0, frames * k + 1, k, dtype=torch.int32, device=latents.device)
        return cls(latents.reshape(-1).int(), offsets, d_sae, k)

    @classmethod
    def ragged(cls, frame: Tensor, latent: Tensor, frames: int, d_sae: int) -> Pattern:
        """Any number of latents on each frame: frame (ascending) and latent, each [active]."""
        counts = torch.bincount(frame, minlength=frames)
        return cls(latent.int(), F.pad(counts.cumsum(0), (1, 0)).int(), d_sae)

    def __len__(self) -> int:
        """The number of frames."""
        return len(self.offsets) - 1

    @_Once
    def frames(self) -> Tensor:
        """[active] int32: the frame of each entry."""
        numbers = torch.arange(len(self), dtype=torch.int32, device=self.latents.device)
        return numbers.repeat_interleave(self.per_frame or self.offsets.diff(), output_size=len(self.latents))

    @_Once
    def _by_latent(self) -> tuple[Tensor, Tensor, Tensor]:
        """Entries sorted by latent: places [active], frames [active], where each latent starts [d_sae + 1]."""
        if self.latents.device.type == "cpu":  # counted into place, which is faster than sorting
            from scipy.sparse import csr_array  # 0.2 s that those who only load an SAE need not wait for

            places = np.arange(len(self.latents), dtype=np.int32)
            rows = csr_array((places, self.latents.numpy(), self.offsets.numpy()), shape=(len(self), self.d_sae))
            columns = rows.tocsc()
            return torch.from_numpy(columns.data), torch.from_numpy(columns.indices), torch.from_numpy(columns.indptr)
        narrow = torch.int16 if self.d_sae < 1 << 15 else torch.int32  # which halves the time of sorting
        latents, order = torch.sort(self.latents.to(narrow), stable=True)
        every = torch.arange(self.d_sae + 1, device=latents.device).to(narrow)
        frames = (order // self.per_frame).int() if self.per_frame else self.frames[order]
        return order, frames, torch.searchsorted(latents, every, out_int32=True)

    @_Once
    def _pieces(self) -> Any:
        """`_by_latent` for `triton_sparse.sum_long_rows`."""
        from freud.saes.kernels import triton_sparse

        return triton_sparse.pieces(self._by_latent[2], len(self.latents))

    def among(self, values: Tensor, first: int, end: int) -> tuple[Tensor, Pattern]:
        """The values [active] and the pattern of the latents from `first` to before `end`, numbered from zero."""
        inside = ((self.latents >= first) & (self.latents < end)).nonzero()[:, 0]
        latents = self.latents[inside] - first
        return values[inside], Pattern.ragged(self.frames[inside], latents, len(self), end - first)

    def times(self, values: Tensor, dense: Tensor) -> Tensor:
        """S dense: values [active], dense [d_sae, width] to [frames, width]."""
        if triton_for(dense):
            from freud.saes.kernels import triton_sparse

            return triton_sparse.sum_rows(values, self.latents, self.offsets[:-1], self.offsets[1:], dense)
        return _sum_rows(values, self.latents, self.offsets, dense)

    def transposed_times(self, values: Tensor, dense: Tensor) -> Tensor:
        """S^T dense: values [active], dense [frames, width] to [d_sae, width]."""
        order, frames, starts = self._by_latent
        values = values.index_select(0, order)
        if triton_for(dense):
            from freud.saes.kernels import triton_sparse

            return triton_sparse.sum_long_rows(values, frames, self._pieces, dense)
        return _sum_rows(values, frames, starts, dense)

    def products(self, left: Tensor, right: Tensor) -> Tensor:
        """left right^T at the pattern only: left [frames, width], right [d_sae, width] to [active]."""
        if triton_for(left):
            from freud.saes.kernels import triton_sparse

            out = torch.empty(len(self.latents), device=left.device)
            return triton_sparse.products(left, right, self.latents, self.offsets[:-1], self.offsets[1:], out)
        # This is how embedding_bag's weights get their gradient. sampled_addmm does the same more slowly.
        return torch.ops.aten._embedding_bag_per_sample_weights_backward(
            left, right, self.latents, self.offsets, self.frames, mode=0
        )

    def sums(self, values: Tensor) -> Tensor:
        """Column sums of S: values [active] to [d_sae]."""
        if triton_for(values):  # where adding up has no fixed order
            return self.transposed_times(values, values.new_ones(len(self), 1))[:, 0]
        return values.new_zeros(self.d_sae).index_add_(0, self.latents, values)

    def fired(self, values: Tensor) -> Tensor:
        """[d_sae] bool: latents with a value above zero anywhere. values: [active]."""
        if values.is_cuda:  # where many writing to one place wait for each other
            order, _, starts = self._by_latent
            before = F.pad((values[order] > 0).cumsum(0, dtype=torch.int32), (1, 0))
            return before[starts].diff() > 0
        largest = values.new_zeros(self.d_sae).scatter_reduce_(0, self.latents.long(), values, "amax")
        return largest > 0


def _sum_rows(values: Tensor, places: Tensor, starts: Tensor, dense: Tensor) -> Tensor:
    """Sums of values times rows `places` of dense over the segments between starts: [len(starts) - 1, width]."""
    sums = dense.new_empty(len(starts) - 1, dense.shape[1])
    values = values.detach()  # embedding_bag prepares for gradients of what requires them, even where none are made
    for into, columns in zip(sums.split(SLICE, dim=1), dense.split(SLICE, dim=1), strict=True):
        into.copy_(
            F.embedding_bag(
                places, columns.contiguous(), starts, per_sample_weights=values, mode="sum", include_last_offset=True
            )
        )
    return sums


def triton_for(tensor: Tensor) -> bool:
    """Whether to use the Triton kernels: on a GPU that has them."""
    return tensor.is_cuda and tensor.dtype in {torch.float32, torch.bfloat16} and has_triton()


def factor(dense: Tensor) -> Tensor:
    """`dense` as a factor of the kernels: in bfloat16 under autocast, where they take it."""
    low = triton_for(dense) and torch.is_autocast_enabled(dense.device.type)
    return dense.bfloat16() if low else dense


@cache
def has_triton() -> bool:
    """Whether Triton is installed."""
    return find_spec("triton") is not None


def decode(values: Tensor, pattern: Pattern, W_dec: Tensor) -> Tensor:  # noqa: N803
    """values [active] at `pattern` to reconstructions [frames, d_in], without b_dec."""
    return _Decode.apply(values, W_dec, pattern)  # pyright: ignore[reportReturnType]


def error(x: Tensor, values: Tensor, pattern: Pattern, W_dec: Tensor, b_dec: Tensor) -> tuple[Tensor, Tensor]:  # noqa: N803
    """e = x - `decode` - b_dec, [frames, d_in], which has no gradient, and the sum of its squares, which has.

    x: [frames, d_in], which gets no gradient; values: [active]; b_dec: [d_in].
    """
    return _Error.apply(values, W_dec, b_dec, x, pattern)  # pyright: ignore[reportReturnType]


def scores(x: Tensor, W_enc: Tensor, b_enc: Tensor, pattern: Pattern, known: Tensor | None = None) -> Tensor:  # noqa: N803
    """x W_enc + b_enc at `pattern` only, [active]; `known` are these values where they have been computed already."""
    return _Scores.apply(x, W_enc, b_enc, pattern, known)  # pyright: ignore[reportReturnType]


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, W_dec: Tensor, pattern: Pattern) -> Tensor:  # noqa: N803
        W_dec = factor(W_dec)  # noqa: N806
        ctx.save_for_backward(values, W_dec)
        ctx.pattern = pattern
        return pattern.times(values, W_dec)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        values, W_dec = ctx.saved_tensors  # noqa: N806
        grad = grads[0].contiguous().to(W_dec.dtype)
        return (
            ctx.pattern.products(grad, W_dec) if ctx.needs_input_grad[0] else None,
            ctx.pattern.transposed_times(values, grad) if ctx.needs_input_grad[1] else None,
            None,
        )


class _Error(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        W_dec: Tensor,  # noqa: N803
        b_dec: Tensor,
        x: Tensor,
        pattern: Pattern,
    ) -> tuple[Tensor, Tensor]:
        W_dec, products = factor(W_dec), None  # noqa: N806
        if triton_for(x):
            from freud.saes.kernels import triton_sparse

            e, squared, products = triton_sparse.error(
                x, values, pattern.latents, pattern.offsets, W_dec, b_dec, pattern.per_frame
            )
        else:
            e = (x - b_dec).sub_(pattern.times(values, W_dec))
            squared = torch.linalg.vector_norm(e).square()
        ctx.save_for_backward(values, W_dec, e, products)
        ctx.mark_non_differentiable(e)
        ctx.pattern = pattern
        return e, squared

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        values, W_dec, e, products = ctx.saved_tensors  # noqa: N806
        scale, low = -2 * grads[1], e.to(W_dec.dtype)
        d_values = None
        if ctx.needs_input_grad[0]:
            d_values = scale * (ctx.pattern.products(low, W_dec) if products is None else products)
        return (
            d_values,
            ctx.pattern.transposed_times(scale * values, low) if ctx.needs_input_grad[1] else None,
            scale * e.sum(0) if ctx.needs_input_grad[2] else None,
            None,
            None,
        )


class _Scores(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        W_enc: Tensor,  # noqa: N803
        b_enc: Tensor,
        pattern: Pattern,
        known: Tensor | None,
    ) -> Tensor:
        rows, x = factor(by_latent(W_enc)), factor(x)
        ctx.save_for_backward(x, rows)
        ctx.pattern = pattern
        if known is not None:
            return known.detach()
        return pattern.products(x, rows) + b_enc[pattern.latents]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, rows = ctx.saved_tensors
        grad = grads[0].contiguous()
        return (
            ctx.pattern.times(grad, rows) if ctx.needs_input_grad[0] else None,
            ctx.pattern.transposed_times(grad, x).T if ctx.needs_input_grad[1] else None,
            ctx.pattern.sums(grad) if ctx.needs_input_grad[2] else None,
            None,
            None,
        )


def by_latent(W_enc: Tensor) -> Tensor:  # noqa: N803
    """W_enc [d_in, d_sae] as contiguous rows [d_sae, d_in]; free if it is kept that way in memory, as training does."""
    return W_enc.T.contiguous()
