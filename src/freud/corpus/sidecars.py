"""Which label files belong to which recordings, and what a tier of words says as a transcript.

A file belongs to the recording whose stem it has: `a.txt`, `a.lab`, `a.TextGrid`, `a.eaf`, or with a tier's name
`a.words.tsv`, or with a channel `a.channel-0.TextGrid`. Their formats are read by `freud.corpus.tiers`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from freud.corpus.tiers import SUFFIXES, Interval
from freud.corpus.tree import composed, is_audio
from freud.corpus.units import WORDS, tiers_of


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A label file of a clip."""

    path: str
    """Below the corpus root, or absolute."""
    tier: str | None
    """What stands between the clip's stem and the suffix."""
    channel: int | None = None
    """Which channel of the recording it is about, from 0; None: all, or what the file itself says."""


def beside(root: Path, audio: Iterable[str]) -> dict[str, tuple[Sidecar, ...]]:
    """The label files of each recording, found by listing the folders the recordings are in."""
    folders: dict[str, list[str]] = {}
    for path in audio:
        folders.setdefault(str(PurePosixPath(path).parent), []).append(path)
    sidecars: dict[str, tuple[Sidecar, ...]] = {}
    for folder, paths in folders.items():
        recordings = _by_stem(paths)
        for name in sorted(_names(root / folder)):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            stem, tier, channel = _owner(composed(stem), recordings)
            sidecar = Sidecar(str(PurePosixPath(folder) / name), tier, channel)
            for path in recordings.get(stem, ()):
                sidecars[path] = (*sidecars.get(path, ()), sidecar)
    return sidecars


def elsewhere(labels: Path, files: Iterable[str], audio: Iterable[str]) -> dict[str, tuple[Sidecar, ...]]:
    """The label files of each recording in a tree of their own, such as an aligner writes.

    A file belongs to the recording of the same path but for its suffix, or else to the only one of its stem.

    Args:
        labels: the tree's root.
        files: every file in it.
        audio: the recordings, below the root of the corpus.
    """
    audio = list(audio)
    whole: dict[str, str] = {}
    for path in audio:
        whole.setdefault(composed(str(PurePosixPath(path).with_suffix(""))), path)
    stems = {stem: paths[0] if len(paths) == 1 else None for stem, paths in _by_stem(audio).items()}
    sidecars: dict[str, tuple[Sidecar, ...]] = {}
    for name in files:
        stem, suffix = os.path.splitext(name)
        if suffix.lower() not in SUFFIXES:
            continue
        key, tier, channel = _owner(composed(stem), whole)
        path = whole.get(key)
        if path is None:
            key, tier, channel = _owner(composed(PurePosixPath(stem).name), stems)
            path = stems.get(key)
        if path is not None:
            sidecars[path] = (*sidecars.get(path, ()), Sidecar((labels / name).as_posix(), tier, channel))
    return sidecars


def recording_stem(name: str) -> str:
    """A file's name without its suffixes of audio: Kaggle's TIMIT has `SA1.WAV.wav` for TIMIT's `SA1.WAV`."""
    while is_audio(name):
        name = os.path.splitext(name)[0]
    return name


def _by_stem(paths: Iterable[str]) -> dict[str, list[str]]:
    """Recordings by stem, which names of other files are compared with; those with two suffixes by a free one, too."""
    paths = list(paths)
    stems: dict[str, list[str]] = {}
    for path in paths:
        stems.setdefault(composed(PurePosixPath(path).stem), []).append(path)
    shorter: dict[str, list[str]] = {}
    for path in paths:
        name = PurePosixPath(path).name
        if (short := composed(recording_stem(name))) not in stems:
            shorter.setdefault(short, []).append(path)
    return {**stems, **shorter}


def _owner(stem: str, known: Container[str]) -> tuple[str, str | None, int | None]:
    """The longest stem that a recording has, and the tier and channel behind it: "a.words" -> ("a", "words", None)."""
    short, parts = stem, list[str]()
    while short not in known and "." in PurePosixPath(short).name:
        short, _, part = short.rpartition(".")
        parts.insert(0, part)
    channel = next((int(match[1]) for part in parts if (match := _CHANNEL.fullmatch(part))), None)
    tier = ".".join(part for part in parts if not _CHANNEL.fullmatch(part)) or None
    return short, "selections" if tier and _RAVEN.fullmatch(tier) else tier, channel


_RAVEN = re.compile(r"Table\.\d+\.selections")
_CHANNEL = re.compile(r"channel-(\d{1,2})")


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def joined_words(intervals: Iterable[Interval]) -> str | None:
    """A transcript from the tiers of words, without silences, `<markers>` and variant numbers such as `(2)`."""
    intervals = list(intervals)
    tiers = tiers_of(WORDS, {interval.tier for interval in intervals})
    words = []
    for tier, _, _, label in sorted(intervals, key=lambda interval: interval.start):
        word = re.sub(r"\(\d+\)$", "", label)
        if tier in tiers and word.lower() not in {"", "sil", "sp"} and word[0] != "<":
            words.append(word)
    return " ".join(words) or None
