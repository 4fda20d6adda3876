"""What features are held against: the labels of every block of frames, the two splits, and the shuffled labels.

Clips are dealt to two sides, whole speakers where there are at least four, else single clips: what is chosen (label,
lag, threshold) is chosen on the one, and every score is of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from freud.activations import split_clips
from freud.corpus import Corpus
from freud.errors import FreudError
from freud.naming.blocks import Pieces
from freud.naming.labels import Label, LabelBank
from freud.naming.sources import batches

LEAST_SPEAKERS = 4
LEAST_FRAMES = 20  # with a label, on each side
LEAST_CLIPS = 2
GROUPS = 20  # of held-out clips or speakers, for the bootstrap
RANKS = 512  # bins in which the values of a continuous label are ranked
SAMPLE = 65_536  # frames from which the edges of those bins are taken

Sound = Callable[[int], np.ndarray]
"""Gives the `acoustics` of a clip, by its number."""


@dataclass(frozen=True)
class Split:
    """Two sides of the clips.

    Attributes:
        by: "speaker" or "clip": what was dealt as a whole.
        fit, held: [clips] bool.
        group: [clips] which of `groups` of the bootstrap a held-out clip is in. unit: what the groups are made of.
    """

    by: str
    fit: np.ndarray
    held: np.ndarray
    group: np.ndarray
    groups: int
    unit: str


def split(corpus: Corpus, frames: np.ndarray, by: str = "auto", held_out: float = 0.5, seed: int = 0) -> Split:
    """Deal the clips that have frames to two sides.

    Args:
        corpus: whose clips.
        frames: [clips] frames of each; clips without any are on neither side.
        by: "speaker", "clip", or "auto": by speaker where every clip has one and there are at least four.
        held_out: share of the speakers or clips on the side that is scored.
        seed: another seed deals otherwise.

    Raises:
        FreudError: fewer than two clips or speakers, or clips without a speaker and by="speaker".
    """
    present = frames > 0
    ids = np.array(corpus.table["id"].to_pylist(), object)
    speakers = np.array([s or "" for s in corpus.table["speaker"].to_pylist()], object)
    known = set(speakers[present]) - {""}
    complete = all(speakers[present])
    if by == "auto":
        by = "speaker" if complete and len(known) >= LEAST_SPEAKERS else "clip"
    if by == "speaker" and not (complete and len(known) >= 2):
        raise FreudError("split by speaker: expected a speaker for every clip, and two of them; use --split clip")
    units = speakers if by == "speaker" else ids
    _, chosen = split_clips(sorted(set(units[present])), held_out, seed)
    if not chosen:
        raise FreudError(f"{corpus.path or corpus.root}: one clip cannot be split; expected at least two")
    held = present & np.isin(units, chosen)
    many = by == "speaker" and len(chosen) >= GROUPS // 2
    grouped = units if many else ids
    members = sorted(set(grouped[held]))
    groups = min(GROUPS, len(members))
    of = {member: i % groups for i, member in enumerate(members)}
    group = np.array([of.get(member, 0) for member in grouped])
    return Split(by, present & ~held, held, group, groups, "speaker" if many else "clip")


class Examples(NamedTuple):
    """The labels of a block."""

    has: np.ndarray  # [frames, labels] bool: has the label; continuous: it is defined
    weight: np.ndarray  # [frames, labels] float32: 1; continuous: rank on this side, -0.5 ... 0.5
    group: np.ndarray  # [frames] int64


class ExampleBank:
    """Labels that occur often enough on both sides, as blocks of frames need them.

    Args:
        bank: all labels of the corpus.
        pieces: every frame there is.
        sides: the split.
        sound: for labels measured on the audio.
        seed: of the shuffles.

    Attributes:
        labels: the labels kept. fit_positives, positives, clips: for each, frames on the two sides, held-out clips.
        squares: for each continuous label the sum of squared ranks in each held-out group, [labels, groups].
    """

    def __init__(
        self, bank: LabelBank, pieces: Pieces, sides: Split, sound: Sound | None = None, *, seed: int = 0
    ) -> None:
        self.bank, self.sides, self.sound, self.seed = bank, sides, sound, seed
        clips = len(bank.clip_ids)
        self.frames = np.bincount(pieces.clip, pieces.rows, clips).astype(np.int64)
        self._held_clip: tuple[int, np.ndarray] = (-1, np.zeros((0, 0)))
        self._chosen = np.arange(len(bank.labels))
        self._continuous = np.array([label.continuous for label in bank.labels])
        self._ranks = np.zeros((2, len(bank.labels), RANKS))
        self._edges = self._rank_edges(pieces)
        self._count(pieces)
        self._shuffled = self._clip_labels()

    @property
    def labels(self) -> list[Label]:
        return [self.bank.labels[i] for i in self._chosen]

    def _matrix(self, clip: int) -> np.ndarray:
        if self._held_clip[0] != clip:
            sound = self.sound(clip) if self.sound is not None and self.bank.needs_sound else None
            self._held_clip = clip, self.bank.frames(clip, int(self.frames[clip]), sound)
        return self._held_clip[1]

    def _rows(self, pieces: Pieces) -> np.ndarray:
        """All labels of the bank on the frames of a block, [frames, labels]."""
        spans = zip(pieces.clip, pieces.first_frame, pieces.rows, strict=True)
        return np.concatenate([self._matrix(int(c))[f : f + n] for c, f, n in spans])

    def _walk(self, pieces: Pieces, clips: np.ndarray) -> Iterator[tuple[Pieces, np.ndarray]]:
        for batch in batches(pieces, clips):
            yield batch, self._rows(batch)

    def _rank_edges(self, pieces: Pieces) -> np.ndarray:
        """Edges of the bins that values of continuous labels are ranked in, [labels, RANKS - 1]."""
        stride = max(1, -(-pieces.frames // SAMPLE))
        present = self.sides.fit | self.sides.held
        sample = [rows[::stride, self._continuous].copy() for _, rows in self._walk(pieces, present)]
        values = np.concatenate(sample)
        edges = np.full((len(self._continuous), RANKS - 1), np.inf)
        for column, label in enumerate(np.flatnonzero(self._continuous)):
            defined = values[~np.isnan(values[:, column]), column]
            if len(defined):
                edges[label] = np.quantile(defined, np.arange(1, RANKS) / RANKS)
        return edges

    def _count(self, pieces: Pieces) -> None:
        labels, clips = len(self.bank.labels), len(self.frames)
        positives = np.zeros((2, labels), np.int64)
        with_label = np.zeros((2, labels), np.int64)
        counts = np.zeros((2, labels, RANKS))
        for side, chosen in enumerate((self.sides.fit, self.sides.held)):
            seen = np.zeros((clips, labels), bool) if clips < 100_000 else None
            for batch, rows in self._walk(pieces, chosen):
                has = self._has(rows)
                positives[side] += has.sum(0)
                clip = batch.expand(batch.clip)
                for label in np.flatnonzero(self._continuous):
                    defined = rows[has[:, label], label]
                    bins = np.searchsorted(self._edges[label], defined, side="right")
                    counts[side, label] += np.bincount(bins, minlength=RANKS)
                starts = batch.starts()
                any_here = np.logical_or.reduceat(has, starts, axis=0)
                if seen is not None:
                    seen[clip[starts]] |= any_here
                else:
                    with_label[side] += any_here.sum(0)
            if seen is not None:
                with_label[side] = seen.sum(0)
            below = np.cumsum(counts[side], 1) - counts[side] / 2
            self._ranks[side] = below / np.maximum(counts[side].sum(1, keepdims=True), 1) - 0.5
        enough = ((positives >= LEAST_FRAMES) & (with_label >= LEAST_CLIPS)).all(0)
        everywhere = ~self._continuous & (positives.sum(0) == self.frames[self.sides.fit | self.sides.held].sum())
        self._chosen = np.flatnonzero(enough & ~everywhere)
        if not len(self._chosen):
            raise FreudError(
                f"{self.bank.corpus.path or self.bank.corpus.root}: no label has {LEAST_FRAMES} frames in "
                f"{LEAST_CLIPS} clips on both sides of the split; name with more clips"
            )
        self.fit_positives, self.positives = positives[:, self._chosen]
        self.clips = with_label[1, self._chosen]

    def _has(self, rows: np.ndarray) -> np.ndarray:
        return np.where(self._continuous, ~np.isnan(rows), rows > 0)

    def block(self, pieces: Pieces) -> Examples:
        """The labels of a block's frames; a block is of one side."""
        rows = self._rows(pieces)
        side = int(self.sides.held[pieces.clip[0]])
        has = self._has(rows)[:, self._chosen]
        weight = np.ones(has.shape, np.float32)
        for column, label in enumerate(self._chosen):
            if self._continuous[label]:
                bins = np.searchsorted(self._edges[label], rows[:, label], side="right")
                weight[:, column] = self._ranks[side, label][np.minimum(bins, RANKS - 1)]
        return Examples(has, weight, pieces.expand(self.sides.group[pieces.clip]))

    def _clip_labels(self) -> np.ndarray:
        """[clips, labels kept]: labels that never change within a clip, as columns of clips; others are 0."""
        found = np.zeros((len(self.frames), len(self._chosen)), bool)
        for column, label in enumerate(self.labels):
            if label.unit != "frame":
                name, kind = label.id.split(":", 1)[1], {"sound": "class"}.get(label.kind, label.kind)
                found[:, column] = [value == name for value in self.bank.corpus.table[kind].to_pylist()]
        return found

    def shuffles(self, pieces: Pieces, count: int) -> Callable[[int, np.ndarray], np.ndarray]:
        """The null: shuffled labels on a block, made one label at a time.

        Labels of frames are shifted around in their clip, each clip by a random distance that is not short; so they
        keep how long they last and how they follow each other. Labels of clips and speakers go to other clips and
        speakers of the same side.

        Returns:
            a function of (label's column, its values [frames]) to [frames, count].
        """
        frames = pieces.frames
        starts, rows = pieces.expand(pieces.starts()), pieces.expand(pieces.rows)
        offsets = np.stack(
            [
                np.random.default_rng([self.seed, int(c), int(f)]).integers(max(1, n // 8), max(2, n - n // 8), count)
                for c, f, n in zip(pieces.clip, pieces.first_frame, pieces.rows, strict=True)
            ]
        )
        place = (
            starts[:, None] + (np.arange(frames)[:, None] - starts[:, None] - pieces.expand(offsets)) % rows[:, None]
        )
        clip = pieces.expand(pieces.clip)

        def of(column: int, values: np.ndarray) -> np.ndarray:
            unit = self.labels[column].unit
            if unit == "frame":
                return values[place]
            others = self._permutations(unit, count)[clip]  # [frames, count] clips
            return self._shuffled[others, column].astype(np.float32)

        return of

    def _permutations(self, unit: str, count: int) -> np.ndarray:
        """For each clip, the clip whose label it gets in each of `count` shuffles, [clips, count]."""
        key = (unit, count)
        if key not in self._permuted:
            held = np.flatnonzero(self.sides.held)
            table = np.tile(np.arange(len(self.frames))[:, None], (1, count))
            rng = np.random.default_rng([self.seed, 1])
            if unit == "speaker" and self.sides.by == "speaker":
                speakers = np.array([s or "" for s in self.bank.corpus.table["speaker"].to_pylist()], object)
                names, first = np.unique(speakers[held].astype(str), return_index=True)
                of = np.searchsorted(names, speakers[held].astype(str))
                for k in range(count):
                    table[held, k] = held[first[rng.permutation(len(names))[of]]]
            else:
                for k in range(count):
                    table[held, k] = rng.permutation(held)
            self._permuted[key] = table
        return self._permuted[key]

    @property
    def _permuted(self) -> dict[tuple[str, int], np.ndarray]:
        return self.__dict__.setdefault("_permuted_tables", {})


def labels_table(examples: ExampleBank) -> dict[str, object]:
    """Columns of `labels`."""
    labels = examples.labels
    return {
        "label": [label.id for label in labels],
        "kind": [label.kind for label in labels],
        "text": [label.text for label in labels],
        "continuous": [label.continuous for label in labels],
        "fit_positives": examples.fit_positives,
        "positives": examples.positives,
        "frames": pa.repeat(int(examples.frames[examples.sides.held].sum()), len(labels)).to_numpy(),
        "clips": examples.clips,
    }
