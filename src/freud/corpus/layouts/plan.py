"""What a layout hands over: the clips to import, before any recording has been opened."""

from __future__ import annotations

import itertools
import os
import posixpath
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from freud.corpus.labels import Labels
from freud.corpus.sidecars import Sidecar
from freud.corpus.tiers import open_text
from freud.corpus.tiers.lines import ctm_rows
from freud.corpus.tiers.records import Faults, Shape, column_names, records
from freud.errors import FreudError


@dataclass(frozen=True, slots=True)
class Item:
    """A clip to be: where it is, and what the layout knows of it."""

    path: str
    """Below the corpus root with forward slashes, or absolute."""
    transcript: str | None = None
    label: str | None = None
    speaker: str | None = None
    split: str | None = None
    sex: str | None = None
    offset: float = 0.0
    """Where it starts in the file, in seconds."""
    duration: float | None = None
    """In seconds; None: to the end of the file."""
    sidecars: tuple[Sidecar, ...] = ()
    where: str = ""
    """Where it was listed ("manifest.csv line 3"), for messages."""
    channel: int | None = None
    """Of the file, from 0; None: the mean of all."""
    lone_channel: bool = False
    """Whether a file of one channel may hold just `channel`, cut out of a recording of several."""
    keys: tuple[str, ...] = ()
    """Its names in `Plan.labels`, before its path without suffix and its stem."""


@dataclass
class Plan:
    """The clips, the tables they were listed in, and what was wrong in those."""

    items: list[Item]
    tables: list[str] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    labels: Labels | None = None
    """Labels from tables over many recordings, in file seconds."""
    unused: int = 0
    """Files of the folder that are not used."""

    def report(self, path: str, reasons: Iterable[str]) -> None:
        """Add reasons to the problems of a file."""
        self.problems += [{"path": path, "reason": reason} for reason in reasons]


_SEXES = {"f": "female", "m": "male", "female_feminine": "female", "male_masculine": "male"}


def sex(text: str | None) -> str | None:
    """How a corpus says it, in the words of `Clip.sex`: "F" -> "female"."""
    said = (text or "").strip().lower()
    return _SEXES.get(said, said) if said not in {"", "nan", "none", "unknown", "null"} else None


def rows(path: Path, required: set[str], faults: Faults, quotes: bool = True) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with a header, as (line number, column -> text); the names of columns are in lower case.

    A .tsv has tabs, the rest commas; or what divides the header into the required columns.

    Args:
        path: the table.
        required: columns that it must have.
        faults: takes up the rows that cannot be used, and what is odd in others.
        quotes: whether a field may be quoted; if not, quotation marks are part of the text.

    Raises:
        FreudError: the file cannot be read, lacks a column, or none of its rows can be used.
    """
    delimiters = "\t,;" if path.suffix.lower() == ".tsv" else ",;\t"
    with open_text(path) as file:
        at, header = next(((number, line) for number, line in enumerate(file, 1) if line.strip()), (1, ""))
        header = header.rstrip("\n")
        candidates = [[name.lower() for name in column_names(header, sign)] for sign in delimiters]
        index = next((i for i, names in enumerate(candidates) if required.issubset(names)), 0)
        delimiter, names = delimiters[index], candidates[index]
        if missing := required.difference(names):
            columns = ", ".join(filter(None, column_names(header, delimiter))) or "none"
            raise FreudError(f"{path}: no column {', '.join(sorted(missing))}; the columns are {columns}")
        for name in {name for name in names if name and names.count(name) > 1}:
            if name in required:
                raise FreudError(f"{path}: two columns are called {name}; rename one")
            faults.add(at, f"two columns are called {name}; neither is used")
        for name in names:
            if '"' in name or "\0" in name:
                faults.add(at, f"a column is called {name!r}; it is not used")
        columns = [(i, name) for i, name in enumerate(names) if name and names.count(name) == 1]
        unnamed = next(count for count, name in enumerate(reversed(names)) if name)
        used = 0
        for record in records(file, Shape(delimiter, len(names) - unnamed, unnamed), at + 1, quotes):
            if record.problem:
                faults.add(record.line, record.problem)
            if record.fields is not None and any(field.strip() for field in record.fields):
                used += 1
                yield record.line, {name: record.fields[i].strip() for i, name in columns}
    if not used and faults:
        raise FreudError(f"{path}: {faults.sentences()[0]}")


def unused_columns(names: Iterable[str], used: Collection[str]) -> list[str]:
    """What to say of the columns of a table that nothing is made of."""
    unused = [name for name in names if name not in used]
    return [f"columns that are not used: {', '.join(unused)}"] if unused else []


def absent_rows(lines: Sequence[int], count: int) -> list[str]:
    """What to say of the lines of a table whose recordings are not there, of `count` in all."""
    return [f"{len(lines)} of its {count} rows have no recording here, the first in line {lines[0]}"] if lines else []


def below(root: Path, path: str, line: str) -> str:
    """A path that a table of a corpus names, below the root of the corpus with forward slashes.

    Raises:
        FreudError: it leads out of the corpus.
    """
    normal = posixpath.normpath(path.replace("\\", "/"))
    if normal.startswith(("/", "../")) or normal == ".." or (len(normal) > 1 and normal[1] == ":"):
        raise FreudError(f"{root}: {line}: {path!r} is not a path in the corpus")
    return normal


def resolve(root: Path, path: str) -> Path | None:
    """Where a path lies that was written relative to the folder in which some recipe once ran.

    Tried are the folder of the table, those above it, and the current one; None if there is no such file in any.
    """
    forms = [path] if path.isascii() else [path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))]
    for folder, form in itertools.product((root, *root.parents, Path.cwd()), forms):
        if (file := folder / form).is_file():
            return Path(os.path.normpath(file))
    return None


def ctm_labels(root: Path, names: list[str], problems: list[dict[str, str]]) -> Labels | None:
    """The labels of CTMs over many recordings; one that is malformed is left out and added to `problems`."""
    if not names:
        return None
    labels = Labels()
    for name in names:
        faults = Faults()
        try:
            with open_text(root / name) as file:
                tier = PurePosixPath(name).stem.rpartition(".")[2].lower()
                lines = ctm_rows(root / name, file, tier if tier in _TIERS else None, faults)
                if not labels.add(lines, name):
                    problems.append({"path": name, "reason": "holds no label"})
        except FreudError as error:
            problems.append({"path": name, "reason": f"labels skipped: {str(error).removeprefix(f'{root / name}: ')}"})
            continue
        problems += [{"path": name, "reason": reason} for reason in faults.sentences()]
    return labels


_TIERS = frozenset({"words", "phones", "phonemes", "letters", "segments"})
