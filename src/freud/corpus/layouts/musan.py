"""MUSAN: music, noise and speech, as KIND/SOURCE/KIND-SOURCE-NUMBER.wav."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.tree import Source

_STEM = re.compile(r"(music|noise|speech)-[a-z-]+-\d{4}$")


def matches(source: Source) -> bool:
    """A folder whose recordings are all named so."""
    return source.file is None and bool(source.audio) and all(map(_stem, source.audio))


def plan(source: Source) -> Plan:
    """Every recording is a clip of class music, noise or speech."""
    return Plan([Item(path, label=match[1] if (match := _stem(path)) else None) for path in source.audio])


def _stem(path: str) -> re.Match[str] | None:
    return _STEM.match(PurePosixPath(path).stem)
