"""LibriSpeech: SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac and one SPEAKER-CHAPTER.trans.txt a chapter.

The folder given may be the whole corpus, a split, a speaker, a chapter, or utterances put together flat.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.sidecars import beside
from freud.corpus.tiers import read_text
from freud.corpus.tree import Source

_STEM = re.compile(r"(\d+)-(\d+)-\d{4}$")
_TRANSCRIPTS = re.compile(r"(?:^|/)(\d+)-(\d+)\.trans\.txt$")


def matches(source: Source) -> bool:
    """A folder with a file like 84-121123.trans.txt, or whose recordings are all named so."""
    if source.file is not None:
        return False
    if any(_TRANSCRIPTS.search(name) for name in source.files):
        return True
    return bool(source.audio) and all(_STEM.match(PurePosixPath(path).stem) for path in source.audio)


def plan(source: Source) -> Plan:
    """Every recording is a clip; its speaker and split are read off its path."""
    tables = [name for name in source.files if _TRANSCRIPTS.search(name)]
    result = Plan([], tables=tables)
    transcripts: dict[str, str] = {}  # path without suffix -> text
    for table in tables:
        folder = PurePosixPath(table).parent
        for number, line in enumerate(read_text(source.root / table).splitlines(), 1):
            name, _, text = line.strip().partition(" ")
            if text:
                transcripts[str(folder / name)] = text.strip()
            elif name:
                result.problems.append({"path": table, "reason": f"line {number}: expected an utterance and its text"})
    labels = beside(source.root, source.audio)
    for path in source.audio:
        pure = PurePosixPath(path)
        parts = list((PurePosixPath(source.root.as_posix()) / pure).parts)
        ids = _STEM.match(pure.stem)
        nested = ids is not None and parts[-3:-1] == [*ids.groups()] and len(parts) > 4
        result.items.append(
            Item(
                path,
                transcript=transcripts.get(str(pure.with_suffix(""))),
                speaker=ids[1] if ids else None,
                split=parts[-4] if nested else None,
                sidecars=labels.get(path, ()),
            )
        )
    return result
