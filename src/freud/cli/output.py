"""How results are printed: aligned columns for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def print_json(value: Any) -> None:
    """Print dataclasses, paths and containers of them as JSON; numbers that are not finite become null."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows in columns, numbers to the right; on a terminal, lines are cut to its width."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(header), *cells]) for i in range(len(header))]
    right = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(header))]
    total = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for row in [list(header), *cells]:
        line = "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, right, strict=True)
        ).rstrip()
        print(line if len(line) <= total else line[: total - 1] + "…")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value or 0.0:.4g}"  # no "-0"
    return printable(str(value))


def printable(text: str) -> str:
    """Text without control characters: a name or a transcript may hold a newline or worse."""
    return "".join(c if c.isprintable() else " " for c in text)


def size(count: float) -> str:
    """Bytes for people: 12.3 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def say_problems(problems: Sequence[dict[str, str]], what: str = "skipped") -> None:
    """Print what could not be read, and why, on standard error; at most ten lines."""
    for problem in problems[:10]:
        print(f"{what}: {_cell(problem['path'])}: {_cell(problem['reason'])}", file=sys.stderr)
    if len(problems) > 10:
        print(f"{what}: and {len(problems) - 10} more, listed in manifest.json", file=sys.stderr)
