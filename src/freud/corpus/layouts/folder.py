"""A plain folder of recordings, at any depth, with label files beside them; or a single recording.

A CTM that no recording has the name of is about all of them, each by its stem or its path.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from freud.corpus.layouts.plan import Item, Plan, ctm_labels
from freud.corpus.sidecars import beside
from freud.corpus.tree import Source, is_audio


def matches(source: Source) -> bool:
    """Any folder, or an audio file."""
    return source.file is None or is_audio(source.file)


def plan(source: Source) -> Plan:
    """Every recording is a clip."""
    beside_them = beside(source.root, source.audio)
    result = Plan([Item(path, sidecars=beside_them.get(path, ())) for path in source.audio])
    if source.file is None:
        owned = {sidecar.path for sidecars in beside_them.values() for sidecar in sidecars if sidecar.tier is None}
        result.tables = [
            name for name in source.files if PurePosixPath(name).suffix.lower() == ".ctm" and name not in owned
        ]
        result.labels = ctm_labels(source.root, result.tables, result.problems)
    return result
