"""A cache bounded in bytes, for pictures and samples, which cost a hundred times more to make than to keep."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T", bound=Any)  # bytes or an array: anything with a size


class Kept:
    """The last used results of something expensive, up to a number of bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._total = 0

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What is kept under `key`, or what `make` makes, which is kept from then on."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = make()
        with self._lock:
            if key not in self._held and memoryview(made).nbytes <= self.size:
                self._held[key] = made
                self._total += memoryview(made).nbytes
                while self._total > self.size:
                    self._total -= memoryview(self._held.popitem(last=False)[1]).nbytes
        return made

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held
