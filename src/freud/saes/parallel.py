"""Sums over the processes of one training (torchrun), each of which holds some rows of every batch.

Without `torch.distributed` each function is the identity. What a loss is divided by is summed with these, so that the
losses of the processes add up to that of one process with the whole batch, and so do their gradients.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from freud.errors import FreudError

T = TypeVar("T")


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if _many() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if _many() else 1


def _many() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


@torch.no_grad()
def total(value: Tensor) -> Tensor:
    """The sum of `value` over all processes; no gradient."""
    if not _many():
        return value.detach()
    summed = value.detach().clone()
    dist.all_reduce(summed)
    return summed


def total_frames(x: Tensor) -> int | Tensor:
    """The number of rows of x [frames, ...] over all processes."""
    return total(torch.tensor(len(x), device=x.device)) if _many() else len(x)


@torch.no_grad()
def any_of(flags: Tensor) -> Tensor:
    """Whether a flag is set in any of the processes. flags: [n] bool."""
    return total(flags.to(torch.int32)) > 0 if _many() else flags


@torch.no_grad()
def gathered(values: Tensor) -> Tensor:
    """The vectors [n] of all processes, one after the other; n is the same in each."""
    if not _many():
        return values
    parts = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(parts, values.contiguous())
    return torch.cat(parts)


@torch.no_grad()
def sum_(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in one message."""
    tensors = list(tensors)
    if not _many() or not tensors:
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


@torch.no_grad()
def from_first_(values: Tensor) -> None:
    """Replace `values` by those of the first process."""
    if _many():
        dist.broadcast(values, 0)


def on_first(function: Callable[[], T]) -> T:
    """What `function` returns, or the FreudError that it raises, in the first process; it runs there alone.

    What it returns goes to the other processes as it is, so it must be small.
    """
    if not _many():
        return function()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = function()
        except FreudError as error:
            outcome[1] = error
    dist.broadcast_object_list(outcome, 0)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


@contextlib.contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun has started, if it has, for as long as the block runs."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized():
        yield
        return
    longest = timedelta(hours=6)  # the others wait while the first measures
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=longest)
    try:
        yield
    finally:
        dist.destroy_process_group()


def variance(x: Tensor) -> Tensor:
    """Sum of the squared distances of x [frames, d_in] to their mean over all processes; above zero."""
    mean = x.mean(0) if not _many() else total(x.sum(0)) / total_frames(x)
    return total((x - mean).square_().sum()).clamp_min(torch.finfo(x.dtype).tiny)
