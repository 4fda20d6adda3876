"""The label bank: what is true of every frame of a clip, from its tiers and from the sound.

A bank knows which labels there are; `frames` gives them for one clip as a matrix, made when asked for and never kept.
Frame t has the label of the interval that holds its middle. A binary label is 0 or 1; a continuous one is a number,
NaN where it is not defined (the pitch of silence).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from freud.corpus import Corpus
from freud.corpus.phones import Phone, is_silence, phone, phone_set
from freud.corpus.units import PHONES, WORDS, tiers_of
from freud.errors import FreudError
from freud.naming.acoustics import MEASURES

KINDS = (
    *("phone", "class", "word", "tier", "boundary", "place", "silence", "sound", "speaker", "sex", "acoustic"),
    *("measure", "time"),
)
Unit = Literal["frame", "clip", "speaker"]
EDGE = 0.1  # seconds that the start and the end of a clip last
PAUSE = 0.2  # seconds before and after speech that count as its pause
LEAST_PAUSE = 0.06  # seconds of silence that make what follows a start of speech
QUIET = 40.0  # dB below the loudest frame of the clip
CLIP_EDGES = frozenset(f"place:{place}" for place in ("clip start", "clip end", "pad edge"))
LEAST = 5  # clips a word, or another label of a tier, must occur in


@dataclass(frozen=True)
class Label:
    """One thing that can be true of a frame.

    Attributes:
        id: kind and name, such as "phone:M".
        text: how it is shown: "/m/".
        continuous: a number rather than yes or no.
        unit: what the null shuffles: frames within a clip, or whole clips or speakers where it never changes within.
    """

    id: str
    kind: str
    text: str
    continuous: bool = False
    unit: Unit = "frame"

    @property
    def lagged(self) -> bool:
        """Whether a feature may come earlier or later: not where the label is a place in the clip, or all of it."""
        return self.unit == "frame" and self.kind != "time" and self.id not in CLIP_EDGES


@dataclass(frozen=True)
class _Tier:
    """The intervals of one tier of the whole corpus, or of one for each speaker, sorted by clip and start."""

    clip_start: np.ndarray  # [clips + 1] first interval of each clip
    start: np.ndarray
    end: np.ndarray
    code: np.ndarray  # into `names`
    names: list[str]
    speaker: np.ndarray  # into `speakers`
    speakers: list[str]
    """What the names of the tiers have beside "words" or "phones": an aligner writes a pair of tiers a speaker."""

    def of(self, clip: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = slice(self.clip_start[clip], self.clip_start[clip + 1])
        return self.start[rows], self.end[rows], self.code[rows]

    def speakers_of(self, clip: int) -> list[str]:
        """The speaker of each interval of a clip."""
        return [self.speakers[i] for i in self.speaker[self.clip_start[clip] : self.clip_start[clip + 1]]]


class _Spoken(NamedTuple):
    """A word or a phone of a clip."""

    start: float
    end: float
    speaker: str


class LabelBank:
    """The labels of a corpus, as they fall on frames.

    Args:
        corpus: clips and tiers.
        frames_per_second: of the site.
        window_frames: frames of a window of the model, if known: where windows begin and whether one is padded.
        words: how many of the most frequent words to take.
        kinds: only labels of these kinds; all if not given.

    Raises:
        FreudError: an unknown kind, or the corpus has none of the labels asked for.
    """

    def __init__(
        self,
        corpus: Corpus,
        frames_per_second: float = 50.0,
        *,
        window_frames: int | None = None,
        words: int = 20,
        kinds: Sequence[str] | None = None,
    ) -> None:
        if unknown := sorted(set(kinds or ()) - set(KINDS)):
            raise FreudError(f"kind of label {unknown[0]!r}: expected some of {', '.join(KINDS)}")
        self.corpus = corpus
        self.rate = frames_per_second
        self.window_frames = window_frames
        self.clip_ids: list[str] = corpus.table["id"].to_pylist()
        phones, spoken = (_speakers_of(unit, corpus.tiers) for unit in (PHONES, WORDS))
        self._phones = _tier(corpus, phones) if phones else None
        self._words = _tier(corpus, spoken) if spoken else None
        self._others = {name: _tier(corpus, {name: ""}) for name in corpus.tiers if name not in {**phones, **spoken}}
        wanted = KINDS if kinds is None else kinds
        self.labels = [label for label in self._known(words) if label.kind in wanted]
        if not self.labels:
            raise FreudError(f"{corpus.path or corpus.root}: has no labels of the kinds {', '.join(wanted)}")
        self.index = {label.id: i for i, label in enumerate(self.labels)}

    @property
    def usable(self) -> np.ndarray:
        """[clips] bool: all, or if some clips have phones or words, those and clips of a sound class.

        Nothing is known of what is said in a clip without tiers, so it is no counterexample to any phone.
        """
        spoken = [np.diff(tier.clip_start) > 0 for tier in (self._phones, self._words) if tier is not None]
        if not spoken:
            return np.ones(len(self.clip_ids), bool)
        return np.logical_or.reduce(spoken) | self.corpus.table["class"].is_valid().to_numpy()

    @property
    def needs_sound(self) -> bool:
        """Whether any label is measured on the audio."""
        return any(label.kind in {"acoustic", "measure"} for label in self.labels)

    @property
    def clip_labels(self) -> np.ndarray:
        """Numbers of the labels that never change within a clip."""
        return np.array([i for i, label in enumerate(self.labels) if label.unit != "frame"], np.int64)

    def _known(self, words: int) -> list[Label]:
        found: list[Label] = []
        self._phone_of: list[Any] = []
        if self._phones is not None:
            written = phone_set(self._phones.names)
            self._phone_of = [phone(name, written) for name in self._phones.names]
            known = {p.name: p for p in reversed(self._phone_of) if p is not None and p.kind in {"vowel", "consonant"}}
            found += [Label(f"phone:{name}", "phone", f"/{p.ipa}/") for name, p in sorted(known.items())]
            found += [Label(f"class:{name}", "class", name) for name in _classes(known.values())]
            found += [Label(f"boundary:phone {edge}", "boundary", f"phone {edge}") for edge in ("onset", "offset")]
        if self._words is not None:
            for name in _frequent(self._words, words):
                found.append(Label(f"word:{name}", "word", f'"{name}"'))
            found += [Label(f"boundary:word {edge}", "boundary", f"word {edge}") for edge in ("onset", "offset")]
            found.append(Label("measure:position in word", "measure", "position in word", continuous=True))
            if self._phones is not None:
                found += [
                    Label(f"place:{p} phone of a word", "place", f"{p} phone of a word") for p in ("first", "last")
                ]
        if self._phones is not None or self._words is not None:
            for name in ("silence", "pause before speech", "pause after speech"):
                found.append(Label(f"silence:{name}", "silence", name))
            found += [Label(f"boundary:speech {edge}", "boundary", f"{edge} of speech") for edge in ("start", "end")]
        for tier, intervals in self._others.items():
            for name in _frequent(intervals, words):
                found.append(Label(f"tier:{tier}={name}", "tier", f"{tier} {name}"))
        columns: tuple[tuple[str, str, Unit], ...]
        columns = (("class", "sound", "clip"), ("speaker", "speaker", "speaker"), ("sex", "sex", "speaker"))
        for column, kind, unit in columns:
            if column in self.corpus.table.column_names:
                for name in _values(self.corpus.table[column]):
                    shown = name if kind == "sound" else f"{kind} {name}"
                    found.append(Label(f"{kind}:{name}", kind, shown, unit=unit))
        found += [Label(f"acoustic:{name}", "acoustic", name) for name in ("voiced", "quiet")]
        found += [Label(f"measure:{name}", "measure", name, continuous=True) for name in MEASURES]
        found += [Label(f"place:{name}", "place", name) for name in ("clip start", "clip end", "pad edge")]
        for name in ("time from clip start", "time to clip end", "frame in window"):
            found.append(Label(f"time:{name}", "time", name, continuous=True))
        return found

    def frames(self, clip: int, count: int, sound: np.ndarray | None = None) -> np.ndarray:
        """The labels of every frame of a clip.

        Args:
            clip: its number in the corpus.
            count: its frames.
            sound: [>= count - 1, 4] from `acoustics`; needed if `needs_sound`.

        Returns:
            [count, labels] float32.
        """
        matrix = np.zeros((count, len(self.labels)), np.float32)
        self._speech(matrix, clip)
        for tier, intervals in self._others.items():
            for start, end, code in zip(*intervals.of(clip), strict=True):
                self._set(matrix, f"tier:{tier}={intervals.names[code].lower()}", start, end)
        row = self.corpus.table.slice(clip, 1).to_pylist()[0]
        for column, kind in (("class", "sound"), ("speaker", "speaker"), ("sex", "sex")):
            at = self.index.get(f"{kind}:{row.get(column)}")
            if at is not None:
                matrix[:, at] = 1
        self._times(matrix)
        if self.needs_sound:
            assert sound is not None
            self._sound(matrix, sound)
        return matrix

    def _span(self, start: float, end: float, count: int) -> tuple[int, int]:
        """First frame, and one past the last, whose middle lies in start..end seconds."""
        first, last = (int(np.ceil(time * self.rate - 0.5 - 1e-6)) for time in (start, end))
        return max(first, 0), min(max(last, 0), count)

    def _set(self, matrix: np.ndarray, label: str, start: float, end: float) -> None:
        at = self.index.get(label)
        if at is not None:
            first, last = self._span(start, end, len(matrix))
            matrix[first:last, at] = 1

    def _near(self, matrix: np.ndarray, label: str, time: float) -> None:
        """Set the frame that a moment falls in, and one on either side."""
        at = self.index.get(label)
        if at is not None:
            frame = round(time * self.rate)  # between frames - 1 and frame
            matrix[max(frame - 1, 0) : frame + 2, at] = 1

    def _speech(self, matrix: np.ndarray, clip: int) -> None:
        spoken: list[tuple[float, float]] = []
        phones: list[_Spoken] = []
        words: list[_Spoken] = []
        if self._phones is not None:
            for start, end, code, speaker in zip(*self._phones.of(clip), self._phones.speakers_of(clip), strict=True):
                heard = self._phone_of[code]
                if heard is None or heard.kind == "silence":
                    continue
                spoken.append((start, end))
                if heard.kind == "noise":
                    continue
                phones.append(_Spoken(start, end, speaker))
                self._set(matrix, f"phone:{heard.name}", start, end)
                for name in heard.classes:
                    self._set(matrix, f"class:{name}", start, end)
                self._near(matrix, "boundary:phone onset", start)
                self._near(matrix, "boundary:phone offset", end)
        if self._words is not None:
            for start, end, code, speaker in zip(*self._words.of(clip), self._words.speakers_of(clip), strict=True):
                name = self._words.names[code]
                if not is_silence(name):
                    words.append(_Spoken(start, end, speaker))
                    self._set(matrix, f"word:{name.lower()}", start, end)
                    self._near(matrix, "boundary:word onset", start)
                    self._near(matrix, "boundary:word offset", end)
            self._in_words(matrix, words, phones)
        if spoken or words:
            self._silences(matrix, spoken or [(word.start, word.end) for word in words])

    def _in_words(self, matrix: np.ndarray, words: list[_Spoken], phones: list[_Spoken]) -> None:
        at = self.index.get("measure:position in word")
        if at is not None:
            matrix[:, at] = np.nan
            for start, end, _ in words:
                first, last = self._span(start, end, len(matrix))
                middle = (np.arange(first, last) + 0.5) / self.rate
                matrix[first:last, at] = (middle - start) / max(end - start, 1e-9)
        by_speaker: dict[str, list[_Spoken]] = {}
        for spoken in phones:
            by_speaker.setdefault(spoken.speaker, []).append(spoken)
        for start, end, speaker in words:
            inside = [p for p in by_speaker.get(speaker, phones) if start - 0.005 <= p.start < end - 0.005]
            if inside:
                self._set(matrix, "place:first phone of a word", inside[0].start, inside[0].end)
                self._set(matrix, "place:last phone of a word", inside[-1].start, inside[-1].end)

    def _silences(self, matrix: np.ndarray, spoken: list[tuple[float, float]]) -> None:
        end_of_clip = len(matrix) / self.rate
        before = 0.0
        for start, end in [*sorted(spoken), (end_of_clip, end_of_clip)]:
            gap = start - before
            if gap > 0:
                self._set(matrix, "silence:silence", before, start)
            if gap >= LEAST_PAUSE or before == 0.0:
                if start < end_of_clip:
                    self._set(matrix, "silence:pause before speech", max(before, start - PAUSE), start)
                    self._near(matrix, "boundary:speech start", start)
                if before > 0.0:
                    self._set(matrix, "silence:pause after speech", before, min(start, before + PAUSE))
                    self._near(matrix, "boundary:speech end", before)
            before = max(before, end)

    def _times(self, matrix: np.ndarray) -> None:
        count = len(matrix)
        edge = round(EDGE * self.rate)
        window = self.window_frames or count
        frame = np.arange(count)
        padded = count % window > 0 or self.window_frames is None
        for label, values in (
            ("place:clip start", frame < edge),
            ("place:clip end", frame >= count - edge),
            ("place:pad edge", (frame >= count - 2) & padded),
            ("time:time from clip start", frame / self.rate),
            ("time:time to clip end", (count - frame) / self.rate),
            ("time:frame in window", frame % window),
        ):
            if label in self.index:
                matrix[:, self.index[label]] = values

    def _sound(self, matrix: np.ndarray, sound: np.ndarray) -> None:
        count = len(matrix)
        if len(sound) < count:  # the last frame may be one sample long here and none there
            sound = np.pad(sound, ((0, count - len(sound)), (0, 0)), mode="edge")
        sound = sound[:count]
        pitch, energy = sound[:, 0], sound[:, 1]
        for label, values in (
            ("acoustic:voiced", ~np.isnan(pitch)),
            ("acoustic:quiet", energy < energy.max(initial=-100.0) - QUIET),
            *((f"measure:{name}", sound[:, i]) for i, name in enumerate(MEASURES)),
        ):
            if label in self.index:
                matrix[:, self.index[label]] = values


def _classes(phones: Collection[Phone]) -> list[str]:
    """The classes of these phones, each set of phones once, without those that only one phone is in."""
    members: dict[str, frozenset[str]] = {}
    for name in dict.fromkeys(c for p in phones for c in p.classes):
        members[name] = frozenset(p.name for p in phones if name in p.classes)
    distinct = {who: name for name, who in reversed(members.items()) if len(who) > 1}
    return [name for name, who in members.items() if distinct.get(who) == name]


def _speakers_of(unit: str, tiers: Sequence[str]) -> dict[str, str]:
    """The tiers of a unit with their speakers; without one, the first that has it in its name: "wordtier"."""
    within = [name for name in tiers if re.search(unit, name, re.IGNORECASE)]
    return tiers_of(unit, tiers) or dict.fromkeys(within[:1], "")


def _tier(corpus: Corpus, speakers: dict[str, str]) -> _Tier:
    """Tiers as one, by their names with the speaker of each."""
    table = corpus.segment_table
    known = pc.is_in(table["clip_id"], value_set=corpus.table["id"].combine_chunks())  # pyright: ignore[reportAttributeAccessIssue]
    own = pc.is_in(table["tier"], value_set=pa.array(list(speakers)))  # pyright: ignore[reportAttributeAccessIssue]
    table = table.filter(pc.and_(known, own))  # pyright: ignore[reportAttributeAccessIssue]
    clip = pc.index_in(table["clip_id"], value_set=corpus.table["id"]).to_numpy()  # pyright: ignore[reportAttributeAccessIssue]
    labels = table["label"].combine_chunks().dictionary_encode()
    start = table["start"].to_numpy()
    order = np.lexsort((start, clip))
    firsts = np.searchsorted(clip[order], np.arange(len(corpus) + 1))
    codes = labels.indices.to_numpy()
    speaker = pc.index_in(table["tier"], value_set=pa.array(list(speakers))).to_numpy()  # pyright: ignore[reportAttributeAccessIssue]
    return _Tier(
        clip_start=firsts,
        start=start[order],
        end=table["end"].to_numpy()[order],
        code=codes[order],
        names=labels.dictionary.to_pylist(),
        speaker=speaker[order],
        speakers=list(speakers.values()),
    )


def _frequent(tier: _Tier, most: int) -> list[str]:
    """The labels of a tier that occur in the most clips, in at least `LEAST`; words in lower case."""
    clip = np.repeat(np.arange(len(tier.clip_start) - 1), np.diff(tier.clip_start))
    lower = [name.lower() for name in tier.names]
    distinct = {name: i for i, name in enumerate(dict.fromkeys(lower))}
    code = np.array([distinct[name] for name in lower], np.int64)[tier.code] if len(tier.code) else tier.code
    clips = np.bincount(np.unique(np.stack([code, clip]), axis=1)[0].astype(np.int64), minlength=len(distinct))
    ranked = sorted(distinct, key=lambda name: (-clips[distinct[name]], name))
    return [name for name in ranked if clips[distinct[name]] >= LEAST and not is_silence(name)][:most]


def _values(column: pa.ChunkedArray) -> list[str]:
    """The different values of a column of the clips that at least two clips have."""
    counts = column.drop_null().value_counts()
    return sorted(row["values"] for row in counts.to_pylist() if row["counts"] >= 2 and row["values"])
