"""Nothing is lost in silence: damaged label files and tables are read right, or what is wrong with them is said."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from damage import DAMAGES, WORDS, Row, Sample, label_files, plain

from freud.corpus.tiers import Interval, LabelFile, read_labels
from freud.errors import FreudError

SECONDS = 10.0


def labels(rng: random.Random) -> list[Row]:
    """Up to eight labels in a recording of ten seconds, with gaps between them, each of another word."""
    count = rng.randrange(2, 9)
    times = sorted(rng.sample(range(5, 990, 5), 2 * count))
    words = rng.sample(WORDS, count)
    return [(times[2 * i] / 100, times[2 * i + 1] / 100, words[i]) for i in range(count)]


def is_same(interval: Interval, row: Row) -> bool:
    return plain(interval.label) == row[2] and abs(interval.start - row[0]) < 1e-6 and abs(interval.end - row[1]) < 1e-6


def verdict(rows: list[Row], touched: set[int], result: LabelFile | FreudError, sample: Sample) -> str:
    """Read, reported or wrong."""
    if isinstance(result, FreudError):
        return "reported" if sample.name in str(result) and "\n" not in str(result) else "wrong"
    whole = [row for index, row in enumerate(rows) if index not in touched]
    lost = [row for row in whole if not any(is_same(interval, row) for interval in result.intervals)]
    # What is left of a row whose line is damaged is no wrong row if the line still says so.
    new = [interval for interval in result.intervals if not any(is_same(interval, row) for row in rows)]
    if not lost and len(new) <= len(touched) and result.transcript is None:
        return "read"
    runs_beyond = any(interval.end > SECONDS + 1 for interval in result.intervals)  # an import reports this
    return "reported" if result.problems or runs_beyond else "wrong"


def try_file(folder: Path, name: str, damage, seed: int) -> tuple[str, str]:
    """The verdict on a damaged file, and what to show if it is wrong."""
    rng = random.Random(f"{name} {damage.__name__} {seed}")
    rows = labels(rng)
    sample = next(sample for sample in label_files(rows) if sample.name == name)
    text, touched = damage(sample, rng)
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text.encode())
    tier = "selections" if "selections" in name else None  # as the import takes it from the name
    try:
        result = read_labels(folder / name, tier, SECONDS, 16_000, "a")
    except FreudError as error:
        result = error
    return verdict(rows, touched, result, sample), f"{rows}\n{text}\n{result}"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", [sample.name for sample in label_files([(0.5, 0.6, "one")])])
def test_damaged_label_files(tmp_path, name, damage):
    verdicts: Counter[str] = Counter()
    for seed in range(10):
        outcome, shown = try_file(tmp_path, name, damage, seed)
        assert outcome != "wrong", shown
        verdicts[outcome] += 1
    assert verdicts.total() == 10
