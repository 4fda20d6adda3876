"""Lhotse manifests, as any of its recipes writes them: cuts, or recordings with supervisions; needs `corpora`.

A cut, or a recording without cuts, is a clip. One supervision gives its transcript and speaker; several are the tiers
`utterances` and `speakers`. Alignments are tiers of their names. Cuts that Lhotse would compute (mixed, padded, sped
up) and audio behind commands or addresses are left out: nothing is run or downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from freud.corpus.labels import Labels, Spool
from freud.corpus.layouts.plan import Item, Plan, resolve, sex
from freud.corpus.tiers import Interval
from freud.corpus.tree import Source
from freud.errors import FreudError

_SUFFIX = re.compile(r"\.(jsonl(\.gz)?)$")
_NAMED = re.compile(r"(?:^|[_.-])(cuts?|recordings?|supervisions?)(?:[_.-]|$)")


def matches(source: Source) -> bool:
    """A manifest (.jsonl, .jsonl.gz), or a folder that has one of cuts or recordings at its top."""
    if source.file is not None:
        return _SUFFIX.search(source.file) is not None
    return bool(_manifests(source))


def plan(source: Source) -> Plan:
    """Every cut is a clip; where there are no cuts, every recording.

    Raises:
        FreudError: Lhotse is not installed, or a manifest cannot be read.
    """
    names = _manifests(source)
    cuts = [name for name in names if _kind(name) == "cut"]
    result = Plan([], tables=cuts or names, labels=Labels())
    refused: dict[str, list[str]] = {}
    for name in cuts or [name for name in names if _kind(name) == "recording"]:
        split = _split(name)
        kinds = _cuts(source.root, name) if cuts else _whole(source.root, name, names)
        for number, (key, start, duration, recording, supervisions, why) in enumerate(kinds, 1):
            where = f"{name} line {number}"
            path, reason = (None, why) if why else _path(source.root, recording)
            if path is None:
                refused.setdefault(reason, []).append(f"{where}: {key}")
                continue
            keys = (f"{name}\0{key}",)
            item, rows = _described(path, supervisions, start, duration, split, where, keys)
            result.items.append(item)
            if rows and result.labels is not None:
                result.labels.extend((keys[0], row) for row in rows)
    for reason, lines in refused.items():
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        place, _, rest = lines[0].partition(" ")
        result.problems.append({"path": place, "reason": f"{rest}{more}: {reason}"})
    if not result.items:
        why = "; ".join(problem["reason"] for problem in result.problems[:1]) or "there are no cuts or recordings"
        raise FreudError(f"{source.root}: no recording of its manifests can be used: {why}")
    return result


def _manifests(source: Source) -> list[str]:
    if source.file is not None:
        return [source.file]
    names = sorted(path.name for path in source.root.iterdir() if path.is_file() and _SUFFIX.search(path.name))
    named = [name for name in names if _NAMED.search(name)]
    return named if any(_kind(name) != "supervision" for name in named) else []


def _kind(name: str) -> str:
    match = _NAMED.search(_SUFFIX.sub("", name))
    return match[1].rstrip("s") if match else "cut"


def _split(name: str) -> str | None:
    """What stands behind the kind in a manifest's name: `librispeech_recordings_dev-clean.jsonl.gz` -> dev-clean."""
    stem = _SUFFIX.sub("", name)
    match = _NAMED.search(stem)
    return (stem[match.end() :] or None) if match else None


def _read(path: Path, kind: str) -> Iterator[Any]:
    try:
        from lhotse import load_manifest_lazy
    except ImportError:
        raise FreudError(f"{path}: needs Lhotse to be read; pip install 'freud-audio[corpora]'") from None
    number = 0
    try:
        for item in load_manifest_lazy(path):  # pyright: ignore[reportOptionalIterable]
            number += 1
            yield item
    except FreudError:
        raise
    except Exception as error:  # Lhotse lets out whatever its parser trips on
        raise FreudError(f"{path}: line {number + 1}: not a {kind} of Lhotse ({type(error).__name__})") from None


_Row = tuple[str, float, float | None, Any, list[Any], str]  # key, start, duration, recording, supervisions, why not


def _cuts(root: Path, name: str) -> Iterator[_Row]:
    for cut in _read(root / name, "cut"):
        if not hasattr(cut, "recording"):
            kind = type(cut).__name__
            if kind == "Recording":  # a manifest of recordings whose name does not say so
                yield cut.id, 0.0, None, cut, [], ""
            else:
                yield getattr(cut, "id", "?"), 0.0, None, None, [], f"{kind} is not a part of one recording"
        elif cut.recording is None:
            yield cut.id, 0.0, None, None, [], "has no recording"
        else:
            yield cut.id, cut.start, cut.duration, cut.recording, list(cut.supervisions), ""


def _whole(root: Path, name: str, names: list[str]) -> Iterator[_Row]:
    """Recordings with their supervisions, which lie in a manifest of their own and in any order."""
    from lhotse.supervision import SupervisionSegment

    said = Spool()
    if (other := re.sub("recording", "supervision", name)) in names:
        rows = _read(root / other, "supervision")
        said.extend((row.recording_id, row.to_dict()) for row in rows)
    for recording in _read(root / name, "recording"):
        supervisions = [SupervisionSegment.from_dict(row) for row in said.get(recording.id)]
        yield recording.id, 0.0, None, recording, supervisions, ""
    said.close()


def _path(root: Path, recording: Any) -> tuple[str | None, str]:
    """The file of a recording, or why it has none that can be used."""
    if getattr(recording, "transforms", None):
        return None, "its audio is changed when it is loaded; save it to files with lhotse"
    sources = recording.sources
    if len(sources) != 1:
        return None, "its channels are in several files; join them in one"
    if sources[0].type != "file":
        return None, f"its audio is a {sources[0].type}, which is never run or fetched; save it to files with lhotse"
    path = resolve(root, str(sources[0].source))
    if path is None:
        return None, f"{sources[0].source}: no such file"
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path), ""


def _described(
    path: str,
    supervisions: list[Any],
    start: float,
    duration: float | None,
    split: str | None,
    where: str,
    keys: tuple[str, ...],
) -> tuple[Item, list[Interval]]:
    """A clip and its labels; times of supervisions count from the start of the cut, those of labels from the file's."""
    texts = [row.text for row in supervisions if row.text]
    speakers = {row.speaker for row in supervisions} - {None}
    sexes = {sex(row.gender) for row in supervisions} - {None}
    rows: list[Interval] = []
    for row in supervisions:
        begin, end = max(start + row.start, 0.0), start + row.end
        if len(supervisions) > 1:
            rows += [Interval("utterances", begin, end, row.text)] if row.text else []
            rows += [Interval("speakers", begin, end, row.speaker)] if row.speaker else []
        for tier, items in (row.alignment or {}).items():
            rows += _aligned(str(_TIERS.get(tier, tier)), items)
    item = Item(
        path,
        transcript=" ".join(texts) or None,
        speaker=speakers.pop() if len(speakers) == 1 else None,
        sex=sexes.pop() if len(sexes) == 1 else None,
        split=split,
        offset=start,
        duration=duration,
        where=where,
        keys=keys,
    )
    return item, rows


_TIERS = {"word": "words", "phone": "phones", "phoneme": "phones"}


def _aligned(tier: str, items: Iterable[Any]) -> list[Interval]:
    """Items of an alignment: their times count from the start of the recording, also in a cut."""
    return [Interval(tier, max(item.start, 0.0), max(item.end, 0.0), item.symbol) for item in items if item.symbol]
