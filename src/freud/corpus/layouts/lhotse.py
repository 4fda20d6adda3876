"""Lhotse manifests, as any of its recipes writes them: cuts, or recordings with supervisions; needs `corpora`.

A cut, or a recording without cuts, is a clip, of one channel or the mean of all. One supervision gives its transcript
and speaker; several are the tiers `utterances` and `speakers`. Alignments are tiers of their names. Cuts that Lhotse
would compute (mixed, padded, sped up) and audio behind commands or addresses are left out: nothing is run or
downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
        rows = _cuts(source.root, name) if cuts else _whole(source.root, name, names)
        for number, row in enumerate(rows, 1):
            where = f"{name} line {number}"
            try:
                path, channel = _file(source.root, row)
            except _RefusedError as reason:
                refused.setdefault(str(reason), []).append(f"{where}: {row.key}")
                continue
            item, labels = _described(path, channel, row, split, where, (f"{name}\0{row.key}\0{row.channels}",))
            result.items.append(item)
            if labels and result.labels is not None:
                result.labels.add(((item.keys[0], "", label) for label in labels), name)
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


@dataclass(frozen=True)
class _Row:
    """A cut, or a whole recording."""

    key: str
    recording: Any = None
    start: float = 0.0
    duration: float | None = None
    channels: tuple[int, ...] | None = None
    """Those of the recording that it takes; None: all."""
    supervisions: Sequence[Any] = ()
    refused: str = ""
    """Why it cannot be used, if so."""


class _RefusedError(Exception):
    """Why a row cannot be a clip."""


def _cuts(root: Path, name: str) -> Iterator[_Row]:
    for cut in _read(root / name, "cut"):
        if not hasattr(cut, "recording"):
            kind = type(cut).__name__
            if kind == "Recording":  # a manifest of recordings whose name does not say so
                yield _Row(cut.id, cut)
            else:
                yield _Row(getattr(cut, "id", "?"), refused=f"{kind} is not a part of one recording")
        elif cut.recording is None:
            yield _Row(cut.id, refused="has no recording")
        else:
            channels = (cut.channel,) if isinstance(cut.channel, int) else tuple(cut.channel)
            yield _Row(cut.id, cut.recording, cut.start, cut.duration, channels, list(cut.supervisions))


def _whole(root: Path, name: str, names: list[str]) -> Iterator[_Row]:
    """Recordings with their supervisions, which lie in a manifest of their own and in any order.

    Where supervisions tell the channels of a recording apart, each channel that has any is a row.
    """
    from lhotse.supervision import SupervisionSegment

    spool = Spool()
    other = re.sub("recording", "supervision", name)
    if other in names:
        rows = _read(root / other, "supervision")
        spool.extend(((row.recording_id, row.to_dict()) for row in rows), other)
    for recording in _read(root / name, "recording"):
        supervisions = [SupervisionSegment.from_dict(row) for row in spool.get(recording.id)]
        spool.claim(recording.id)
        groups: dict[tuple[int, ...], list[Any]] = {}
        for row in supervisions:
            channels = (row.channel,) if isinstance(row.channel, int) else tuple(row.channel)
            groups.setdefault(channels, []).append(row)
        if len(groups) < 2:
            yield _Row(recording.id, recording, supervisions=supervisions)
            continue
        for channels, group in sorted(groups.items()):
            whole = set(channels) == {channel for source in recording.sources for channel in source.channels}
            yield _Row(recording.id, recording, channels=None if whole else channels, supervisions=group)
    for table, missing in spool.unclaimed():
        yield _Row(", ".join(missing[:3]), refused=f"{table} is about {len(missing)} recordings that are not listed")
    spool.close()


def _file(root: Path, row: _Row) -> tuple[str, int | None]:
    """The file of a row's recording and which channel of it, None for all.

    Raises:
        _RefusedError: it has none that can be used.
    """
    if row.refused:
        raise _RefusedError(row.refused)
    recording = row.recording
    if getattr(recording, "transforms", None):
        raise _RefusedError("its audio is changed when it is loaded; save it to files with lhotse")
    sources = list(recording.sources)
    every = {channel for source in sources for channel in source.channels}
    wanted = every if row.channels is None else set(row.channels)
    holders = [source for source in sources if wanted <= set(source.channels)]
    if not holders:
        raise _RefusedError("its channels are in several files; join them in one")
    source = holders[0]
    if source.type != "file":
        raise _RefusedError(
            f"its audio is a {source.type}, which is never run or fetched; save it to files with lhotse"
        )
    path = resolve(root, str(source.source))
    if path is None:
        raise _RefusedError(f"{source.source}: no such file")
    channels = sorted(source.channels)
    if set(channels) == wanted:
        channel = None
    elif len(wanted) == 1:
        channel = channels.index(*wanted)
    else:
        raise _RefusedError(
            f"takes channels {sorted(wanted)} of {len(channels)}; a clip has one channel, or the mean of all"
        )
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path), channel


def _described(
    path: str, channel: int | None, row: _Row, split: str | None, where: str, keys: tuple[str, ...]
) -> tuple[Item, list[Interval]]:
    """A clip and its labels; times of supervisions count from the start of the cut, those of labels from the file's."""
    supervisions, start = row.supervisions, row.start
    texts = [supervision.text for supervision in supervisions if supervision.text]
    speakers = {supervision.speaker for supervision in supervisions} - {None}
    sexes = {sex(supervision.gender) for supervision in supervisions} - {None}
    labels: list[Interval] = []
    for supervision in supervisions:
        begin, end = max(start + supervision.start, 0.0), start + supervision.end
        if len(supervisions) > 1:
            labels += [Interval("utterances", begin, end, supervision.text)] if supervision.text else []
            labels += [Interval("speakers", begin, end, supervision.speaker)] if supervision.speaker else []
        for tier, items in (supervision.alignment or {}).items():
            labels += _aligned(str(_TIERS.get(tier, tier)), items)
    item = Item(
        path,
        transcript=" ".join(texts) or None,
        speaker=speakers.pop() if len(speakers) == 1 else None,
        sex=sexes.pop() if len(sexes) == 1 else None,
        split=split,
        offset=start,
        duration=row.duration,
        channel=channel,
        where=where,
        keys=keys,
    )
    return item, labels


_TIERS = {"word": "words", "phone": "phones", "phoneme": "phones"}


def _aligned(tier: str, items: Iterable[Any]) -> list[Interval]:
    """Items of an alignment: their times count from the start of the recording, also in a cut."""
    return [Interval(tier, max(item.start, 0.0), max(item.end, 0.0), item.symbol) for item in items if item.symbol]
