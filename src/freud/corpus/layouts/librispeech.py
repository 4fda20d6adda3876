"""LibriSpeech: SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NUMBER.flac and one SPEAKER-CHAPTER.trans.txt a chapter.

The folder given may be the whole corpus, a split, a speaker, a chapter, or utterances put together flat. Published
alignments may lie anywhere below it: TextGrids named by their utterance, or one SPEAKER-CHAPTER.alignment.txt a
chapter. The sex of speakers is in SPEAKERS.TXT, in the folder or above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from freud.corpus.labels import Labels
from freud.corpus.layouts.plan import Item, Plan, absent_rows, sex
from freud.corpus.sidecars import beside, elsewhere
from freud.corpus.tiers import Interval, open_text, read_text
from freud.corpus.tiers.records import Faults, split_lines
from freud.corpus.tree import Source
from freud.errors import FreudError

_STEM = re.compile(r"(\d+)-(\d+)-\d{4}$")
_TRANSCRIPTS = re.compile(r"(?:^|/)(\d+)-(\d+)\.trans\.txt$")
_ALIGNMENTS = re.compile(r"(?:^|/)\d+-\d+\.alignment\.txt$")
_GRIDS = re.compile(r"(?:^|/)\d+-\d+-\d{4}\.textgrid$", re.IGNORECASE)
_SPEAKERS = "SPEAKERS.TXT"


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
    result = Plan([], tables=[*tables, *([_SPEAKERS] if (source.root / _SPEAKERS).is_file() else [])])
    transcripts: dict[str, str] = {}  # path without suffix -> text
    recordings = {str(PurePosixPath(path).with_suffix("")) for path in source.audio}
    for table in tables:
        transcripts.update(_transcripts(source, table, recordings, result))
    labels = beside(source.root, source.audio)
    known = {sidecar.path for sidecars in labels.values() for sidecar in sidecars}
    grids = [name for name in source.files if _GRIDS.search(name) and name not in known]
    apart = elsewhere(source.root, grids, source.audio) if grids else {}
    sexes = _sexes(source.root)
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
                sex=sexes.get(ids[1]) if ids else None,
                sidecars=(*labels.get(path, ()), *apart.get(path, ())),
            )
        )
    _add_alignments(source, result)
    return result


def _transcripts(source: Source, table: str, recordings: set[str], result: Plan) -> dict[str, str]:
    """The text of each utterance of a chapter, by its path without suffix; what is wrong is added to the problems."""
    folder, faults = PurePosixPath(table).parent, Faults()
    transcripts: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(split_lines(read_text(source.root / table)), 1):
        name, *rest = line.split(None, 1) or [""]
        key = str(folder / name)
        if not name:
            continue
        if not rest or "\0" in line:
            faults.add(number, "expected an utterance and its text")
        elif key in transcripts:
            faults.add(number, f"{name} was listed before in line {lines[key]}; the first is kept")
        else:
            transcripts[key], lines[key] = rest[0].strip(), number
    absent = [number for key, number in lines.items() if key not in recordings]
    result.report(table, [*faults.sentences(), *absent_rows(absent, len(lines))])
    return transcripts


def _sexes(root: Path) -> dict[str, str | None]:
    """The sex of each speaker, from lines such as `14 | F | train-clean-360 | 25.03 | Kristin LeMoine`."""
    for folder in (root, *root.parents[:3]):
        if (folder / _SPEAKERS).is_file():
            lines = [line.split("|") for line in split_lines(read_text(folder / _SPEAKERS)) if line[:1] != ";"]
            return {fields[0].strip(): sex(fields[1]) for fields in lines if len(fields) > 1}
    return {}


def _add_alignments(source: Source, result: Plan) -> None:
    """Words of the alignments that come as one text file a chapter."""
    names = [name for name in source.files if _ALIGNMENTS.search(name)]
    if not names:
        return
    result.labels = Labels()
    result.tables += names
    for name in names:
        try:
            result.labels.add(_aligned(source.root / name), name)
        except FreudError as error:
            reason = str(error).removeprefix(f"{source.root / name}: ")
            result.problems.append({"path": name, "reason": f"labels skipped: {reason}"})


def _aligned(path: Path) -> Iterator[tuple[str, str, Interval]]:
    """Rows of `84-121123-0000 ",GO,,DO" "0.490,0.890,1.270,1.380"`: words, empty where silent, and where each ends."""
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            match = re.fullmatch(r'(\S+) "([^"]*)" "([\d.,]*)"\s*', line)
            words, ends = (match[2].split(","), match[3].split(",")) if match else ([], [""])
            try:
                times = [float(end) for end in ends]
                if match is None or len(words) != len(times) or times != sorted(times):
                    raise ValueError
            except ValueError:
                raise FreudError(f"{path}: line {number}: expected an utterance, its words and their ends") from None
            for word, start, end in zip(words, [0.0, *times], times, strict=False):
                if word:
                    yield match[1], "", Interval("words", start, end, word)
