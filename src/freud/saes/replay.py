"""Steps on a GPU that are recorded once and then replayed as CUDA graphs.

A step is some 300 launches, which the host needs about 4 ms to ask for; what they do at 2,048 frames of Whisper tiny
takes an H200 a sixth of that. A graph is one launch, of the same kernels on the same memory, so its results are the
same to the bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
WARM_UP = 3  # steps of a kind before it is recorded: they compile and measure what can be done in more than one way


class _Recorded(NamedTuple, Generic[T]):
    graph: Any  # torch.cuda.CUDAGraph
    result: T


class Replayed(Generic[T]):
    """A step of a training.

    Args:
        step: takes x [frames, d_in], and what it changes stays where it is in memory.
    """

    def __init__(self, step: Callable[[Tensor], T]) -> None:
        self.step = step
        self._made: Counter[tuple[torch.Size, int]] = Counter()
        self._held: dict[torch.Size, Tensor] = {}  # what steps that were recorded read
        self._recorded: dict[tuple[torch.Size, int], _Recorded[T]] = {}

    def __call__(self, x: Tensor, kind: int | None) -> T:
        """step(x); what it returns is overwritten when the next step of its kind is made.

        kind: steps of one kind, on x of one shape, do the same work; None for a step that is not to be recorded.
        """
        if kind is None or not x.is_cuda:
            return self.step(x)
        key = (x.shape, kind)
        self._made[key] += 1
        if self._made[key] <= WARM_UP:
            return self.step(x)
        if key not in self._recorded:
            self._recorded[key] = self._record(x)
        self._held[x.shape].copy_(x)
        self._recorded[key].graph.replay()
        return self._recorded[key].result

    def _record(self, x: Tensor) -> _Recorded[T]:
        graph, held = torch.cuda.CUDAGraph(), self._held.setdefault(x.shape, torch.empty_like(x))
        keeper, stream = _shared(torch.cuda.current_device())
        # Threads that bring the next batches to the GPU may go on meanwhile.
        with torch.cuda.graph(graph, keeper.pool(), stream, capture_error_mode="thread_local"):
            result = self.step(held)
        return _Recorded(graph, result)


@cache
def _shared(device: int) -> tuple[Any, Any]:
    """A graph whose memory all others on a device share, as they run one after the other, and a stream to record on."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)
    with torch.cuda.graph(graph, stream=stream):
        torch.zeros(1, device=device)
    return graph, stream
