"""Writing the tiers of a corpus for other programs: a TextGrid a recording, or CSV, or Audacity's labels a tier.

Files lie as the recordings do, with their names, one for each channel where clips are channels
(`call.channel-0.TextGrid`), and times count from the start of the recording; so what is exported beside the recordings,
or given with `labels`, is imported again as it was.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from freud import artifacts
from freud.corpus.table import Clip, Corpus
from freud.corpus.tiers import Interval, Labeled, audacity, textgrid, tier_csv
from freud.errors import FreudError, UnknownNameError

FORMATS = ("textgrid", "audacity", "csv")


@dataclass(frozen=True)
class Exported:
    """What an export has written."""

    path: Path
    recordings: int
    files: int
    intervals: int


def tier_text(intervals: Sequence[Labeled], format: str, duration: float) -> str:
    """Labels of one recording in the format of another program.

    Args:
        intervals: of any tiers; Audacity has no tiers, so give it those of one.
        format: one of `FORMATS`.
        duration: of the recording in seconds.

    Raises:
        UnknownNameError: there is no such format.
        FreudError: a time makes no sense.
    """
    writers: dict[str, Callable[[], str]] = {
        "textgrid": lambda: textgrid(intervals, duration),
        "audacity": lambda: audacity(intervals),
        "csv": lambda: tier_csv(intervals),
    }
    if format not in writers:
        raise UnknownNameError(f"no format {format!r}: there are {', '.join(FORMATS)}")
    return writers[format]()


def export_tiers(
    corpus: Corpus,
    out: str | os.PathLike[str],
    *,
    format: str = "textgrid",
    tiers: Sequence[str] = (),
    progress: Callable[[Iterable[Clip]], Iterable[Clip]] = iter,
) -> Exported:
    """Write the tiers of every recording that has any.

    Args:
        corpus: where from.
        out: the folder; a file in it that differs is not replaced.
        format: one of `FORMATS`.
        tiers: which; all by default.
        progress: wraps the clips, such as tqdm.

    Raises:
        UnknownNameError: no such format or tier.
        FreudError: a file is there already and differs, or the disk is full.
    """
    tier_text([], "csv" if format == "textgrid" else format, 0)  # whether there is such a format
    if unknown := [tier for tier in tiers if tier not in corpus.tiers]:
        raise UnknownNameError(f"no tier {unknown[0]!r}: there are {', '.join(corpus.tiers) or 'none'}")
    out = Path(out)
    recordings = files = count = 0
    for path, clips in itertools.groupby(progress(corpus), key=lambda clip: clip.path):
        end, channels = 0.0, dict[int | None, dict[Interval, None]]()  # parts of a recording may overlap
        for clip in clips:
            end = max(end, clip.offset + clip.duration)
            for row in corpus.segments(clip.id):
                if not tiers or row.tier in tiers:
                    interval = Interval(row.tier, clip.offset + row.start, clip.offset + row.end, row.label)
                    channels.setdefault(clip.channel, {})[interval] = None
        recordings += bool(channels)
        for channel, rows in channels.items():
            count += len(rows)
            for name, content in _files(path, channel, list(rows), format, end):
                _write(out / name, content)
                files += 1
    return Exported(out, recordings, files, count)


def _files(path: str, channel: int | None, rows: list[Interval], format: str, end: float) -> list[tuple[str, str]]:
    """The files of a recording or one of its channels, as (path below the output folder, content)."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:  # a recording elsewhere; names there may be the same
        pure = PurePosixPath(f"{pure.stem}-{hashlib.sha256(path.encode()).hexdigest()[:8]}.x")
    stem = str(pure.with_suffix("")) + ("" if channel is None else f".channel-{channel}")
    if format == "textgrid":
        return [(f"{stem}.TextGrid", tier_text(rows, format, end))]
    if format == "csv":
        return [(f"{stem}.csv", tier_text(rows, format, end))]
    by_tier: dict[str, list[Interval]] = {}
    for row in rows:
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in row.tier) or "labels"
        by_tier.setdefault(name, []).append(row)
    return [(f"{stem}.{name}.txt", tier_text(rows, format, end)) for name, rows in by_tier.items()]


def _write(path: Path, content: str) -> None:
    data = content.encode()
    if path.is_file():
        if path.read_bytes() == data:
            return
        raise FreudError(f"{path}: is there already and differs; choose another --out or delete it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FreudError(f"{path.parent}: cannot create the folder: {error.strerror}") from None
    with artifacts.replacing(path) as temporary:
        temporary.write_bytes(data)
