"""LJSpeech: `metadata.csv` with `ID|text|normalized text`, and wavs/ID.wav; one reader, Linda Johnson."""

from __future__ import annotations

import re

from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.sidecars import beside
from freud.corpus.tiers import open_text
from freud.corpus.tree import Source
from freud.errors import FreudError

_TABLE = "metadata.csv"


def matches(source: Source) -> bool:
    """A folder whose metadata.csv begins like `LJ001-0001|`."""
    if source.file is not None or not (source.root / _TABLE).is_file():
        return False
    with (source.root / _TABLE).open("rb") as file:
        return re.match(rb"(\xef\xbb\xbf)?[\w-]+\|", file.readline(200)) is not None


def plan(source: Source) -> Plan:
    """Every line of the table is a clip; its transcript is the normalized text, with numbers written out.

    Raises:
        FreudError: a line of the table is not as it should be.
    """
    items = []
    labels = beside(source.root, [name for name in source.audio if name.startswith("wavs/")])
    with open_text(source.root / _TABLE) as file:
        for number, line in enumerate(file, 1):
            fields = line.rstrip("\r\n").split("|")
            if fields == [""]:
                continue
            if len(fields) < 2 or "/" in fields[0] or fields[0] in {"", ".."}:
                raise FreudError(f"{source.root / _TABLE}: line {number}: expected ID|text|normalized text")
            path = f"wavs/{fields[0]}.wav"
            where = f"{_TABLE} line {number}"
            text = fields[-1].strip() or None
            known = {"transcript": text, "speaker": "LJ", "sex": "female"}
            items.append(Item(path, **known, sidecars=labels.get(path, ()), where=where))
    return Plan(items, tables=[_TABLE])
