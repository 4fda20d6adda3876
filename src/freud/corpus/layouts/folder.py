"""A plain folder of recordings, at any depth, with label files beside them; or a single recording."""

from __future__ import annotations

from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.sidecars import beside
from freud.corpus.tree import Source, is_audio


def matches(source: Source) -> bool:
    """Any folder, or an audio file."""
    return source.file is None or is_audio(source.file)


def plan(source: Source) -> Plan:
    """Every recording is a clip."""
    labels = beside(source.root, source.audio)
    return Plan([Item(path, sidecars=labels.get(path, ())) for path in source.audio])
