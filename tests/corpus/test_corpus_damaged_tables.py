"""Tables of every layout, damaged: each row gives its recording what it says, or what is wrong with it is said."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from damage import DAMAGES, WORDS, Sample, plain

from freud.corpus.layouts import LAYOUTS
from freud.corpus.layouts.plan import Plan
from freud.corpus.tree import Source
from freud.errors import FreudError

LETTERS = tuple("abcdefgh")


@dataclass(frozen=True)
class Table:
    """A table of a layout that says something of each of its recordings."""

    layout: str
    sample: Sample
    recording: str
    """The path of a recording, with {} for its name."""
    names: tuple[str, ...] = LETTERS
    says: str = "transcript"


def tables(texts: list[str]) -> list[Table]:
    """The same texts, one for each recording, in a table of every layout; some with a column behind the text."""
    quoted = [f'"{text}"' if "," in text else text for text in texts]
    classes = [text.replace(",", "") for text in texts]
    numbers = range(len(LETTERS))
    sounds = tuple(f"1-{i}-A-{i}" for i in numbers)
    tubes = tuple(f"{name * 8}-00" for name in LETTERS)
    books = tuple(f"LJ001-000{i}" for i in numbers)
    utterances = tuple(f"84-121123-000{i}" for i in numbers)
    commands = tuple(f"yes/{i:08x}_nohash_0" for i in numbers)

    def sample(name: str, head: str, row: str, delimiter: str, names=LETTERS, values=texts) -> Sample:
        rows = [row.format(name, text) + "\n" for name, text in zip(names, values, strict=False)]
        return Sample(name, head, rows, "", delimiter)

    return [
        Table("csv", sample("manifest.csv", "path,transcript,speaker\n", "{}.wav,{},s1", ",", values=quoted), "{}.wav"),
        Table("csv", sample("l.tsv", "path\ttext\ttranscript\n", "w/{}.wav\tx\t{}", "\t"), "w/{}.wav"),
        Table("csv", sample("l.csv", "Path;Transcript\n", "{}.wav;{}", ";"), "{}.wav"),
        Table(
            "audiofolder",
            sample("metadata.csv", "file_name,text,speaker\n", "{}.wav,{},7", ",", values=quoted),
            "{}.wav",
        ),
        Table("audiofolder", sample("metadata.jsonl", "", '{{"file_name": "{}.wav", "text": "{}"}}', ","), "{}.wav"),
        Table(
            "common-voice",
            sample("train.tsv", "client_id\tpath\tsentence\tgender\n", "s\t{}.mp3\t{}\tmale", "\t"),
            "clips/{}.mp3",
        ),
        Table("ljspeech", sample("metadata.csv", "", "{}|x|{}", "|", books), "wavs/{}.wav", books),
        Table("librispeech", sample("84-121123.trans.txt", "", "{} {}", " ", utterances), "{}.flac", utterances),
        Table(
            "fsd50k",
            sample("FSD50K.ground_truth/eval.csv", "fname,labels,mids\n", "{},{},/m/1", ",", values=classes),
            "FSD50K.eval_audio/{}.wav",
            says="label",
        ),
        Table(
            "esc50",
            sample("meta/esc50.csv", "filename,fold,category\n", "{}.wav,1,{}", ",", sounds, classes),
            "audio/{}.wav",
            sounds,
            "label",
        ),
        Table(
            "audioset",
            sample("e.csv", "# YTID, start_seconds, ...\n", '{}, 0.000, 10.000, "{}"', ",", tubes, classes),
            "{}.wav",
            tubes,
            "label",
        ),
        Table(
            "speech-commands",
            sample("testing_list.txt", "", "{}.wav", " ", commands, ["test"] * len(texts)),
            "{}.wav",
            commands,
            "split",
        ),
    ]


def plan_of(folder: Path, table: Table, text: str, count: int) -> Plan | FreudError:
    """What the layout makes of a folder with `count` empty recordings and the table."""
    for name in [table.recording.format(name) for name in table.names[:count]] + [table.sample.name]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / table.sample.name).write_bytes(text.encode())
    is_list = table.layout == "csv" and table.sample.name != "manifest.csv"
    try:
        return LAYOUTS[table.layout].plan(Source(folder, table.sample.name if is_list else None))
    except FreudError as error:
        return error


def verdict(table: Table, texts: list[str], touched: set[int], result: Plan | FreudError) -> str:
    """Read, reported or wrong: every row whose line is whole gives its recording what it says, and nothing else."""
    name = table.sample.name
    if isinstance(result, FreudError):
        return "reported" if (name in str(result) or "no segment table" in str(result)) else "wrong"
    expected = {table.recording.format(key): plain(text) for key, text in zip(table.names, texts, strict=False)}
    if table.says == "label":
        expected = {path: text.replace(",", "") for path, text in expected.items()}
    if table.says == "split":
        expected = dict.fromkeys(expected, "test")
    changed = {path for index, path in enumerate(expected) if index in touched}
    values: dict[str, list[str]] = {path: [] for path in expected}
    for item in result.items:
        values.setdefault(item.path, []).append(plain(getattr(item, table.says) or ""))
    right = all(text in values[path] for path, text in expected.items() if path not in changed)
    alone = all(set(values[path]) == {text} for path, text in expected.items() if path not in changed)
    if right and alone and len(values) == len(expected):
        return "read"
    absent = len(values) > len(expected)  # reported when the recording is looked into
    return "reported" if absent or any(problem["path"] == name for problem in result.problems) else "wrong"


def try_table(folder: Path, index: int, damage, seed: int) -> tuple[str, str]:
    """The verdict on a damaged table, and what to show if it is wrong."""
    rng = random.Random(f"{index} {damage.__name__} {seed}")
    texts = [
        " ".join(rng.sample(WORDS, 3)).replace(" ", rng.choice([" ", ", "]), 1) for _ in range(rng.randrange(2, 9))
    ]
    table = tables(texts)[index]
    text, touched = damage(table.sample, rng)
    result = plan_of(folder, table, text, len(texts))
    return verdict(table, texts, touched, result), f"{texts}\n{text}\n{result}"


# Which of two columns of text is the transcript only the header says.
TABLE_DAMAGES = [damage for damage in DAMAGES if damage.__name__ != "swap_columns"]


@pytest.mark.parametrize("damage", TABLE_DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("index", range(len(tables([]))), ids=[f"{t.layout} {t.sample.name}" for t in tables([])])
def test_damaged_tables(tmp_path, index, damage):
    verdicts: Counter[str] = Counter()
    for seed in range(6):
        outcome, shown = try_table(tmp_path / str(seed), index, damage, seed)
        assert outcome != "wrong", shown
        verdicts[outcome] += 1
    assert verdicts.total() == 6
