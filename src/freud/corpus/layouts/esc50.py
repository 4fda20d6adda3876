"""ESC-50 (meta/esc50.csv beside audio/) and ESC-10, whose names say the class: CLASS_FOLD-SOURCE-TAKE.ogg.

The fold becomes the split, and the Freesound recording that a clip was cut from stands as its speaker, so
that whoever splits by speaker keeps pieces of one recording together.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from freud.corpus.layouts.plan import Item, Plan, absent_rows, rows
from freud.corpus.tiers.records import Faults
from freud.corpus.tree import Source, composed

_META = "meta/esc50.csv"
_STEM = re.compile(r"(?:(?P<esc10>\d{3})_)?(?P<fold>\d)-(?P<source>\d+)-[A-Z](?:-(?P<target>\d+))?$")
_ESC10 = (  # class 001 is the first
    "Dog bark",
    "Rain",
    "Sea waves",
    "Baby cry",
    "Clock tick",
    "Person sneeze",
    "Helicopter",
    "Chainsaw",
    "Rooster",
    "Fire crackling",
)


def matches(source: Source) -> bool:
    """A folder with meta/esc50.csv, or in which every recording is named as in ESC-50 or ESC-10."""
    if source.file is not None:
        return False
    if (source.root / _META).is_file():
        return True
    return bool(source.audio) and all(_STEM.match(PurePosixPath(path).stem) for path in source.audio)


def plan(source: Source) -> Plan:
    """Every recording is a clip.

    Raises:
        FreudError: meta/esc50.csv lacks the column filename or category.
    """
    categories: dict[str, str] = {}
    has_meta = (source.root / _META).is_file()
    lines: dict[str, int] = {}
    faults = Faults()
    if has_meta:
        for line, row in rows(source.root / _META, {"filename", "category"}, faults):
            categories[composed(row["filename"])] = row["category"]
            lines[composed(row["filename"])] = line
    items = []
    for path in source.audio:
        name = PurePosixPath(path)
        parts = _STEM.match(name.stem)
        items.append(
            Item(
                path,
                label=categories.get(composed(name.name)) or (_class(name, parts) if parts else None),
                speaker=f"freesound-{parts['source']}" if parts else None,
                split=f"fold {parts['fold']}" if parts else None,
            )
        )
    result = Plan(items, tables=[_META] if has_meta else [])
    present = {composed(PurePosixPath(path).name) for path in source.audio}
    absent = [line for name, line in lines.items() if name not in present]
    result.report(_META, [*faults.sentences(), *absent_rows(absent, len(lines))])
    return result


def _class(name: PurePosixPath, parts: re.Match[str]) -> str | None:
    """The class by the file's number in ESC-10, by a folder such as `001 - Dog bark`, or ESC-50's number."""
    if parts["esc10"] and 1 <= int(parts["esc10"]) <= len(_ESC10):
        return _ESC10[int(parts["esc10"]) - 1]
    folder = re.match(r"\d{3} - (.+)$", name.parent.name)
    return folder[1] if folder else parts["target"]
