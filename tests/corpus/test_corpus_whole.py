"""Nothing is dropped in silence: whatever lies in a folder is found again in the corpus, or named in its problems.

Folders are made of random recordings, label files and tables, with random damage. Every label is a word of its own, so
that it can be found again wherever it ends up; damage never changes a digit, since another number is another label.
"""

from __future__ import annotations

import random
import re
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from freud import corpus
from freud.corpus.tiers import Interval, audacity, textgrid, tier_csv
from freud.errors import FreudError

SECONDS = 2.0
WORD = re.compile(r"w\d{4}")


def _raven(rows: list[Interval], name: str) -> str:
    head = (
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin File\tSpecies\n"
    )
    lines = (f"{i}\tSpectrogram 1\t1\t{r.start}\t{r.end}\t0\t8000\t{name}\t{r.label}\n" for i, r in enumerate(rows, 1))
    return head + "".join(lines)


def _ctm(rows: list[Interval], name: str) -> str:
    return "".join(f"{Path(name).stem} 1 {r.start} {round(r.end - r.start, 2)} {r.label}\n" for r in rows)


def _elan(rows: list[Interval], name: str) -> str:
    slots = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{kind}{i}" TIME_VALUE="{round(1000 * time)}"/>\n'
        for i, row in enumerate(rows)
        for kind, time in (("a", row.start), ("b", row.end))
    )
    annotations = "".join(
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="n{i}" TIME_SLOT_REF1="a{i}" TIME_SLOT_REF2="b{i}">\n'
        f"<ANNOTATION_VALUE>{row.label}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        for i, row in enumerate(rows)
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT>\n<HEADER TIME_UNITS="milliseconds"/>\n'
        f'<TIME_ORDER>\n{slots}</TIME_ORDER>\n<TIER TIER_ID="words" LINGUISTIC_TYPE_REF="t">\n{annotations}</TIER>\n'
        "</ANNOTATION_DOCUMENT>\n"
    )


LABELS: dict[str, Callable[[list[Interval], str], str]] = {
    ".TextGrid": lambda rows, _: textgrid(rows, SECONDS),
    ".words.txt": lambda rows, _: audacity(rows),
    ".csv": lambda rows, _: tier_csv(rows),
    ".words.tsv": lambda rows, _: "start\tend\tlabel\n" + audacity(rows),
    ".Table.1.selections.txt": _raven,
    ".ctm": _ctm,
    ".eaf": _elan,
    ".txt": lambda rows, _: " ".join(row.label for row in rows) + "\n",
    ".xyz": lambda rows, _: audacity(rows),  # of a program that nobody knows
}
SOUNDS = {
    ".wav": "WAV",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".aiff": "AIFF",
    ".caf": "CAF",
    ".w64": "W64",
    ".WAV.wav": "WAV",
}

DAMAGE: list[Callable[[str, random.Random], str]] = [
    lambda text, _: text,
    lambda text, r: text[: r.randrange(len(text) + 1)],
    lambda text, r: _with(text, r, '"'),
    lambda text, r: _with(text, r, "\0"),
    lambda text, r: _with(text, r, "\t"),
    lambda text, r: _with(text, r, "\n"),
    lambda text, r: _with(text, r, ","),
    lambda text, _: text.replace("\n", "\r"),
    lambda text, _: text.replace("\n", "\r\n"),
    lambda text, r: _without_line(text, r),
    lambda text, _: "\ufeff" + text,
    lambda text, _: re.sub(r"(?<=\d)\.(?=\d)", ",", text),
    lambda text, r: _shuffled(text, r),
    lambda text, _: text.replace("\t", " "),
]


def _with(text: str, r: random.Random, stray: str) -> str:
    places = [0, *(match.end() for match in re.finditer(r"(?<![\d.])(?=[\w\"<])|(?<=[a-z>\"])(?=\s)", text))]
    at = r.choice(places)
    return text[:at] + stray + text[at:]


def _without_line(text: str, r: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    lines.pop(r.randrange(len(lines)))
    return "".join(lines)


def _shuffled(text: str, r: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    if len(lines) > 3:
        i = r.randrange(1, len(lines) - 1)
        lines[i], lines[i + 1] = lines[i + 1], lines[i]
    return "".join(lines)


def _sound(path: Path, kind: str, r: random.Random) -> None:
    """A recording of a tone, cut short or with a byte changed now and then."""
    channels = r.choice([1, 1, 1, 2])
    tone = 0.3 * np.sin(np.arange(round(SECONDS * 8000)) * 0.3)
    with path.open("wb") as file:
        soundfile.write(file, np.stack([tone] * channels, 1), 8000, format=kind)
    data = bytearray(path.read_bytes())
    match r.randrange(8):
        case 0:
            path.write_bytes(data[: r.randrange(len(data))])
        case 1:
            data[r.randrange(min(len(data), 64))] ^= 1 << r.randrange(8)
            path.write_bytes(data)


class Word(NamedTuple):
    """A label or a word of a transcript."""

    text: str
    file: str
    times: tuple[float, float] | None
    """Start and end in seconds; None in a transcript."""


class Folder:
    """A folder of random content, and what is in it: its files, its words with their times, its table's rows."""

    def __init__(self, root: Path, r: random.Random) -> None:
        self.root = root
        self.words: list[Word] = []
        self.empty: list[str] = []  # label files without a word
        self._number = iter(r.sample(range(10_000), 200))
        names = [f"{stem}{i}" for i, stem in enumerate(r.choices(["a", "b c", "café", "Rec.x"], k=r.randint(1, 4)))]
        paths = []
        for name in names:
            folder = root / r.choice(["", "", "sub"])
            folder.mkdir(parents=True, exist_ok=True)
            suffix = r.choice(list(SOUNDS))
            path = folder / unicodedata.normalize(r.choice(["NFC", "NFD"]), f"{name}{suffix}")
            _sound(path, SOUNDS[suffix], r)
            paths.append(path)
            for kind in r.sample(list(LABELS), r.randint(0, 2)):
                self._labels(folder, path.name, name, kind, r)
        if r.random() < 0.4:
            self._table(paths, r)

    def _labels(self, folder: Path, recording: str, name: str, kind: str, r: random.Random) -> None:
        rows, time = [], 0.0
        for _ in range(r.randint(1, 4)):
            start, end = round(time + 0.05 * r.randint(0, 3) + 0.01, 2), round(time + 0.2 + 0.05 * r.randint(0, 3), 2)
            rows.append(Interval("words", start, end, f"w{next(self._number):04}"))
            time = end
        owner = r.choice([name, name, name, name, f"other {name}", name.upper()])
        path = folder / unicodedata.normalize(r.choice(["NFC", "NFD"]), f"{owner}{kind}")
        text = r.choice(DAMAGE)(LABELS[kind](rows, recording), r)
        path.write_text(text, encoding=r.choice(["utf-8", "utf-8", "utf-16"]), newline="")
        here = path.relative_to(self.root).as_posix()
        if not WORD.search(text) and (kind == ".ctm" or (owner == name and kind != ".xyz")):  # a CTM says whose it is
            self.empty.append(here)
        for row in rows:
            if row.label in WORD.findall(text):  # not where the file was cut off
                self.words.append(Word(row.label, here, None if kind == ".txt" else (row.start, row.end)))

    def _table(self, paths: list[Path], r: random.Random) -> None:
        lines = ["path,speaker,transcript"]
        for path in paths:
            word = f"w{next(self._number):04}"
            name = unicodedata.normalize(r.choice(["NFC", "NFD"]), path.relative_to(self.root).as_posix())
            lines.append(f"{name},x,{word}")
        text = r.choice(DAMAGE)("\n".join(lines) + "\n", r)
        (self.root / "manifest.csv").write_text(text, encoding="utf-8", newline="")
        self.words += [Word(word, "manifest.csv", None) for word in WORD.findall(text)]

    @property
    def files(self) -> list[str]:
        return [path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file()]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def lost(folder: Folder, opened: corpus.Corpus) -> list[str]:
    """What of a folder is neither used nor named: files, and words that are not in the corpus at their times."""
    named = _composed("\n".join(f"{problem['path']}: {problem['reason']}" for problem in opened.problems))
    clips = {_composed(clip.path) for clip in opened} | {"manifest.csv"}  # of which every row is looked for
    places = {(word, None) for clip in opened for word in WORD.findall(clip.transcript or "")}
    for row in opened.segment_table.to_pylist():
        for word in WORD.findall(row["label"]):
            places.add((word, (round(row["start"], 3), round(row["end"], 3))))
    words = [word for word in folder.words if _composed(word.file) not in named]
    missing = [repr(word) for word in words if (word.text, word.times) not in places]
    # A file with words has been looked after; one that has lost them all needs no mention beside its recording.
    spoken = {_composed(word.file) for word in folder.words}
    silent = {_composed(file) for file in folder.empty}
    return missing + [f for f in map(_composed, folder.files) if f not in clips | spoken | silent and f not in named]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_whatever_is_in_a_folder_is_used_or_named(seed: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Folder(Path(root), random.Random(seed))
        try:
            opened = corpus.read(root)
        except FreudError as error:
            refused = str(error)
        else:
            assert lost(folder, opened) == []
            return
    # Then no recording, or no row of the table, can be used.
    assert refused.startswith(root)
    assert "\n" not in refused
