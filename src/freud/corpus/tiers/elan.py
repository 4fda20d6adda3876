"""ELAN's annotation files (.eaf), read as a stream of XML in which no document type, and so no entity, is allowed.

`read_elan` collects slots, tiers and annotations; `elan_times` says when each annotation is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.parsers import expat

from freud.corpus.tiers.elan_times import Annotation, Tier, times_of_annotations
from freud.corpus.tiers.intervals import LARGEST, LabelFile, LabelRows, fail
from freud.corpus.tiers.owner import is_named
from freud.errors import FreudError

# Seconds in a unit of TIME_VALUE: what the schema of EAF allows for TIME_UNITS.
_UNITS = {"milliseconds": 0.001, "PAL-frames": 1 / 25, "NTSC-frames": 1001 / 30_000}

_DIGITS = 15  # of a time in milliseconds, which a float holds exactly


def read_elan(path: Path, recording: str | None = None) -> LabelFile:
    """The annotations of every tier that are not empty, at the times that ELAN shows over a recording.

    Args:
        path: the file.
        recording: the name of the recording without suffix, which tells whose `TIME_ORIGIN` counts.

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
    return document.labels(recording)


@dataclass
class _Medium:
    """A MEDIA_DESCRIPTOR: one of the files that an annotation document is about."""

    names: tuple[str, str]
    is_audio: bool
    origin: float
    """Seconds into the medium at which ELAN's time is 0."""


@dataclass
class _Document:
    """What is collected while the parser goes through a file."""

    path: Path
    unit: float = 0.001
    slots: dict[str, float | None] = field(default_factory=dict)  # id -> seconds, in the order of TIME_ORDER
    tiers: dict[str, Tier] = field(default_factory=dict)
    annotations: dict[str, Annotation] = field(default_factory=dict)
    media: list[_Medium] = field(default_factory=list)
    entries: dict[str, str] = field(default_factory=dict)  # of controlled vocabularies
    divided: set[str] = field(default_factory=set)  # linguistic types whose annotations divide their parent
    tier: str | None = None
    current: Annotation | None = None
    entry: str | None = None
    in_value: bool = False
    is_elan: bool = False

    def __post_init__(self) -> None:
        self.parser: Any = expat.ParserCreate()
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.doctype
        self.parser.EntityDeclHandler = self.doctype
        self.parser.buffer_text = True

    def doctype(self, *_: object) -> None:
        self.fail("a document type is not allowed in an ELAN file; remove it")

    def fail(self, reason: str) -> None:
        fail(self.path, self.parser.CurrentLineNumber, reason)

    def start(self, name: str, values: dict[str, str]) -> None:
        if not self.is_elan and name != "ANNOTATION_DOCUMENT":
            self.fail(f"not an ELAN file: expected ANNOTATION_DOCUMENT, found {name}")
        self.is_elan = True
        if name == "HEADER":
            units = values.get("TIME_UNITS", "milliseconds")
            if units not in _UNITS:
                self.fail(f"expected TIME_UNITS of {', '.join(_UNITS)}, found {units!r}")
            self.unit = _UNITS[units]
        elif name == "MEDIA_DESCRIPTOR":
            origin = values.get("TIME_ORIGIN", "0")
            if not (origin.removeprefix("-").isdecimal() and len(origin) <= _DIGITS):
                self.fail(f"expected TIME_ORIGIN in milliseconds, found {origin!r}")
            names = values.get("MEDIA_URL", ""), values.get("RELATIVE_MEDIA_URL", "")
            is_audio = values.get("MIME_TYPE", "").startswith("audio/")
            self.media.append(_Medium((unquote(names[0]), unquote(names[1])), is_audio, int(origin) / 1000))
        elif name == "TIME_SLOT":
            self.add_slot(values)
        elif name == "TIER":
            self.tier = self.need(values, "TIER_ID")
            self.tiers[self.tier] = Tier(values.get("PARENT_REF"), values.get("LINGUISTIC_TYPE_REF", ""))
        elif name in {"ALIGNABLE_ANNOTATION", "REF_ANNOTATION"}:
            self.add_annotation(name, values)
        elif name == "ANNOTATION_VALUE":
            self.in_value = True
        elif name == "LINGUISTIC_TYPE" and values.get("CONSTRAINTS") == "Symbolic_Subdivision":
            self.divided.add(values.get("LINGUISTIC_TYPE_ID", ""))
        elif name == "CV_ENTRY_ML":
            self.entry = self.need(values, "CVE_ID")

    def add_slot(self, values: dict[str, str]) -> None:
        key, value = self.need(values, "TIME_SLOT_ID"), values.get("TIME_VALUE")
        if value is not None and not (value.isdecimal() and len(value) <= _DIGITS):
            self.fail(f"expected TIME_VALUE in milliseconds, found {value!r}")
        if key in self.slots:
            self.fail(f"there are two time slots {key}")
        self.slots[key] = None if value is None else int(value)

    def add_annotation(self, name: str, values: dict[str, str]) -> None:
        key = self.need(values, "ANNOTATION_ID")
        if self.tier is None:
            return self.fail("an annotation outside of a tier")
        if key in self.annotations:
            self.fail(f"there are two annotations {key}")
        if self.current is not None:
            self.fail(f"annotation {key} stands within another")
        self.current = Annotation(self.tier, self.parser.CurrentLineNumber, entry=values.get("CVE_REF"))
        if name == "ALIGNABLE_ANNOTATION":
            self.current.slots = (self.need(values, "TIME_SLOT_REF1"), self.need(values, "TIME_SLOT_REF2"))
        else:
            self.current.parent = self.need(values, "ANNOTATION_REF")
            self.current.previous = values.get("PREVIOUS_ANNOTATION") or None
        self.annotations[key] = self.current

    def need(self, values: dict[str, str], attribute: str) -> str:
        if attribute not in values:
            self.fail(f"no attribute {attribute}")
        return values[attribute]

    def end(self, name: str) -> None:
        if name == "ANNOTATION_VALUE":
            self.in_value = False
        elif name in {"ALIGNABLE_ANNOTATION", "REF_ANNOTATION"}:
            self.current = None
        elif name == "TIER":
            self.tier = None
        elif name == "CV_ENTRY_ML":
            self.entry = None

    def characters(self, data: str) -> None:
        if self.in_value and self.current is not None:
            self.current.text.append(data)
        elif self.entry is not None:  # of several languages, the words of the first
            self.entries[self.entry] = self.entries.get(self.entry, "") or data.strip()

    def labels(self, recording: str | None) -> LabelFile:
        """The annotations that have a text, in seconds of the recording."""
        slots = {key: None if value is None else value * self.unit for key, value in self.slots.items()}
        divided = {name for name, tier in self.tiers.items() if tier.kind in self.divided}
        times = times_of_annotations(self.path, slots, self.tiers, self.annotations, divided)
        notes: list[str] = []
        origin = self.origin(recording, notes)
        rows = LabelRows(self.path)
        for key, annotation in self.annotations.items():
            start, end = times[key]
            text = " ".join("".join(annotation.text).split())
            if not text and annotation.entry is not None:
                text = self.entries.get(annotation.entry, "")
                if not text:
                    rows.faults.add(annotation.line, f"no text, and no entry {annotation.entry} of a vocabulary in it")
            if text:
                rows.add(annotation.line, annotation.tier, start + origin, end + origin, text)
        return rows.finish(notes)

    def origin(self, recording: str | None, notes: list[str]) -> float:
        """Where ELAN's 0 lies in the recording: by the medium of its name, the only one of audio, or the only one."""
        named = [m for m in self.media if recording is not None and any(is_named(name, recording) for name in m.names)]
        candidates = named or self.media
        candidates = [medium for medium in candidates if medium.is_audio] or candidates
        origins = {medium.origin for medium in candidates}
        if len(origins) > 1:
            values = ", ".join(f"{origin:g} s" for origin in sorted(origins))
            notes.append(f"its media have TIME_ORIGINs of {values}, and none is named as the recording; taken as 0 s")
        return origins.pop() if len(origins) == 1 else 0.0
