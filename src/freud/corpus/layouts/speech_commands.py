"""Speech Commands: WORD/SPEAKER_nohash_TAKE.wav, and lists of the files held out for validation and testing.

A subset may also lie in one folder, the word before the name: WORD_SPEAKER_nohash_TAKE, `_silence__TAKE`.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from freud.corpus.layouts.plan import Item, Plan, absent_rows
from freud.corpus.tiers import open_text
from freud.corpus.tree import Source

_STEM = re.compile(r"(?:(?P<word>_[a-z]+_|[a-z]+)_(?:[a-z]+_)?)?(?P<speaker>[0-9a-f]{8})_nohash_\d+$")
_SILENCE = re.compile(r"(?P<word>_silence_)_\d+$")
_LISTS = {"validation_list.txt": "validation", "testing_list.txt": "test"}
_UNSPOKEN = {"_background_noise_", "_silence_"}


def matches(source: Source) -> bool:
    """A folder with both lists, or whose recordings are all named so."""
    if source.file is not None:
        return False
    if all((source.root / name).is_file() for name in _LISTS):
        return True
    names = [PurePosixPath(path) for path in source.audio]
    return any(_STEM.match(name.stem) for name in names) and all(
        _STEM.match(name.stem) or _SILENCE.match(name.stem) or name.parent.name in _UNSPOKEN for name in names
    )


def plan(source: Source) -> Plan:
    """Every recording is a clip; where the lists are, those in neither are of split "train"."""
    splits: dict[str, str] = {}
    tables = [name for name in _LISTS if (source.root / name).is_file()]
    result = Plan([], tables=tables)
    present = set(source.audio)
    for table in tables:
        with open_text(source.root / table) as file:
            lines = {number: source.on_disk(line.strip()) for number, line in enumerate(file, 1) if line.strip()}
        splits.update((name, _LISTS[table]) for name in lines.values())
        absent = [number for number, name in lines.items() if name not in present]
        result.report(table, absent_rows(absent, len(lines)))
    for path in source.audio:
        pure = PurePosixPath(path)
        spoken = _STEM.match(pure.stem)
        parts = spoken or _SILENCE.match(pure.stem)
        word = pure.parent.name or (parts["word"] if parts else None)
        rest = "train" if tables and spoken else None
        result.items.append(
            Item(path, label=word, speaker=spoken["speaker"] if spoken else None, split=splits.get(path, rest))
        )
    return result
