"""Label files beside recordings: transcripts, tab-separated intervals, HTK labels and Praat TextGrids.

A file belongs to the recording whose stem it has: `a.txt`, `a.lab`, `a.TextGrid`, `a.tsv`, or with a tier's
name `a.words.tsv`. One that cannot be read is a `FreudError` that names the line; the caller keeps the clip.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from freud.errors import FreudError

SUFFIXES = frozenset({".txt", ".lab", ".tsv", ".textgrid"})
UNNAMED = "labels"  # the tier of intervals whose file does not name one

Interval = tuple[str, float, float, str]  # tier, start and end in seconds, label


@dataclass(frozen=True)
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
            tier = None
            if stem not in recordings:
                stem, _, tier = stem.rpartition(".")
            sidecar = Sidecar(str(PurePosixPath(folder) / name), tier)
            for path in recordings.get(stem, ()):
                found[path] = (*found.get(path, ()), sidecar)
    return found


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def read_text(path: Path) -> str:
    """A text file as UTF-8, or UTF-16 if it says so.

    Raises:
        FreudError: it cannot be opened or is in another encoding.
    """
    try:
        data = path.read_bytes()
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        raise FreudError(f"{path}: cannot be read: {(error.strerror or '').lower()}") from None
    except UnicodeDecodeError:
        raise FreudError(f"{path}: not UTF-8 text; convert it to UTF-8") from None


def read_sidecar(path: Path, tier: str | None, duration: float) -> tuple[str | None, list[Interval]]:
    """Read a label file: a transcript, or intervals.

    Args:
        path: the file.
        tier: the tier's name, if the file's name has one.
        duration: of the recording in seconds, which tells HTK's units of 100 ns from seconds.

    Returns:
        (transcript or None, intervals sorted by start within each tier)

    Raises:
        FreudError: it is malformed; the message says where.
    """
    suffix = path.suffix.lower()
    if suffix == ".textgrid":
        return None, read_textgrid(path)
    text = read_text(path)
    if suffix == ".tsv" or _first_is_timed(text, suffix):
        return None, _parse_intervals(text, tier or UNNAMED, duration, htk=suffix == ".lab")
    return (" ".join(text.split()) or None) if tier is None else None, []


def _first_is_timed(text: str, suffix: str) -> bool:
    """Whether a .txt or .lab file holds intervals and not a transcript, by its first line."""
    separator = r"\s+" if suffix == ".lab" else r"\t"
    first = next((line for line in text.splitlines() if line.strip()), "")
    return re.match(rf"\s*\d+(\.\d*)?{separator}\d+(\.\d*)?(\s|$)", first) is not None


def _parse_intervals(text: str, tier: str, duration: float, htk: bool) -> list[Interval]:
    intervals: list[Interval] = []
    whole = True  # all times are written as whole numbers
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("\\"):  # Audacity writes the frequencies of a label on such a line
            continue
        fields = line.split(None, 2) if htk else line.split("\t", 2)
        if number == 1 and fields[0].strip().lower() in {"start", "begin", "onset"}:
            continue
        try:
            start, end = float(fields[0]), float(fields[1])
            if not (0 <= start <= end and math.isfinite(end)):
                raise ValueError
        except (ValueError, IndexError):
            shape = "start end label" if htk else "start<TAB>end<TAB>label"
            raise FreudError(f"line {number}: expected {shape}, in seconds") from None
        whole = whole and fields[0].strip().isdigit() and fields[1].strip().isdigit()
        intervals.append((tier, start, end, fields[2].strip() if len(fields) > 2 else ""))
    if htk and whole and intervals and max(end for _, _, end, _ in intervals) > 1000 * duration:
        intervals = [(tier, start * 1e-7, end * 1e-7, label) for tier, start, end, label in intervals]
    return sorted(intervals, key=lambda interval: interval[1:3])


def read_textgrid(path: Path) -> list[Interval]:
    """The labeled intervals and points of a Praat TextGrid, long or short, in UTF-8 or UTF-16.

    Raises:
        FreudError: it is not a TextGrid.
    """
    from praatio import textgrid
    from praatio.utilities.constants import Interval as GridInterval

    try:
        grid = textgrid.openTextgrid(str(path), False, reportingMode="silence", duplicateNamesMode="rename")
    except Exception as error:  # praatio lets out whatever its parser trips on
        raise FreudError(f"not a TextGrid that can be read ({type(error).__name__})") from None
    intervals: list[Interval] = []
    for tier in grid.tiers:
        for entry in tier.entries:
            start, end = (entry.start, entry.end) if isinstance(entry, GridInterval) else (entry.time, entry.time)
            if entry.label.strip():
                intervals.append((tier.name, float(start), float(end), entry.label.strip()))
    return intervals


def joined_words(intervals: Iterable[Interval]) -> str | None:
    """A transcript from the tier `words`, without silences, `<markers>` and variant numbers such as `(2)`."""
    words = []
    for tier, _, _, label in intervals:
        word = re.sub(r"\(\d+\)$", "", label)
        if tier.lower() in {"words", "word"} and word.lower() not in {"", "sil", "sp"} and word[0] != "<":
            words.append(word)
    return " ".join(words) or None
