"""Work off the event loop: bounded pools of threads that refuse, time out and stop, rather than pile up.

A request waits in a queue of limited length; when its client goes away or its time is over, it is taken off the queue,
or, if it runs already, told to stop: long work calls `check` often.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from starlette.requests import Request

from freud.server.problems import Problem

T = TypeVar("T")
_current = threading.local()


class Stopped(Exception):  # noqa: N818 - nobody is waiting for the result any more
    """Raised by `check` in work that was told to stop."""


def check() -> None:
    """Stop here if the request that this thread works for is gone or too late; free otherwise.

    Raises:
        Stopped: it is.
    """
    stop: threading.Event | None = getattr(_current, "stop", None)
    if stop is not None and stop.is_set():
        raise Stopped


class Pool:
    """Threads that work on requests, with at most `waiting` requests in line and `seconds` for each.

    Each computes on `cores` cores: small requests are hardly faster on more, and what runs beside them is slower.
    Threads that are `nice` (0 to 19) leave the processor to others, such as the browser on the same machine; on Linux,
    elsewhere they are as any.
    """

    def __init__(self, name: str, *, workers: int, waiting: int, seconds: float, cores: int = 1, nice: int = 0) -> None:
        self.name, self.waiting, self.seconds = name, waiting, seconds
        self.workers = workers
        self.unfinished = 0  # in line or running; touched on the event loop only
        self.stopping = 0  # of those, told to stop
        self._threads = ThreadPoolExecutor(
            workers, thread_name_prefix=f"freud-{name}", initializer=_settle, initargs=(cores, nice)
        )

    async def run(self, request: Request, function: Callable[..., T], *args: Any, **options: Any) -> T:
        """The result of `function(*args, **options)`, computed in a thread of this pool.

        Raises:
            Problem: 429 if the line is full, 504 if it took too long, 503 if the server is stopped meanwhile.
            Stopped: the client has gone away.
        """
        if self.unfinished >= self.waiting + self.workers:
            raise Problem(429, f"the server is busy ({self.name}): try again in a moment", headers={"Retry-After": "2"})
        stop = threading.Event()

        def work() -> T:
            _current.stop = stop
            try:
                check()  # it may have waited longer than its client did
                return function(*args, **options)
            finally:
                _current.stop = None

        self.unfinished += 1
        loop = asyncio.get_running_loop()
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: _call_soon(loop, self._finished))
        result = asyncio.wrap_future(future)
        gone = asyncio.ensure_future(_gone(request))
        try:
            await asyncio.wait({result, gone}, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            if gone.done():
                raise Stopped
            raise Problem(504, f"this took longer than {self.seconds:g} s and was stopped: ask for less")
        except asyncio.CancelledError:  # by uvicorn, which would log it as an error of ours
            raise Problem(503, "the server was stopped") from None
        finally:
            if not future.done():
                self.stopping += 1
                future.add_done_callback(lambda _: _call_soon(loop, self._stopped))
            stop.set()
            gone.cancel()
            result.cancel()  # takes it off the line if it has not begun

    def _finished(self) -> None:
        self.unfinished -= 1

    def _stopped(self) -> None:
        self.stopping -= 1

    def close(self) -> None:
        """Let go of the threads without waiting for what they do."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _settle(cores: int, nice: int) -> None:
    """Make this thread one of a pool."""
    torch.set_num_threads(cores)
    if nice and sys.platform == "linux":  # where a thread has a priority of its own
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + nice)


def _call_soon(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)


async def _gone(request: Request) -> None:
    """Return when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
