"""When the annotations of an ELAN file are: on time slots, or within the annotations that they refer to.

Slots without a time divide the span between those with one evenly, in their order in a tier; annotations that refer to
one of another tier divide it evenly in the order of their chain, as ELAN draws both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from freud.corpus.tiers.intervals import fail


class Tier(NamedTuple):
    parent: str | None
    kind: str
    """Its linguistic type."""


@dataclass
class Annotation:
    tier: str
    line: int
    slots: tuple[str, str] | None = None
    parent: str | None = None
    """The annotation that it refers to."""
    previous: str | None = None
    """The one before it, of those that refer to the same."""
    entry: str | None = None
    """Of a controlled vocabulary."""
    text: list[str] = field(default_factory=list)


def times_of_annotations(
    path: Path,
    slots: dict[str, float | None],
    tiers: dict[str, Tier],
    annotations: dict[str, Annotation],
    divided: Collection[str],
) -> dict[str, tuple[float, float]]:
    """Start and end of every annotation in seconds.

    Args:
        path: for messages.
        slots: the times of the slots, in the order of TIME_ORDER; those that have none are filled in.
        tiers: by name.
        annotations: by their ids.
        divided: tiers whose annotations divide their parent even if they are in no chain.

    Raises:
        FreudError: an annotation refers to what is not there, ends before it starts, or a chain is broken.
    """
    for tier in sorted(tiers, key=lambda name: _depth(name, tiers)):  # a parent's times bound those of its children
        _align(slots, [a.slots for a in annotations.values() if a.tier == tier and a.slots])
    times: dict[str, tuple[float, float]] = {}
    groups: dict[tuple[str, str], list[str]] = {}  # (tier, parent) -> annotations
    for key, annotation in annotations.items():
        if annotation.slots is not None:
            start, end = (_time(path, annotation, slot, slots) for slot in annotation.slots)
            if start > end:
                fail(path, annotation.line, f"the annotation ends at {end} s, before it starts at {start} s")
            times[key] = start, end
        elif annotation.parent is not None:
            groups.setdefault((annotation.tier, annotation.parent), []).append(key)
    waiting = list(groups)
    while waiting:  # a parent may itself refer to another
        ready = [group for group in waiting if group[1] in times]
        if not ready:
            first = annotations[groups[waiting[0]][0]]
            fail(path, first.line, f"refers to {first.parent}, which is no annotation with a time")
        for tier, parent in ready:
            start, end = times[parent]
            keys = groups[tier, parent]
            if not any(annotations[key].previous for key in keys) and tier not in divided:
                times.update(dict.fromkeys(keys, (start, end)))
                continue
            step = (end - start) / len(keys)
            for index, key in enumerate(_in_chain(path, keys, annotations)):
                times[key] = start + index * step, start + (index + 1) * step
        waiting = [group for group in waiting if group not in ready]
    return times


def _depth(name: str, tiers: dict[str, Tier]) -> int:
    depth, reached = 0, {name}
    while (tier := tiers.get(name)) and tier.parent and tier.parent not in reached:
        name = tier.parent
        reached.add(name)
        depth += 1
    return depth


def _time(path: Path, annotation: Annotation, slot: str, slots: dict[str, float | None]) -> float:
    if (time := slots.get(slot)) is None:
        fail(path, annotation.line, f"no time slot {slot} with a time")
    return time


def _align(slots: dict[str, float | None], pairs: Sequence[tuple[str, str]]) -> None:
    """Give times to the slots of a tier that have none: evenly between those beside them that have one.

    Beside a slot is what annotations join it to, and, where they leave a gap, what TIME_ORDER lists next.
    """
    if all(slots.get(slot) is not None for pair in pairs for slot in pair):
        return
    following = dict(pairs)
    order = [slot for slot in slots if slot in {slot for pair in pairs for slot in pair}]
    for first in [slot for slot in order if slots[slot] is not None]:
        run = [first]
        while (slot := following.get(run[-1])) in slots and slot not in run:
            run.append(slot)
            if slots[slot] is not None:
                _divide(slots, run)
                break
    run: list[str] = []
    for slot in order:
        if (time := slots[slot]) is not None:
            if run and (slots[run[0]] or 0.0) <= time:
                _divide(slots, [*run, slot])
            run = [slot]
        elif run:
            run.append(slot)


def _divide(slots: dict[str, float | None], run: Sequence[str]) -> None:
    """Space the inner slots of a run evenly between its first and its last."""
    low, high = slots[run[0]], slots[run[-1]]
    if low is not None and high is not None:
        for index, slot in enumerate(run[1:-1], 1):
            slots[slot] = low + (high - low) * index / (len(run) - 1)


def _in_chain(path: Path, keys: Sequence[str], annotations: dict[str, Annotation]) -> list[str]:
    """Annotations in the order that PREVIOUS_ANNOTATION gives; in that of the file if none has one."""
    if not any(annotations[key].previous for key in keys):
        return list(keys)
    following = {annotations[key].previous: key for key in keys}
    chain: list[str] = []
    key = following.get(None)
    while key is not None and key not in chain:
        chain.append(key)
        key = following.get(key)
    for key in keys:
        if key not in chain:
            reason = f"PREVIOUS_ANNOTATION does not put it in one chain with the others of {annotations[key].parent}"
            fail(path, annotations[key].line, reason)
    return chain
