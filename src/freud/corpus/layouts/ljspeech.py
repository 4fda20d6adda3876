"""LJSpeech: `metadata.csv` with `ID|text|normalized text`, and wavs/ID.wav; one reader, Linda Johnson."""

from __future__ import annotations

import re

from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.sidecars import beside
from freud.corpus.tiers import open_text
from freud.corpus.tiers.records import Faults, Shape, records
from freud.corpus.tree import Source
from freud.errors import FreudError

_TABLE = "metadata.csv"


def matches(source: Source) -> bool:
    """A folder whose metadata.csv begins like `LJ001-0001|`."""
    if source.file is not None or not (source.root / _TABLE).is_file():
        return False
    with (source.root / _TABLE).open("rb") as file:
        return re.match(rb"(\xef\xbb\xbf)?[\w\x80-\xff-]+\|", file.readline(200)) is not None


def plan(source: Source) -> Plan:
    """Every line of the table is a clip; its transcript is the normalized text, with numbers written out.

    Raises:
        FreudError: no line of the table is as it should be.
    """
    result, faults = Plan([], tables=[_TABLE]), Faults()
    labels = beside(source.root, [name for name in source.audio if name.startswith("wavs/")])
    with open_text(source.root / _TABLE) as file:
        columns = 2 if file.readline().count("|") == 1 else 3
        file.seek(0)
        for record in records(file, Shape("|", columns), quotes=False):
            key, *texts = record.fields or [""]
            if record.problem or "/" in key or key in {"", ".."}:
                why = f" ({record.problem})" if record.problem else ""
                faults.add(record.line, f"expected {'|'.join(('ID', 'text', 'normalized text')[:columns])}{why}")
                continue
            path = source.on_disk(f"wavs/{key}.wav")
            known = {"transcript": texts[-1].strip() or None, "speaker": "LJ", "sex": "female"}
            where = f"{_TABLE} line {record.line}"
            result.items.append(Item(path, **known, sidecars=labels.get(path, ()), where=where))
    if not result.items and faults:
        raise FreudError(f"{source.root / _TABLE}: {faults.sentences()[0]}")
    result.report(_TABLE, faults.sentences())
    return result
