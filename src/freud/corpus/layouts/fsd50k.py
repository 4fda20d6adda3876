"""FSD50K: FSD50K.dev_audio and FSD50K.eval_audio, labeled by dev.csv and eval.csv in FSD50K.ground_truth.

A clip has several labels, from the particular to the general; they are joined with "; ". The development set is
split into train and val, as its table says.
"""

from __future__ import annotations

from freud.corpus.layouts.plan import Item, Plan, absent_rows, rows
from freud.corpus.tiers.records import Faults
from freud.corpus.tree import Source

_TABLES = {
    "FSD50K.ground_truth/dev.csv": "FSD50K.dev_audio",
    "FSD50K.ground_truth/eval.csv": "FSD50K.eval_audio",
}


def matches(source: Source) -> bool:
    """A folder with one of the tables."""
    return source.file is None and any((source.root / table).is_file() for table in _TABLES)


def plan(source: Source) -> Plan:
    """Every recording that a table lists is a clip; rows without a recording are a problem.

    Raises:
        FreudError: a table lacks a column.
    """
    result = Plan([], tables=[table for table in _TABLES if (source.root / table).is_file()])
    present = set(source.audio)
    for table in result.tables:
        count, absent, faults = 0, [], Faults()
        for line, row in rows(source.root / table, {"fname", "labels"}, faults):
            count += 1
            path = source.on_disk(f"{_TABLES[table]}/{row['fname']}.wav")
            if path not in present:
                absent.append(line)
                continue
            label = row["labels"].replace(",", "; ") or None
            split = row.get("split") or ("eval" if "eval" in table else "dev")
            result.items.append(Item(path, label=label, split=split, where=f"{table} line {line}"))
        result.report(table, [*faults.sentences(), *absent_rows(absent, count)])
    return result
