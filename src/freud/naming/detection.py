"""Is a name any good? Whoever knows only the name must tell events of the feature from look-alikes.

Detection shows spans of held-out clips, half of them events of the feature, half hard negatives: the same class of
phone while the feature is silent. Fuzzing marks a place in a clip, in half of the items the wrong one. The judge may be
a label (`by_label`), a person in the app's listening test, or a language model; all are scored by `detect`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from freud.corpus import Corpus
from freud.corpus.phones import phone, phone_set
from freud.errors import FreudError, UnknownNameError
from freud.features import FeatureIndex
from freud.naming.acoustics import clip_acoustics
from freud.naming.labels import LabelBank
from freud.naming.query import Names, Side

AROUND = 0.5  # seconds to hear on either side of the mark
APART = 0.1  # seconds within which a feature must be silent for a negative
_Z = 1.96


ItemKind = Literal["event", "hard negative", "random negative", "right", "wrong"]


@dataclass(frozen=True)
class Item:
    """One question: does the feature fire in the marked span? Times in seconds from the start of the clip.

    Attributes:
        clip: id of the clip. name: for people.
        start, end: what to play. mark_start, mark_end: the span in question.
        fires: the truth; not to be shown to a judge.
        kind: "event", "hard negative" (same class of phone), "random negative", or of fuzzing "right" and "wrong".
        heard: labels of each tier in the mark.
        marked: labels of each tier from start to end, those in the mark in << and >>: "a big <<wolf>> was".
    """

    clip: str
    name: str
    start: float
    end: float
    mark_start: float
    mark_end: float
    fires: bool
    kind: ItemKind
    heard: dict[str, str]
    marked: dict[str, str]


@dataclass(frozen=True)
class Detection:
    """How well a judge told events from the rest; `low` and `high` bound the accuracy (95 %, Wilson 1927).

    Half of the items fire, so that guessing has an accuracy of 0.5.
    """

    accuracy: float
    low: float
    high: float
    precision: float | None
    recall: float | None
    n: int
    positives: int


def items(
    index: FeatureIndex, names: Names, feature: int, n: int = 20, *, side: Side = "+", seed: int = 0
) -> list[Item]:
    """Questions about a feature on held-out clips, half of them events, in random order.

    Events are drawn from all strengths. Negatives are intervals of phones of the same manner as those at the events,
    of the same length, with the feature silent around them; where there are no phones, any silent place.

    Raises:
        UnknownNameError: no such feature. FreudError: it has fewer than two events on held-out clips.
    """
    rng = np.random.default_rng([seed, feature])
    events = _events(index, names, feature, side)
    chosen = _spread(events, max(1, n // 2), rng)
    positives = [_item(index, int(c), int(on), int(off), True, "event") for c, on, off in chosen]
    negatives = _negatives(index, names, positives, events, chosen, rng)
    return _shuffled([*positives[: len(negatives)], *negatives], rng)


def fuzzing(
    index: FeatureIndex, names: Names, feature: int, n: int = 20, *, side: Side = "+", seed: int = 0
) -> list[Item]:
    """Marks on held-out clips that have an event: half are on an event, half on a silent place of the same clip.

    Raises:
        UnknownNameError: no such feature. FreudError: it has fewer than two events on held-out clips.
    """
    rng = np.random.default_rng([seed, feature, 1])
    events = _events(index, names, feature, side)
    found: list[Item] = []
    for i, (clip, onset, offset) in enumerate(_spread(events, n, rng)):
        if i % 2 == 0:
            found.append(_item(index, int(clip), int(onset), int(offset), True, "right"))
            continue
        ((frames,),) = index.sql("SELECT frames FROM clips WHERE clip = ?", [int(clip)])
        place = _silent_place(events[events[:, 0] == clip], frames, int(offset - onset), index.frames_per_second, rng)
        if place is not None:
            found.append(_item(index, int(clip), place, place + int(offset - onset), False, "wrong"))
    return _shuffled(found, rng)


def detect(questions: Sequence[Item], judge: Callable[[Item], bool]) -> Detection:
    """Score a judge.

    Args:
        questions: from `items` or `fuzzing`.
        judge: says whether the feature fires in the mark.

    Raises:
        FreudError: no questions.
    """
    return score([item.fires for item in questions], [bool(judge(item)) for item in questions])


def score(truth: Sequence[bool], answers: Sequence[bool]) -> Detection:
    """Score answers to questions in the same order, as `detect` does."""
    if not truth or len(truth) != len(answers):
        raise FreudError(f"answers: {len(answers)} to {len(truth)} questions; expected one to each")
    true, said = np.array(truth, bool), np.array(answers, bool)
    n, right = len(true), float((true == said).mean())
    center = (right + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * np.sqrt(right * (1 - right) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Detection(
        accuracy=right,
        low=float(max(center - half, 0.0)),
        high=float(min(center + half, 1.0)),
        precision=float(true[said].mean()) if said.any() else None,
        recall=float(said[true].mean()) if true.any() else None,
        n=n,
        positives=int(true.sum()),
    )


def by_label(corpus: Corpus, index: FeatureIndex, label: str, lag_ms: float = 0.0) -> Callable[[Item], bool]:
    """A judge that looks at the label: it says yes where that is on any frame of the mark, `lag_ms` before it.

    Args:
        corpus: of the index.
        index: for the clips.
        label: id of the label.
        lag_ms: how much later than the label the feature is expected.

    Raises:
        UnknownNameError: the corpus has no such label.
        FreudError: a label that is a number is neither there nor not.
    """
    rate = index.frames_per_second
    bank = LabelBank(corpus, rate, words=len(corpus.segment_table), kinds=(label.partition(":")[0],))
    if label not in bank.index:
        raise UnknownNameError(f"label {label!r}: not among the {len(bank.labels)} of its kind in {corpus.root}")
    column = bank.index[label]
    if bank.labels[column].continuous:
        raise FreudError(f"label {label!r}: is a number at every frame; expected one that is there or not")
    frames = dict(index.sql("SELECT clip, frames FROM clips"))
    cached: dict[int, np.ndarray] = {}

    def judge(item: Item) -> bool:
        clip = index.clip_number(item.clip)
        if clip not in cached:
            sound = clip_acoustics(corpus, corpus[item.clip]) if bank.needs_sound else None
            cached[clip] = bank.frames(clip, frames[clip], sound)[:, column] > 0
        first, last = (round((time - lag_ms / 1000) * rate) for time in (item.mark_start, item.mark_end))
        return bool(cached[clip][max(first, 0) : max(last, 0)].any())

    return judge


def _events(index: FeatureIndex, names: Names, feature: int, side: Side) -> np.ndarray:
    """Events of one side on held-out clips, strongest first: [events, 3] clip, onset, offset."""
    index.check(feature)
    rows = index.sql(
        f'SELECT clip, onset, "offset" FROM events WHERE feature = ? AND peak {">" if side == "+" else "<"} 0 '
        "ORDER BY abs(peak) DESC, clip, onset",
        [feature],
    )
    held = set(names.held_out_clips())
    found = np.array([row for row in rows if row[0] in held], np.int64).reshape(-1, 3)
    if len(found) < 2:
        raise FreudError(f"feature {feature}{side}: has {len(found)} events on held-out clips; detection needs two")
    return found


def _spread(events: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """At most n events, one from each n-th part of their order of strength."""
    n = min(n, len(events))
    cuts = np.linspace(0, len(events), n + 1).astype(int)
    return events[[int(rng.integers(a, b)) for a, b in itertools.pairwise(cuts)]]


def _item(index: FeatureIndex, clip: int, onset: int, offset: int, fires: bool, kind: ItemKind) -> Item:
    rate = index.frames_per_second
    ((clip_id, name, frames),) = index.sql("SELECT id, name, frames FROM clips WHERE clip = ?", [clip])
    start, end = onset / rate, offset / rate
    first, last = max(0.0, start - AROUND), min(frames / rate, end + AROUND)
    rows = index.sql(
        """SELECT tier, start, "end", label FROM segments
        WHERE clip = ? AND start < ? AND "end" > ? ORDER BY tier, start""",
        [clip, last, first],
    )
    heard, marked = {}, {}
    for tier, group in itertools.groupby(rows, key=lambda row: row[0]):
        before, inside, after = [], [], []
        for _, left, right, label in group:
            (before if right <= start else after if left >= end else inside).append(label)
        if inside:
            heard[tier] = " ".join(inside)
        marked[tier] = " ".join([*before, f"<<{' '.join(inside)}>>", *after])
    return Item(clip_id, name, first, last, start, end, fires, kind, heard, marked)


def _negatives(
    index: FeatureIndex,
    names: Names,
    positives: list[Item],
    events: np.ndarray,
    chosen: np.ndarray,
    rng: np.random.Generator,
) -> list[Item]:
    rate = index.frames_per_second
    held = names.held_out_clips()
    rows = index.sql(
        "SELECT clip, start, \"end\", label FROM segments WHERE (tier ILIKE '%phone%' OR tier ILIKE '%phn%') "
        "AND clip IN ? ORDER BY clip, start",
        [held],
    )
    written = phone_set({row[3] for row in rows}) if rows else "arpabet"
    manner = {label: _manner(label, written) for label in {row[3] for row in rows}}
    wanted = [_manner((item.heard.get(_phone_tier(item)) or "").split(" ")[0], written) for item in positives]
    by_clip = {clip: events[events[:, 0] == clip, 1:] for clip in held}
    found: list[Item] = []
    order = rng.permutation(len(rows))
    taken: set[int] = set()
    for (_, onset, offset), of in zip(chosen, wanted, strict=True):
        length = int(offset - onset)
        for row in order if of is not None else ():
            clip, start, end, label = rows[row]
            first = round((start + end) / 2 * rate - length / 2)
            if row in taken or manner[label] != of or first < 0:
                continue
            if _silent(by_clip[clip], first, first + length, APART * rate):
                taken.add(int(row))
                found.append(_item(index, clip, first, first + length, False, "hard negative"))
                break
        else:
            clip = int(rng.choice(held))
            ((frames,),) = index.sql("SELECT frames FROM clips WHERE clip = ?", [clip])
            place = _silent_place(np.insert(by_clip[clip], 0, clip, axis=1), frames, length, rate, rng)
            if place is not None:
                found.append(_item(index, clip, place, place + length, False, "random negative"))
    return found


def _phone_tier(item: Item) -> str:
    return next((tier for tier in item.heard if "phone" in tier.lower() or "phn" in tier.lower()), "")


def _manner(label: str, written: Literal["arpabet", "ipa"]) -> str | None:
    """The class in which look-alikes are sought: the manner of a consonant, "vowel", or "silence"; None if unknown."""
    heard = phone(label, written) if label else None
    return None if heard is None else heard.manner or heard.kind


def _silent(events: np.ndarray, first: int, last: int, apart: float) -> bool:
    """Whether no event [n, 2] comes near the frames first..last."""
    return not bool(((events[:, 0] < last + apart) & (events[:, 1] > first - apart)).any())


def _silent_place(events: np.ndarray, frames: int, length: int, rate: float, rng: np.random.Generator) -> int | None:
    """A place for `length` frames in a clip away from its events [n, 3], or None if 50 tries found none."""
    for _ in range(50):
        place = int(rng.integers(0, max(1, frames - length)))
        if _silent(events[:, 1:], place, place + length, APART * rate):
            return place
    return None


def _shuffled(found: list[Item], rng: np.random.Generator) -> list[Item]:
    return [found[i] for i in rng.permutation(len(found))]
