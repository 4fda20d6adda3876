"""From the words of a command line to a call of a verb, with every mistake in one line."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Callable, Sequence

import tyro

_CONFIG = (tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone, tyro.conf.PositionalMetavarFromFieldName)


class UsageError(Exception):
    """The command line does not fit the verb."""


def parse(function: Callable[..., None], program: str, arguments: Sequence[str]) -> Callable[[], None]:
    """The call of `function` that the arguments ask for; `--help` prints and exits.

    Raises:
        UsageError: an argument is missing, unknown, or has a value that it cannot have.
    """

    @functools.wraps(function)  # tyro reads the flags from the signature and the docstring
    def bound(*args: object, **kwargs: object) -> Callable[[], None]:
        return functools.partial(function, *args, **kwargs)

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):  # nothing of the verb itself runs in here
            return tyro.cli(bound, prog=program, args=list(arguments), config=_CONFIG)
    except SystemExit as stop:
        if not stop.code:
            raise
    message = re.sub(r"'None', |, 'None'(?=\))", "", _one_line(said.getvalue()))  # not to be given, and so no choice
    raise UsageError(message.replace(f"missing from {program}:", "missing:"))


def _one_line(box: str) -> str:
    """What tyro says in a box: titles, help texts and pointers left out, the parts set off by semicolons."""
    parts: list[list[str]] = [[]]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box).translate(str.maketrans("│─", " -"))  # as where there is no Unicode
    for line in plain.splitlines():
        if not line.startswith("  "):  # the frame and its title
            continue
        text = line[2:].rstrip()
        if text.startswith(("For full helptext", "Argument helptext")):
            break
        if not text.strip("-"):
            parts.append([])
        elif not text.startswith(" " * 8):  # help texts are that deep
            parts[-1].append(f"{text.strip()}," if text.startswith(" ") else text.strip())
    message = "; ".join(" ".join(part).rstrip(",.") for part in parts if part)
    return message[:1].lower() + message[1:]
