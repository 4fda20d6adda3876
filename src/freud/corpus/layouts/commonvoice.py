"""Common Voice: the folder of a language, with clips/ and tables: train, dev, test, validated and other.tsv.

A clip is of the first split that lists it, in that order; invalidated clips are left out. Speakers are the first
sixteen digits of `client_id`.
"""

from __future__ import annotations

from freud.corpus.layouts.plan import Item, Plan, below, rows, sex
from freud.corpus.tree import Source

_SPLITS = ("train", "dev", "test", "validated", "other")


def matches(source: Source) -> bool:
    """A folder with clips/ and one of the tables."""
    if source.file is not None or not (source.root / "clips").is_dir():
        return False
    return any((source.root / f"{split}.tsv").is_file() for split in _SPLITS)


def plan(source: Source) -> Plan:
    """Every recording that a table lists is a clip; rows without a recording are a problem.

    Raises:
        FreudError: a table lacks a column.
    """
    result = Plan([])
    waiting = set(source.audio)
    for split in _SPLITS:
        table = f"{split}.tsv"
        if not (source.root / table).is_file():
            continue
        result.tables.append(table)
        count = absent = 0
        for line, row in rows(source.root / table, {"client_id", "path", "sentence"}, quotes=False):
            count += 1
            where = f"{table} line {line}"
            path = f"clips/{below(source.root, row['path'], where)}"
            if path not in waiting:
                absent += split in {"train", "dev", "test"}
                continue
            waiting.remove(path)
            speaker = row["client_id"][:16] or None
            said = row["sentence"] or None
            result.items.append(Item(path, said, None, speaker, split, sex(row.get("gender")), where=where))
        if absent:
            reason = f"{absent} of its {count} rows have no recording here"
            result.problems.append({"path": table, "reason": reason})
    return result
