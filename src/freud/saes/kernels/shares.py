"""A batch cut into shares, one for each of torch's threads.

What NumPy does takes one thread, and the others would wait. So each thread takes some of the frames through products
and NumPy alike.

Threads of OpenMP that have done their part of an operation spin for some milliseconds, so as to be at hand for the
next. Ours would share cores with them, and start late. So they are sent away first, and made anew when they are wanted,
which takes a tenth of a millisecond.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

T = TypeVar("T")

SMALLEST = 256  # frames of a share: each reads all weights
SOFT = 1  # omp_pause_soft


def in_shares(work: Callable[[slice], T], frames: int) -> list[T]:
    """`work` on consecutive slices that make up range(frames), at the same time; what it returns, in their order.

    It runs without gradients and without autocast, which other threads would not know of.
    """
    threads = torch.get_num_threads()
    share = max(SMALLEST, -(-frames // threads))
    slices = [slice(first, min(first + share, frames)) for first in range(0, frames, share)]
    if len(slices) == 1:
        run = map
    else:
        run = _threads(threads).map
        _send_openmp_away()
    return list(run(torch.no_grad()(torch.autocast("cpu", enabled=False)(work)), slices))


def _send_openmp_away() -> None:
    """End the threads that OpenMP keeps for this one, where torch's OpenMP can do that (from version 5.0 on)."""
    pause = _openmp_pause()
    if pause is not None:
        pause(SOFT)


@cache
def _openmp_pause() -> Callable[[int], int] | None:
    """`omp_pause_resource_all` of the OpenMP that torch was linked to."""
    return getattr(ctypes.CDLL(torch._C.__file__), "omp_pause_resource_all", None)


@cache
def _threads(count: int) -> ThreadPoolExecutor:
    """So many threads, in each of which torch uses no others."""
    started = Barrier(count + 1)

    def start() -> None:
        torch.set_num_threads(1)  # of this thread, and of those that have not asked yet
        torch.get_num_threads()
        started.wait()

    pool = ThreadPoolExecutor(count, "freud-share", start)
    for _ in range(count):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(count)
    return pool
