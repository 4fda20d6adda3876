"""What a layout hands over: the clips to import, before any recording has been opened."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from freud.corpus.labels import Labels
from freud.corpus.sidecars import Sidecar
from freud.corpus.tiers import read_text
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


_SEXES = {"f": "female", "m": "male", "female_feminine": "female", "male_masculine": "male"}


def sex(text: str | None) -> str | None:
    """How a corpus says it, in the words of `Clip.sex`: "F" -> "female"."""
    said = (text or "").strip().lower()
    return _SEXES.get(said, said) if said not in {"", "nan", "none", "unknown", "null"} else None


def rows(path: Path, required: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with a header, as (line number, column -> text); a .tsv has tabs, the rest commas.

    Raises:
        FreudError: the file cannot be read, or lacks a column.
    """
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, restval="")
    missing = required - set(reader.fieldnames or ())
    if missing:
        found = ", ".join(reader.fieldnames or ()) or "none"
        raise FreudError(f"{path}: no column {', '.join(sorted(missing))}; the columns are {found}")
    try:
        for row in reader:
            yield reader.line_num, {k: (v or "").strip() for k, v in row.items() if k is not None}
    except csv.Error as error:
        raise FreudError(f"{path}: line {reader.line_num}: {error}") from None
