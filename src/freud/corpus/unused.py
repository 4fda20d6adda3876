"""What lies in a folder of recordings and goes into no corpus: every such file is named, with the reason.

A label file without a recording or a recording that a table does not list is often a mistake in a name.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from freud.corpus.tiers import SUFFIXES
from freud.corpus.tree import composed, is_audio

LISTED = 1000  # files of one suffix that are named one by one; a corpus may hold a million of another tool's

_TABLE = re.compile(r"(manifest|metadata)\.(csv|tsv|jsonl|parquet)", re.IGNORECASE)
_DOCUMENT = re.compile(  # LibriSpeech has the last two
    r"(.*[_-])?(readme|licen[sc]e|copying|changelog|changes|authors|citation|books|chapters)([._-].*)?", re.IGNORECASE
)


def unused_files(names: Iterable[str], recordings: Iterable[str], tables: bool) -> list[dict[str, str]]:
    """A problem for each file that is not used; those that document a corpus share one.

    Args:
        names: the files.
        recordings: those of the corpus that are used.
        tables: whether tables list the recordings.
    """
    unused: dict[str, list[str]] = defaultdict(list)  # suffix -> names
    documents: list[str] = []
    for name in names:
        pure = PurePosixPath(name)
        if _DOCUMENT.fullmatch(pure.name) and not is_audio(name):
            documents.append(name)
        else:
            unused[pure.suffix.lower()].append(name)
    problems = []
    if documents:
        problems.append({"path": documents[0], "reason": f"documentation, not read{_and_more(documents)}"})
    if not unused:
        return problems
    stems: dict[str, list[str]] = defaultdict(list)
    for path in sorted(recordings):
        stems[_folded(PurePosixPath(path).stem)].append(path)
    for suffix, group in sorted(unused.items()):
        problems += [{"path": name, "reason": _reason(name, stems, tables)} for name in group[:LISTED]]
        if len(group) > LISTED:
            reason = f"and {len(group) - LISTED} more files ending in {suffix or 'no suffix'} are not used"
            problems.append({"path": group[LISTED], "reason": reason})
    return problems


def _reason(name: str, stems: dict[str, list[str]], tables: bool) -> str:
    pure = PurePosixPath(name)
    if is_audio(name):
        return "not used: no table lists it" if tables else "not used: not where this layout has its recordings"
    if _TABLE.fullmatch(pure.name):
        return "not used: a table of recordings belongs at the top; import its folder, or give the table itself"
    if pure.suffix.lower() in SUFFIXES:
        near = stems.get(_folded(pure.stem)) or stems.get(_folded(pure.name.partition(".")[0])) or []
        several = "several recordings have" if len(near) > 1 else "no recording beside it has"
        hint = f" (but {', '.join(near[:3])}: mind case and folder)" if near else ""
        return f"not used: {several} its name{hint}"
    return "not used: neither audio, nor labels, nor a table that can be read"


def _folded(stem: str) -> str:
    return composed(os.path.basename(stem)).casefold()


def _and_more(names: list[str]) -> str:
    rest = names[1:6]
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"; so are {', '.join(rest)}{more}" if rest else ""
