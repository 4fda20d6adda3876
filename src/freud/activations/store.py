"""Reading a folder of collected activations.

The frames of all sites lie in `frames-NNNNN.safetensors`, one tensor `[rows, width]` a site, in the order of the
corpus; `clips.parquet` says which rows belong to which clip. Shards are memory-mapped and verified on first use, so
opening a store of any size costs nothing and a damaged shard is named, never read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors import safe_open

from freud import artifacts
from freud.artifacts import Artifact
from freud.corpus import Corpus
from freud.corpus import read as read_corpus
from freud.errors import FreudError, UnknownNameError

KIND = "collect"


@dataclass(frozen=True)
class Pieces:
    """Runs of consecutive frames of one clip in one shard, as columns of equal length, in corpus order.

    A clip has one piece unless it crosses a shard boundary. `first_frame` counts from the start of the clip.
    """

    clip: np.ndarray  # index into the corpus's clips
    shard: np.ndarray
    first_row: np.ndarray
    rows: np.ndarray
    first_frame: np.ndarray

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, which: np.ndarray | slice) -> Pieces:
        return Pieces(
            self.clip[which],
            self.shard[which],
            self.first_row[which],
            self.rows[which],
            self.first_frame[which],
        )

    def cut(self, longest: int) -> Pieces:
        """The same frames in pieces of at most `longest` rows."""
        parts = -(-self.rows // longest)
        piece = np.repeat(np.arange(len(self)), parts)
        start = (np.arange(len(piece)) - np.repeat(np.cumsum(parts) - parts, parts)) * longest
        return Pieces(
            self.clip[piece],
            self.shard[piece],
            self.first_row[piece] + start,
            np.minimum(longest, self.rows[piece] - start),
            self.first_frame[piece] + start,
        )


class Activations:
    """A finished folder of activations. `activations[site]` is the view of one site."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.path: Path = artifact.path
        self.manifest: dict[str, Any] = artifact.manifest

    def __getitem__(self, site: str) -> SiteActivations:
        if site not in self.manifest["sites"]:
            raise UnknownNameError(f"{self.path}: has no site {site!r}; it holds {', '.join(self.sites)}")
        return SiteActivations(self, site)

    @property
    def sites(self) -> list[str]:
        """Names of the collected sites, in the order of the model."""
        return list(self.manifest["sites"])

    @property
    def frames(self) -> int:
        """Number of valid frames, over all clips."""
        return self.manifest["frames"]

    @property
    def corpus_path(self) -> Path:
        """Folder of the corpus, or of audio, that these frames were collected from, if it is where it was."""
        recorded = self.manifest["corpus"]
        beside = self.path.parent / recorded["beside"]
        return beside if beside.is_dir() else Path(recorded["path"])

    def open_corpus(
        self, corpus: Corpus | Path | str | None = None, *, new_labels: bool = False, otherwise: str = ""
    ) -> Corpus:
        """The corpus that these frames were collected from.

        Args:
            corpus: the corpus or its folder, if it is not where it was.
            new_labels: whether one with the same clips and other labels will do.
            otherwise: ends the message of an error: what to do, or what is not possible.

        Raises:
            FreudError: there is no corpus, or another one.
            DamagedFileError: it cannot be read.
        """
        otherwise = otherwise or f"give the corpus that {self.path} was collected from as --corpus"
        source = self.corpus_path if corpus is None else corpus
        if not isinstance(source, Corpus):
            if not Path(source).exists():
                raise FreudError(f"{source}: no such corpus; {otherwise}")
            source = read_corpus(source)
        if new_labels:
            if source.table["id"].to_pylist() != self.clip_ids:
                raise FreudError(f"{source.path or source.root}: has other clips; {otherwise}")
        elif source.fingerprint != self.manifest["corpus"]["fingerprint"]:
            raise FreudError(f"{source.path or source.root}: is another corpus; {otherwise}")
        return source

    @cached_property
    def shards(self) -> list[str]:
        """File names of the shards, in order."""
        return sorted(name for name in self.manifest["files"] if name.endswith(".safetensors"))

    @cached_property
    def clip_ids(self) -> list[str]:
        """Ids of all the clips of the corpus, by clip index; those that could not be read have no pieces."""
        return pq.read_table(self.artifact.file("clip_ids.parquet"))["id"].to_pylist()

    @cached_property
    def clip_numbers(self) -> dict[str, int]:
        """The clip index of each id."""
        return {clip_id: number for number, clip_id in enumerate(self.clip_ids)}

    @cached_property
    def pieces(self) -> Pieces:
        """Where the frames of each clip lie."""
        table = pq.read_table(self.artifact.file("clips.parquet"))
        return Pieces(*(table[name].to_numpy() for name in ("clip", "shard", "first_row", "rows", "first_frame")))

    def open_shard(self, shard: int) -> Any:
        """A verified, memory-mapped safetensors file (`get_tensor(site)` costs no copy until it is touched)."""
        return safe_open(self.artifact.file(self.shards[shard]), framework="pt")  # pyright: ignore[reportArgumentType]


class SiteActivations:
    """The frames of one site: what `train` and `index` take.

    Attributes:
        site: canonical name of the site.
        width: length of one frame.
        frames_per_second: time resolution.
        privileged: whether single coordinates are neurons with a nonlinearity of their own.
    """

    def __init__(self, store: Activations, site: str) -> None:
        self.store = store
        self.site = site
        facts = store.manifest["sites"][site]
        self.width: int = facts["width"]
        self.frames_per_second: float = facts["frames_per_second"]
        self.privileged: bool = facts["privileged"]
        self.norm: dict[str, Any] = facts["norm"]

    @property
    def frames(self) -> int:
        """Number of valid frames."""
        return self.store.frames

    @property
    def origin(self) -> dict[str, Any]:
        """What these frames are frames of: model, its fingerprint, and the site."""
        return {**self.store.manifest["model"], "site": self.site}

    def shard(self, shard: int) -> torch.Tensor:
        """All rows of one shard, [rows, width] in the stored dtype, memory-mapped."""
        return self.store.open_shard(shard).get_tensor(self.site)

    def blocks(self) -> Iterator[tuple[int, Pieces, torch.Tensor]]:
        """Every shard in turn: its number, its pieces, and its rows [rows, width]."""
        pieces = self.store.pieces
        for shard in range(len(self.store.shards)):
            yield shard, pieces[pieces.shard == shard], self.shard(shard)

    def clip(self, clip_id: str) -> torch.Tensor:
        """The frames of one clip, [frames, width] float32, in time order.

        Raises:
            UnknownNameError: no such clip, or it could not be read when the activations were collected.
        """
        return torch.cat([self.shard(shard)[rows].float() for shard, rows in self._rows(clip_id)])

    def column(self, clip_id: str, coordinate: int) -> np.ndarray:
        """One coordinate of the frames of a clip, [frames] float32: `clip(clip_id)[:, coordinate]`, reading no other.

        Raises:
            UnknownNameError: as `clip`.
        """
        return torch.cat([self.shard(shard)[rows, coordinate].float() for shard, rows in self._rows(clip_id)]).numpy()

    def _rows(self, clip_id: str) -> list[tuple[int, slice]]:
        """The shards that a clip lies in, and which of their rows are its."""
        number = self.store.clip_numbers.get(clip_id)
        pieces = self.store.pieces
        found = pieces[:0] if number is None else pieces[pieces.clip == number]
        if not len(found):
            raise UnknownNameError(f"{self.store.path}: has no frames of clip {clip_id!r}")
        return [
            (shard, slice(first, first + rows))
            for shard, first, rows in zip(found.shard, found.first_row, found.rows, strict=True)
        ]

    def sample(self, count: int) -> torch.Tensor:
        """About `count` frames spread evenly over the whole store, [<= count, width] float32; always the same ones."""
        stride = max(1, -(-self.frames // count))
        taken, start = [], 0
        for _, _, rows in self.blocks():
            taken.append(rows[(-start) % stride :: stride].float())
            start += len(rows)
        return torch.cat(taken)


def read(path: Path | str) -> Activations:
    """Open a folder written by `collect`.

    Raises:
        FreudError: there is no finished folder of activations at `path`.
    """
    return Activations(artifacts.read(path, KIND))
