"""Which label files belong to which recordings, and what a tier of words says as a transcript.

A file belongs to the recording whose stem it has: `a.txt`, `a.lab`, `a.TextGrid`, `a.eaf`, or with a tier's name
`a.words.tsv`. Their formats are read by `freud.corpus.tiers`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from freud.corpus.tiers import SUFFIXES, Interval


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A label file of a clip."""

    path: str
    """Below the corpus root, or absolute."""
    tier: str | None
    """What stands between the clip's stem and the suffix."""


def beside(root: Path, audio: Iterable[str]) -> dict[str, tuple[Sidecar, ...]]:
    """The label files of each recording, found by listing the folders the recordings are in."""
    stems: dict[str, dict[str, list[str]]] = {}  # folder -> stem -> recordings
    for path in audio:
        pure = PurePosixPath(path)
        stems.setdefault(str(pure.parent), {}).setdefault(pure.stem, []).append(path)
    found: dict[str, tuple[Sidecar, ...]] = {}
    for folder, recordings in stems.items():
        for name in sorted(_names(root / folder)):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            stem, tier = _owner(stem, recordings)
            sidecar = Sidecar(str(PurePosixPath(folder) / name), tier)
            for path in recordings.get(stem, ()):
                found[path] = (*found.get(path, ()), sidecar)
    return found


def elsewhere(labels: Path, files: Iterable[str], audio: Iterable[str]) -> dict[str, tuple[Sidecar, ...]]:
    """The label files of each recording in a tree of their own, such as an aligner writes.

    A file belongs to the recording of the same path but for its suffix, or else to the only one of its stem.

    Args:
        labels: the tree's root.
        files: every file in it.
        audio: the recordings, below the root of the corpus.
    """
    whole: dict[str, str] = {}
    stems: dict[str, str | None] = {}  # None: several recordings have it
    for path in audio:
        pure = PurePosixPath(path)
        whole.setdefault(str(pure.with_suffix("")), path)
        stems[pure.stem] = None if pure.stem in stems else path
    found: dict[str, tuple[Sidecar, ...]] = {}
    for name in files:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in SUFFIXES:
            continue
        key, tier = _owner(stem, whole)
        path = whole.get(key)
        if path is None:
            key, tier = _owner(PurePosixPath(stem).name, stems)
            path = stems.get(key)
        if path is not None:
            found[path] = (*found.get(path, ()), Sidecar((labels / name).as_posix(), tier))
    return found


def _owner(stem: str, known: Container[str]) -> tuple[str, str | None]:
    """The longest stem that a recording has, and what stands behind it: "a.words" -> ("a", "words")."""
    short, tier = stem, None
    while short not in known and "." in PurePosixPath(short).name:
        short, _, part = short.rpartition(".")
        tier = f"{part}.{tier}" if tier else part
    return short, "selections" if tier and _RAVEN.fullmatch(tier) else tier


_RAVEN = re.compile(r"Table\.\d+\.selections")


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def joined_words(intervals: Iterable[Interval]) -> str | None:
    """A transcript from the tier `words`, without silences, `<markers>` and variant numbers such as `(2)`."""
    words = []
    for tier, _, _, label in intervals:
        word = re.sub(r"\(\d+\)$", "", label)
        if tier.lower() in {"words", "word"} and word.lower() not in {"", "sil", "sp"} and word[0] != "<":
            words.append(word)
    return " ".join(words) or None
