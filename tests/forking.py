"""A process that has freud and nano loaded and forks for every command, so that a run costs no start.

Reads one JSON list a line, `[arguments, largest file or null]`, runs `freud arguments` in a fork and answers with up to
three lines: the pid at once, what the command said on standard error (unless it was killed), and its exit status.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import resource
import signal
import sys
from typing import NoReturn

import scipy.sparse  # noqa: F401  the first step of a training would load it
import torch

import freud
import freud.cli
from freud.activations import collect
from freud.features import build

SHARD = 200_000  # bytes: a few windows of nano at one site
CHECKPOINT = 0.02  # seconds


def prepare() -> None:
    """Load what every command needs, and cut the work into many small files."""
    torch.set_num_threads(1)
    nano = freud.models.load("nano")
    module = sys.modules[collect.__module__]
    freud.models.load = lambda name, **options: nano
    module.load_model = lambda name: nano  # pyright: ignore[reportAttributeAccessIssue]
    module.SHARD_BYTES = SHARD  # pyright: ignore[reportAttributeAccessIssue]
    build.RANGE_POSTINGS = 300
    freud.saes.sweep = functools.partial(freud.saes.sweep, checkpoint_seconds=CHECKPOINT)  # pyright: ignore[reportAttributeAccessIssue]


def run(arguments: list[str], largest: int | None) -> NoReturn:
    """One command, in a fork; `largest` is the size beyond which no file can grow, as on a full disk."""
    said, status = io.StringIO(), 0
    try:
        if largest is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            freud.cli.main(arguments)
    except SystemExit as stop:
        status = int(stop.code or 0)
    except BaseException:
        import traceback

        said.write(traceback.format_exc())
        status = 99
    answer({"stderr": said.getvalue()})
    os._exit(status)


def answer(value: object) -> None:
    os.write(1, (json.dumps(value) + "\n").encode())


if __name__ == "__main__":
    prepare()
    answer("ready")
    for line in sys.stdin:
        command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            run(*command)
        answer({"pid": pid})
        _, status = os.waitpid(pid, 0)
        answer({"status": os.waitstatus_to_exitcode(status)})
