"""Sums over the processes of one training (torchrun), each of which holds some rows of every batch.

Without `torch.distributed` each function is the identity. What a loss is divided by is summed with these, so that the
losses of the processes add up to that of one process with the whole batch, and so do their gradients.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


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


def variance(x: Tensor) -> Tensor:
    """Sum of the squared distances of x [frames, d_in] to their mean over all processes; above zero."""
    mean = x.mean(0) if not _many() else total(x.sum(0)) / total_frames(x)
    return total((x - mean).square().sum()).clamp_min(torch.finfo(x.dtype).tiny)
