"""Shuffled batches of frames for training, from a store or straight from the model.

Both sources deal out *pools*: some hundred thousand frames drawn from places all over the corpus, shuffled in memory.
A pool is a function of (seed, epoch, pool number) alone, so a stream resumes exactly from three integers and never
holds more than one pool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from freud.activations.store import SiteActivations
from freud.errors import FreudError

POOL_BYTES = 128 * 2**20  # of float32 frames
RUN = 128  # consecutive frames read together: 2.5 s of one clip
RUNS_TOGETHER = 32  # in one block of `ordered`


class FrameSource(Protocol):
    """Where frames come from: `StoredFrames` or `ModelFrames`.

    Attributes:
        width: length of a frame. frames: how many there are (from a model: by the length each file claims).
        clips: ids of the clips they are of.
        origin: model, its fingerprint, and site. fingerprint: of the data they come from. corpus: of its corpus.
        problems: clips that could not be read so far, by name, with the reason.
    """

    width: int
    frames: int
    clips: list[str]
    origin: dict[str, Any]
    fingerprint: str
    corpus: str
    problems: dict[str, str]

    def only(self, clips: Sequence[str]) -> FrameSource:
        """The same source, of these clips alone."""
        ...

    def pools(self) -> int:
        """Number of pools in an epoch."""
        ...

    def pool(self, seed: int, epoch: int, number: int) -> torch.Tensor:
        """One pool, [frames, width] float32, in no particular order; always the same for the same arguments."""
        ...

    def ordered(self) -> Iterator[torch.Tensor]:
        """All frames once, in order, in blocks [frames, width] float32: for evaluation."""
        ...


def split_clips(clip_ids: Sequence[str], validation: float, seed: int) -> tuple[list[str], list[str]]:
    """Divide clips into training and validation parts, by a hash of their ids.

    A clip stays on its side when others are added as far as the rounding allows; frames of one clip never land on
    both sides.

    Args:
        clip_ids: all ids.
        validation: share of the clips to hold out; at least one clip, and not all, if it is above zero and there are
            two or more.
        seed: another seed gives another division.
    """
    if not 0 <= validation < 1:
        raise FreudError(f"validation {validation}: expected a share from 0 up to, not including, 1")
    ranked = sorted(clip_ids, key=lambda clip: hashlib.sha256(f"{seed}:{clip}".encode()).digest())
    few = validation == 0 or len(ranked) < 2
    held = 0 if few else min(max(1, round(validation * len(ranked))), len(ranked) - 1)
    return sorted(ranked[held:]), sorted(ranked[:held])


class StoredFrames:
    """Frames of one site of a store, of all clips or of some."""

    def __init__(self, activations: SiteActivations, clips: Sequence[str] | None = None) -> None:
        self.activations = activations
        self.width = activations.width
        self.origin = activations.origin
        self.fingerprint: str = activations.store.manifest["fingerprint"]
        self.corpus: str = activations.store.manifest["corpus"]["fingerprint"]
        self.problems: dict[str, str] = {}  # such clips are not in the store
        pieces = activations.store.pieces
        ids = activations.store.clip_ids
        if clips is not None:
            wanted = set(clips)
            keep = np.array([clip in wanted for clip in ids], bool)
            pieces = pieces[keep[pieces.clip]]
        self.clips = [ids[clip] for clip in np.unique(pieces.clip)]
        self.frames = int(pieces.rows.sum())
        if not self.frames:
            raise FreudError(f"{activations.store.path}: no frames of the clips asked for")
        runs = pieces.cut(RUN)
        self.runs = np.stack([runs.shard, runs.first_row, runs.rows], axis=1)
        self._pools = -(-len(self.runs) // max(1, POOL_BYTES // (4 * self.width * RUN)))

    def only(self, clips: Sequence[str]) -> StoredFrames:
        return StoredFrames(self.activations, clips)

    def pools(self) -> int:
        return self._pools

    def pool(self, seed: int, epoch: int, number: int) -> torch.Tensor:
        chosen = self.runs[deal(len(self.runs), self._pools, seed, epoch, number)]
        frames = torch.empty(int(chosen[:, 2].sum()), self.width)
        at = 0
        for shard in np.unique(chosen[:, 0]):
            rows = self.activations.shard(int(shard))
            for _, first, count in chosen[chosen[:, 0] == shard]:
                frames[at : at + count] = rows[first : first + count]
                at += count
        return frames

    def ordered(self) -> Iterator[torch.Tensor]:
        for shard in np.unique(self.runs[:, 0]):
            rows = self.activations.shard(int(shard))
            runs = self.runs[self.runs[:, 0] == shard]
            for start in range(0, len(runs), RUNS_TOGETHER):
                block = runs[start : start + RUNS_TOGETHER]
                yield torch.cat([rows[first : first + count] for _, first, count in block]).float()


def deal(count: int, pools: int, seed: int, epoch: int, number: int) -> np.ndarray:
    """Which of `count` things are in pool `number` of an epoch, ascending. Pools differ by one in size, at most."""
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return np.sort(order[number * count // pools : (number + 1) * count // pools])


class Position(NamedTuple):
    """Where a stream stands: the batch that comes next."""

    epoch: int = 0
    pool: int = 0
    batch: int = 0


class Batch(NamedTuple):
    """One batch and the position after it."""

    frames: torch.Tensor  # [batch, width] float32
    next: Position


class Stream:
    """An endless stream of shuffled batches that starts at any position.

    The last frames of a pool that do not fill a batch are left out; other ones are, in the next epoch. A pool smaller
    than a batch is one batch.

    Attributes:
        largest_norm: frames with a greater norm are left out.
    """

    def __init__(self, source: FrameSource, batch_size: int, *, seed: int, largest_norm: float = float("inf")) -> None:
        if batch_size < 1:
            raise FreudError(f"batch_size {batch_size}: expected at least 1")
        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.largest_norm = largest_norm
        self._sampled: tuple[int, torch.Tensor] | None = None

    def sample(self, count: int) -> torch.Tensor:
        """About `count` frames [<= 2 count, width] of the first pool, which a stream from the start then has at hand.

        Raises:
            FreudError: none of the clips can be read.
        """
        for number in range(self.source.pools()):
            pool = self.source.pool(self.seed, 0, number)
            if len(pool):
                self._sampled = number, pool
                return pool[:: max(1, len(pool) // count)].clone()
        raise self._unreadable()

    def from_position(self, position: Position | Sequence[int] = Position()) -> Iterator[Batch]:  # noqa: B008
        """Batches from `position` on, for ever."""
        epoch, pool, batch = position
        pools = self.source.pools()
        empty = 0  # pools in a row: clips straight from files may all turn out unreadable
        while empty < pools:
            frames = self._pool(epoch, pool)
            order = torch.from_numpy(np.random.default_rng([self.seed, epoch, pool]).permutation(len(frames)))
            empty = 0 if len(frames) else empty + 1
            size = min(self.batch_size, max(1, len(frames)))
            count = len(frames) // size
            following = Position(epoch, pool + 1) if pool + 1 < pools else Position(epoch + 1)
            for i in range(batch, count):
                yield Batch(
                    frames[order[i * size : (i + 1) * size]],
                    Position(epoch, pool, i + 1) if i + 1 < count else following,
                )
            epoch, pool, batch = following
            del frames  # before the next pool: two would double the memory
        raise self._unreadable()

    def _pool(self, epoch: int, number: int) -> torch.Tensor:
        sampled, self._sampled = self._sampled, None
        if sampled is not None and (epoch, number) == (0, sampled[0]):
            frames = sampled[1]
        else:
            del sampled
            frames = self.source.pool(self.seed, epoch, number)
        if self.largest_norm == float("inf"):
            return frames
        return frames[~(frames.norm(dim=1) > self.largest_norm)]  # NaN stays, for the training to find

    def _unreadable(self) -> FreudError:
        return FreudError(f"{self.source.origin['site']}: none of the {len(self.source.clips)} clips can be read")
