"""Common Voice: the folder of a language, with clips/ and tables: train, dev, test, validated and other.tsv.

A clip is of the first split that lists it, in that order; invalidated clips are left out. Speakers are the first
sixteen digits of `client_id`.
"""

from __future__ import annotations

from freud.corpus.layouts.plan import Item, Plan, absent_rows, below, rows, sex
from freud.corpus.tiers.records import Faults
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
    splits: dict[str, str | None] = dict.fromkeys(source.audio)  # of each recording, once a table has listed it
    for split in _SPLITS:
        table = f"{split}.tsv"
        if not (source.root / table).is_file():
            continue
        result.tables.append(table)
        count, absent, faults = 0, [], Faults()
        for line, row in rows(source.root / table, {"client_id", "path", "sentence"}, faults, quotes=False):
            count += 1
            where = f"{table} line {line}"
            path = source.on_disk(f"clips/{below(source.root, row['path'], where)}")
            if path not in splits:
                absent.append(line)
                continue
            if splits[path]:
                if splits[path] == split:
                    faults.add(line, f"{row['path']} was listed before; the first is kept")
                continue
            splits[path] = split
            speaker = row["client_id"][:16] or None
            transcript = row["sentence"] or None
            result.items.append(Item(path, transcript, None, speaker, split, sex(row.get("gender")), where=where))
        result.report(table, [*faults.sentences(), *absent_rows(absent, count)])
    return result
