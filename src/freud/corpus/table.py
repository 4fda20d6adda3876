"""What a corpus is once imported: a table of clips and a table of labeled intervals.

Both stay pyarrow tables, and a `Clip` is made when asked for: a million clips cost what their columns do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from freud import audio
from freud.errors import UnknownNameError

CLIPS, SEGMENTS = "clips.parquet", "segments.parquet"

CLIP_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("path", pa.string()),  # below the corpus root, with forward slashes; or absolute
        ("offset", pa.float64()),  # seconds into the file
        ("duration", pa.float64()),  # seconds
        ("sample_rate", pa.int32()),  # of the file
        ("transcript", pa.string()),
        ("class", pa.string()),
        ("speaker", pa.string()),
        ("split", pa.string()),
        ("sex", pa.string()),  # of the speaker, as the corpus has it: female, male or another word
        ("channel", pa.int32()),  # of the file, from 0; null: the mean of all
    ]
)
SEGMENT_SCHEMA = pa.schema(  # the rows of a clip are together, in the order of the clips, then by tier and start
    [
        ("clip_id", pa.string()),
        ("tier", pa.string()),
        ("start", pa.float64()),  # seconds into the clip
        ("end", pa.float64()),
        ("label", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording, or a part of one, and what is known about it as a whole."""

    id: str
    path: str
    offset: float
    duration: float
    sample_rate: int
    transcript: str | None
    label: str | None
    """The sound class or keyword; the column `class` of the table."""
    speaker: str | None
    split: str | None
    sex: str | None = None
    """Of the speaker: "female", "male", or another word that the corpus has."""
    channel: int | None = None
    """Which channel of the file it is, from 0; None: the mean of all."""

    @property
    def name(self) -> str:
        """What to call the clip in front of people: its path, with its channel and start where it has them."""
        channel = "" if self.channel is None else f" channel {self.channel}"
        return f"{self.path}{channel}" + (f" @ {self.offset:g} s" if self.offset else "")


@dataclass(frozen=True, slots=True)
class Segment:
    """A labeled interval of a clip, in clip seconds; a point has its start as its end."""

    clip_id: str
    tier: str
    start: float
    end: float
    label: str


class Corpus:
    """Clips in a fixed order: `len(corpus)`, `for clip in corpus`, `corpus[clip_id]`.

    Attributes:
        path: the folder that `import_corpus` wrote, or None for a corpus that is only in memory.
        root: the folder that the clips' paths are relative to.
        fingerprint: identifies the content of both tables, wherever the files lie.
        problems: what was left out on import, or not taken as it stands, as {"path": ..., "reason": ...}.
        unused: files of the folder that became neither clips nor labels; `problems` names them.
        table: the clips, with the columns of `clips.parquet`.
    """

    def __init__(
        self,
        path: Path | None,
        root: Path,
        manifest: dict[str, Any],
        clips: pa.Table,
        segments: Callable[[], pa.Table],
    ) -> None:
        self.path = path
        self.root = root
        self.fingerprint: str = manifest["fingerprint"]
        self.layout: str = manifest["parameters"]["layout"]
        self.problems: list[dict[str, str]] = manifest["problems"]
        self.unused: int = manifest.get("unused", 0)
        self.table = clips
        self._read_segments = segments

    def __len__(self) -> int:
        return self.table.num_rows

    def __iter__(self) -> Iterator[Clip]:
        for batch in self.table.to_batches(max_chunksize=1024):
            for row in batch.to_pylist():
                yield _clip(row)

    def __getitem__(self, clip_id: str) -> Clip:
        row = pc.index(self.table["id"], clip_id).as_py()
        if row < 0:
            examples = ", ".join(self.table["id"].slice(0, 3).to_pylist())
            raise UnknownNameError(f"no clip with id {clip_id!r}: there are {len(self)}, such as {examples}")
        return self.at(row)

    def at(self, row: int) -> Clip:
        """The clip of a row of `table`."""
        return _clip(self.table.slice(row, 1).to_pylist()[0])

    def __repr__(self) -> str:
        return f"<Corpus of {len(self)} clips, {self.hours:.2f} h, at {self.path or self.root}>"

    @property
    def clips(self) -> list[Clip]:
        """All clips as a list; for a very large corpus iterate instead."""
        return list(self)

    @property
    def hours(self) -> float:
        """Total duration in hours."""
        return float(self.table["duration"].to_numpy().sum()) / 3600

    def audio_path(self, clip: Clip) -> Path:
        """The file that a clip is in; `samples` and `windows` read its part and channel of it."""
        return self.root / clip.path

    def samples(self, clip: Clip, start: float = 0.0, duration: float | None = None) -> np.ndarray:
        """The sound of a clip, or `duration` seconds of it from `start` on: float32 [samples], 16 kHz mono.

        Raises:
            AudioError: its file cannot be read, or has become shorter.
        """
        duration = clip.duration - start if duration is None else duration
        return audio.load(self.audio_path(clip), clip.offset + start, duration, clip.channel)

    def windows(self, clip: Clip, window_samples: int) -> Iterator[tuple[int, np.ndarray]]:
        """The windows of a clip, as `freud.audio.windows`.

        Raises:
            AudioError: as `samples`.
        """
        return audio.windows(self.audio_path(clip), window_samples, clip.offset, clip.duration, clip.channel)

    @functools.cached_property
    def segment_table(self) -> pa.Table:
        """The labeled intervals, with the columns of `segments.parquet`."""
        return self._read_segments()

    @functools.cached_property
    def tiers(self) -> list[str]:
        """The names of all tiers, sorted."""
        return sorted(self.segment_table["tier"].unique().to_pylist())

    def segments(self, clip_id: str, tier: str | None = None) -> list[Segment]:
        """The labeled intervals of a clip, by tier and start; of one tier only, if given.

        Raises:
            UnknownNameError: no such clip, or no clip has such a tier.
        """
        if tier is not None and tier not in self.tiers:
            raise UnknownNameError(f"no tier {tier!r}: there are {', '.join(self.tiers) or 'none'}")
        ids, ends = self._runs
        run = pc.index(ids, clip_id).as_py()
        if run < 0:
            self[clip_id]  # raises if there is no such clip
            return []
        start = int(ends[run - 1]) if run else 0
        rows = self.segment_table.slice(start, int(ends[run]) - start).to_pylist()
        return [Segment(**row) for row in rows if tier is None or row["tier"] == tier]

    @functools.cached_property
    def _runs(self) -> tuple[pa.Array, np.ndarray]:
        """The ids of the clips that have segments, and where the rows of each end."""
        counts = self.segment_table["clip_id"].value_counts()  # in the order of the table
        return counts.field("values"), np.cumsum(counts.field("counts").to_numpy())


def _clip(row: dict[str, Any]) -> Clip:
    return Clip(label=row.pop("class"), **row)
