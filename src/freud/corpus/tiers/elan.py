"""ELAN's annotation files (.eaf), read as a stream of XML in which no document type, and so no entity, is allowed.

Annotations on time slots have their times; those that refer to others take theirs, and several that divide one share
its time evenly, as ELAN draws them. So do slots without a time, between the aligned ones beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from freud.corpus.tiers.intervals import LARGEST, Interval, fail
from freud.errors import FreudError


@dataclass
class _Annotation:
    tier: str
    line: int
    slots: tuple[str, str] | None = None
    refers: str | None = None
    previous: str | None = None
    text: list[str] = field(default_factory=list)


def read_elan(path: Path) -> list[Interval]:
    """The annotations of every tier that are not empty.

    Raises:
        FreudError: it is not an ELAN file, or has a document type; the message names the line.
    """
    document = _Document(path)
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise FreudError(f"{path}: {size:,} bytes; a label file has at most {LARGEST:,}")
        with path.open("rb") as file:
            document.parser.ParseFile(file)
    except OSError as error:
        raise FreudError(f"{path}: cannot be read: {(error.strerror or '').lower()}") from None
    except expat.ExpatError as error:
        fail(path, error.lineno, f"not XML that can be read: {expat.ErrorString(error.code)}")
    except (LookupError, ValueError) as error:  # an encoding that Python does not know, or not for XML
        fail(path, 1, f"not XML that can be read: {error}")
    return document.intervals()


class _Document:
    """What is collected while the parser goes through a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.slots: dict[str, float | None] = {}  # id -> seconds
        self.annotations: dict[str, _Annotation] = {}
        self.tier: str | None = None
        self.current: _Annotation | None = None
        self.in_value = False
        self.is_elan = False
        self.parser: Any = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.EntityDeclHandler = self.doctype
        self.parser.buffer_text = True

    def doctype(self, *_: object) -> None:
        fail(self.path, self.parser.CurrentLineNumber, "a document type is not allowed in an ELAN file; remove it")

    def start(self, name: str, given: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        if not self.is_elan:
            if name != "ANNOTATION_DOCUMENT":
                fail(self.path, line, f"not an ELAN file: expected ANNOTATION_DOCUMENT, found {name}")
            self.is_elan = True
        elif name == "TIME_SLOT":
            value = given.get("TIME_VALUE")
            if value is not None and not value.isdecimal():
                fail(self.path, line, f"expected TIME_VALUE in milliseconds, found {value!r}")
            self.slots[self.need(given, "TIME_SLOT_ID")] = None if value is None else int(value) / 1000
        elif name == "TIER":
            self.tier = self.need(given, "TIER_ID")
        elif name in {"ALIGNABLE_ANNOTATION", "REF_ANNOTATION"}:
            if self.tier is None:
                fail(self.path, line, "an annotation outside of a tier")
            self.current = _Annotation(self.tier, line)
            if name == "ALIGNABLE_ANNOTATION":
                self.current.slots = (self.need(given, "TIME_SLOT_REF1"), self.need(given, "TIME_SLOT_REF2"))
            else:
                self.current.refers = self.need(given, "ANNOTATION_REF")
                self.current.previous = given.get("PREVIOUS_ANNOTATION")
            self.annotations[self.need(given, "ANNOTATION_ID")] = self.current
        elif name == "ANNOTATION_VALUE":
            self.in_value = True

    def need(self, given: dict[str, str], attribute: str) -> str:
        if attribute not in given:
            fail(self.path, self.parser.CurrentLineNumber, f"no attribute {attribute}")
        return given[attribute]

    def end(self, name: str) -> None:
        if name == "ANNOTATION_VALUE":
            self.in_value = False
        elif name == "TIER":
            self.tier = None

    def characters(self, data: str) -> None:
        if self.in_value and self.current is not None:
            self.current.text.append(data)

    def intervals(self) -> list[Interval]:
        """The times of all annotations, by their slots or by what they refer to."""
        self.align()
        times: dict[str, tuple[float, float]] = {}
        for key, annotation in self.annotations.items():
            if annotation.slots is not None:
                start, end = (self.slot(annotation, slot) for slot in annotation.slots)
                if start > end:
                    fail(self.path, annotation.line, f"the annotation ends at {end} s, before it starts at {start} s")
                times[key] = start, end
        siblings: dict[tuple[str, str], list[str]] = {}  # (tier, parent) -> annotations, in order
        for key, annotation in self.annotations.items():
            if annotation.refers is not None:
                siblings.setdefault((annotation.tier, annotation.refers), []).append(key)
        waiting = list(siblings)
        while waiting:  # a parent may itself refer to another
            ready = [group for group in waiting if group[1] in times]
            if not ready:
                first = self.annotations[siblings[waiting[0]][0]]
                fail(self.path, first.line, f"refers to {first.refers}, which is no annotation with a time")
            for group in ready:
                start, end = times[group[1]]
                keys = siblings[group]
                divides = any(self.annotations[key].previous for key in keys)
                for index, key in enumerate(keys):
                    step = (end - start) / len(keys)
                    times[key] = (start + index * step, start + (index + 1) * step) if divides else (start, end)
            waiting = [group for group in waiting if group not in ready]
        found = []
        for key, annotation in self.annotations.items():
            if text := " ".join("".join(annotation.text).split()):
                found.append(Interval(annotation.tier, *times[key], text))
        return sorted(found, key=lambda interval: interval[:3])

    def slot(self, annotation: _Annotation, slot: str) -> float:
        if (time := self.slots.get(slot)) is None:
            fail(self.path, annotation.line, f"no time slot {slot} with a time")
        return time

    def align(self) -> None:
        """Give times to the slots that have none: evenly between their neighbors in the chain of a tier."""
        chain: list[str] = []
        for annotation in [a for a in self.annotations.values() if a.slots]:
            first, second = annotation.slots or ("", "")
            if not chain or chain[-1] != first:
                chain = [first]
            chain.append(second)
            if self.slots.get(second) is None:
                continue
            low, high = self.slots.get(chain[0]), self.slots[second]
            if low is not None and high is not None:
                for index, slot in enumerate(chain[1:-1], 1):
                    self.slots[slot] = low + (high - low) * index / (len(chain) - 1)
            chain = [second]
