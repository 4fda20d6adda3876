"""A batch cut into shares, one for each of torch's threads.

What NumPy does takes one thread, and the others would wait. So each thread takes some of the frames through products
and NumPy alike.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

T = TypeVar("T")

SMALLEST = 256  # frames of a share: each reads all weights


def in_shares(work: Callable[[slice], T], frames: int) -> list[T]:
    """`work` on consecutive slices that make up range(frames), at the same time; what it returns, in their order.

    It runs without gradients and without autocast, which other threads would not know of.
    """
    threads = torch.get_num_threads()
    share = max(SMALLEST, -(-frames // threads))
    slices = [slice(first, min(first + share, frames)) for first in range(0, frames, share)]
    run = map if len(slices) == 1 else _threads(threads).map
    return list(run(torch.no_grad()(torch.autocast("cpu", enabled=False)(work)), slices))


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
