"""Speech Commands: WORD/SPEAKER_nohash_TAKE.wav, and lists of the files held out for validation and testing."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.tiers import open_text
from freud.corpus.tree import Source

_STEM = re.compile(r"(?:.*_)?([0-9a-f]{8})_nohash_\d+$")
_LISTS = {"validation_list.txt": "validation", "testing_list.txt": "test"}
_NOISE = "_background_noise_"


def matches(source: Source) -> bool:
    """A folder with both lists, or whose recordings are all named so."""
    if source.file is not None:
        return False
    if all((source.root / name).is_file() for name in _LISTS):
        return True
    names = [PurePosixPath(path) for path in source.audio]
    return bool(names) and all(_STEM.match(name.stem) or name.parent.name == _NOISE for name in names)


def plan(source: Source) -> Plan:
    """Every recording is a clip; where the lists are, those in neither are of split "train"."""
    splits: dict[str, str] = {}
    tables = [name for name in _LISTS if (source.root / name).is_file()]
    for table in tables:
        with open_text(source.root / table) as file:
            splits.update((line.strip(), _LISTS[table]) for line in file)
    items = []
    for path in source.audio:
        pure = PurePosixPath(path)
        speaker = _STEM.match(pure.stem)
        rest = "train" if tables and speaker else None
        word = pure.parent.name or None
        items.append(Item(path, label=word, speaker=speaker[1] if speaker else None, split=splits.get(path, rest)))
    return Plan(items, tables=tables)
