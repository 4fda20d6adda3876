"""Listing a folder of recordings: sorted, without hidden files, and safe where symbolic links form a loop.

Paths are kept as strings below the root with forward slashes, which are the same on every machine.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from freud.audio import AUDIO_SUFFIXES


@dataclass(frozen=True)
class Source:
    """What the user asked to import: a folder, or one file (an audio file or a table) in it."""

    root: Path
    file: str | None = None
    """The file's name in `root`, if a file was given."""
    problems: list[dict[str, str]] = field(default_factory=list)

    @cached_property
    def files(self) -> list[str]:
        """Every file below the root, sorted; folders that cannot be read are added to `problems`."""
        return sorted(_walk(self.root, "", [os.path.realpath(self.root)], self.problems))

    @cached_property
    def _by_name(self) -> dict[str, str]:
        return {composed(name): name for name in self.files if not name.isascii()}

    def on_disk(self, path: str) -> str:
        """A path from a table as the file is named on disk, where only the composition of accents differs."""
        if path.isascii() or os.path.lexists(self.root / path):
            return path
        return self._by_name.get(composed(path), path)

    @cached_property
    def audio(self) -> list[str]:
        """The files whose suffix is one of audio, sorted; or the one file that was given."""
        if self.file is not None and is_audio(self.file):
            return [self.file]
        return [name for name in self.files if is_audio(name)]


def composed(name: str) -> str:
    """A name as names are compared: most programs compose letters and accents (NFC); macOS keeps them apart."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_audio(name: str) -> bool:
    """Whether a file is audio by its suffix."""
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES


def _walk(root: Path, below: str, reached: list[str], problems: list[dict[str, str]]) -> Iterator[str]:
    """Files below root / below. `reached` holds the true paths of the trees that are listed already."""
    try:
        with os.scandir(root / below) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        problems.append({"path": below or ".", "reason": f"cannot be listed: {(error.strerror or '').lower()}"})
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        path = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, path, reached, problems)
        elif entry.is_symlink() and os.path.isdir(entry.path):
            target = os.path.realpath(entry.path)
            if not any(_within(target, tree) or _within(tree, target) for tree in reached):
                reached.append(target)
                yield from _walk(root, path, reached, problems)
        else:
            yield path


def _within(path: str, tree: str) -> bool:
    return path == tree or path.startswith(tree.rstrip(os.sep) + os.sep)
