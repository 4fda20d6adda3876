"""Free Spoken Digit Dataset: DIGIT_SPEAKER_TAKE.wav, all ten digits.

Takes 0 to 4 of each digit and speaker are the test set, as its authors say.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from freud.corpus.layouts.plan import Item, Plan
from freud.corpus.tree import Source

_STEM = re.compile(r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)$")
_TEST = 5  # takes


def matches(source: Source) -> bool:
    """A folder whose recordings are all named so, with every digit among them."""
    parts = [_STEM.match(PurePosixPath(path).stem) for path in source.audio]
    return source.file is None and all(parts) and len({part["digit"] for part in parts if part}) == 10


def plan(source: Source) -> Plan:
    """Every recording is a clip."""
    return Plan([_item(path) for path in source.audio])


def _item(path: str) -> Item:
    parts = _STEM.match(PurePosixPath(path).stem)
    if parts is None:  # the layout was asked for by name
        return Item(path)
    split = "test" if int(parts["take"]) < _TEST else "train"
    return Item(path, label=parts["digit"], speaker=parts["speaker"], split=split)
