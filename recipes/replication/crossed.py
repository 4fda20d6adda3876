"""One feature a phone by cross-validation over speakers: chosen on all speakers but one, scored on that one.

For every fold the feature, its side and its lag (within 100 ms) are those with the largest mean, over the speakers to
fit on, of the AUC within each of them, less so many standard deviations over them. How many (`CAUTIONS`) is tried
within the fold, on the speakers to fit on, each left out in turn; the speaker left out has no say in anything. Frames
of a few minutes are held in memory here, which naming itself never does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import groups
import numpy as np
import torch

from freud.activations import Activations
from freud.corpus import Corpus
from freud.naming import statistics
from freud.naming.labels import LabelBank

LAGS = range(-5, 6)  # frames from label to value
LEAST = 5  # frames of a phone, for a speaker to count
CAUTIONS = (0.0, 1.0)  # standard deviations that the mean may be lowered by
PART = 512  # features ranked at a time


@dataclass(frozen=True)
class Frames:
    """What is known of every frame, in the order of `values`."""

    clip: np.ndarray  # [frames] number of the clip
    speaker: np.ndarray  # [frames] number of the speaker
    speakers: list[str]
    label: np.ndarray  # [frames, phones] bool
    phones: list[str]

    @property
    def positives(self) -> np.ndarray:
        """Frames of each speaker and phone, [speakers, phones]."""
        return np.stack([self.label[self.speaker == s].sum(0) for s in range(len(self.speakers))])

    def moved(self, label: np.ndarray) -> np.ndarray:
        """Labels at each of `LAGS`, not followed out of their clip: [frames, phones, lags] bool."""
        found = np.zeros((*label.shape, len(LAGS)), bool)
        for i, lag in enumerate(LAGS):
            at = np.arange(len(label)) - lag
            inside = (at >= 0) & (at < len(label))
            inside[inside] = self.clip[at[inside]] == self.clip[inside]
            found[inside, :, i] = label[at[inside]]
        return found

    def shuffled(self, seed: int = 0) -> np.ndarray:
        """Labels shifted around in each clip by a random distance that is not short, [frames, phones]."""
        rng = np.random.default_rng(seed)
        found = np.empty_like(self.label)
        for clip in np.unique(self.clip):
            rows = np.flatnonzero(self.clip == clip)
            shift = rng.integers(max(1, len(rows) // 8), max(2, len(rows) - len(rows) // 8))
            found[rows] = np.roll(self.label[rows], shift, axis=0)
        return found


def frames(store: Activations, corpus: Corpus) -> Frames:
    """The phones of all frames of a store."""
    bank = LabelBank(corpus, kinds=("phone",))
    count = np.bincount(store.pieces.clip, store.pieces.rows, len(corpus)).astype(np.int64)
    names, speaker = np.unique(corpus.table["speaker"].to_pylist(), return_inverse=True)
    label = np.concatenate([bank.frames(clip, int(n)) > 0 for clip, n in enumerate(count)])
    text = [label.text for label in bank.labels]
    return Frames(np.repeat(np.arange(len(corpus)), count), np.repeat(speaker, count), names.tolist(), label, text)


def values(store: Activations, site: str) -> torch.Tensor:
    """All frames of a site, [frames, width] float16."""
    return torch.cat([store[site].clip(clip) for clip in store.clip_ids])


def ranks(rows: torch.Tensor) -> torch.Tensor:
    """Ranks from 1 within each row of [features, frames], ties sharing their mean."""
    ordered, place = rows.sort(dim=1)
    count = rows.shape[1]
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    tie = (starts.cumsum(1) - 1 + count * torch.arange(len(rows))[:, None]).flatten()
    rank = torch.arange(1, count + 1, dtype=torch.float32).repeat(len(rows))
    total, members = (torch.zeros(rows.numel()).index_add_(0, tie, each) for each in (rank, torch.ones_like(rank)))
    return torch.empty_like(rows, dtype=torch.float32).scatter_(1, place, (total / members)[tie].view(rows.shape))


def areas(x: torch.Tensor, label: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """AUC of every feature for every label within each speaker: ranks times labels, one matrix product.

    Args:
        x: [frames, features].
        label: [frames, labels] bool.
        speaker: [frames] numbers from 0.

    Returns:
        [speakers, features, labels] float32; NaN where a speaker has fewer than `LEAST` frames of a label.
    """
    found = np.full((speaker.max() + 1, x.shape[1], label.shape[1]), np.nan, np.float32)
    for each in range(len(found)):
        rows = np.flatnonzero(speaker == each)
        given = torch.from_numpy(label[rows].astype(np.float32))
        positive = given.sum(0)
        pairs = positive * (len(rows) - positive)
        pairs[positive < LEAST] = torch.nan
        for first in range(0, x.shape[1], PART):
            rank = ranks(x[rows, first : first + PART].T.contiguous())
            found[each, first : first + PART] = ((rank @ given - positive * (positive + 1) / 2) / pairs).numpy()
    return found


@dataclass(frozen=True)
class Choice:
    """The feature for a phone, by one caution."""

    caution: float
    feature: int
    side: str
    lag: int
    fit: float  # mean less so many deviations, on the speakers to fit on
    auc: float  # on the speaker left out


def choose(area: np.ndarray, left_out: int, sides: str, unseen: Sequence[int] = ()) -> list[list[Choice]]:
    """The best features for each phone on all speakers but one, and their AUC on that one.

    Args:
        area: [speakers, features, phones, lags].
        left_out: number of the speaker.
        sides: "+", or "+-" for features that count on either side.
        unseen: further speakers not to choose on.

    Returns:
        for each phone a choice for each of `CAUTIONS`; none where the speaker left out, or all but one of the others,
        have too few frames.
    """
    found = []
    for phone in range(area.shape[2]):
        fit = np.delete(area[:, :, phone], [left_out, *unseen], axis=0)
        fit = fit[~np.isnan(fit[:, 0]).any(-1)]
        held = area[left_out, :, phone]
        if len(fit) < 2 or np.isnan(held[0]).any():
            found.append([])
            continue
        mean, deviation = fit.mean(0), fit.std(0)
        choices = []
        for caution in CAUTIONS:
            scores = np.stack([mean, 1 - mean][: len(sides)]) - caution * deviation
            side, feature, lag = np.unravel_index(scores.argmax(), scores.shape)
            auc = float(held[feature, lag])
            best = float(scores.max())
            choices.append(Choice(caution, int(feature), sides[side], LAGS[lag], best, 1 - auc if side else auc))
        found.append(choices)
    return found


def search(known: Frames, x: torch.Tensor, sides: str, **source: Any) -> list[dict[str, Any]]:
    """Choose and score one feature of a source for each phone in each fold; the same for shuffled labels.

    Args:
        known: labels and speakers.
        x: [frames, features].
        sides: "+" or "+-".
        source: columns that say what `x` is.

    Returns:
        a row for each fold, phone and caution, with what `phones.pooled` needs: AUC, counts at the threshold fitted on
        the others; and rows with a `trial`, another speaker left out beside the one of the fold and scored instead.
    """
    given = known.moved(known.label)
    both = np.concatenate([given, known.moved(known.shuffled())], axis=1)  # [frames, phones twice, lags]
    area = areas(x, both.reshape(len(x), -1), known.speaker)
    area, null = np.split(area.reshape(len(area), x.shape[1], *both.shape[1:]), 2, axis=2)
    rows = []
    for left_out, speaker in enumerate(known.speakers):
        found = zip(known.phones, choose(area, left_out, sides), choose(null, left_out, sides), strict=True)
        for phone, (name, choices, chance) in enumerate(found):
            for choice, shuffled in zip(choices, chance, strict=False):
                score = x[:, choice.feature].float().numpy() * (1 if choice.side == "+" else -1)
                rows.append(
                    {
                        **source, "phone": name, "speaker": speaker, "trial": None, "caution": choice.caution,
                        "feature": choice.feature, "side": choice.side, "lag_ms": 20 * choice.lag, "fit": choice.fit,
                        **scored(known, score, given[:, phone, LAGS.index(choice.lag)], left_out),
                        "null_fit": shuffled.fit, "null_auc": shuffled.auc,
                    }
                )  # fmt: skip
        for other, trial in enumerate(known.speakers):
            if other != left_out:
                tried = zip(known.phones, choose(area, other, sides, unseen=[left_out]), strict=True)
                rows += [
                    {
                        **source, "phone": name, "speaker": speaker, "trial": trial, "caution": choice.caution,
                        "fit": choice.fit, "auc": choice.auc,
                    }
                    for name, choices in tried for choice in choices
                ]  # fmt: skip
    return rows


def scored(known: Frames, score: np.ndarray, label: np.ndarray, left_out: int) -> dict[str, float]:
    """AUC, average precision, and counts at the threshold of the best F1 on the others, of the speaker left out."""
    held = known.speaker == left_out
    _, threshold = statistics.best_f1(*groups.exact(score[~held], label[~held]))
    active = score[held] >= np.unique(score[~held])[threshold]
    histogram = groups.exact(score[held], label[held])
    return {
        "auc": float(statistics.auc(*histogram)),
        "average_precision": float(statistics.average_precision(*histogram)),
        "true": int((active & label[held]).sum()), "active": int(active.sum()), "positives": int(label[held].sum()),
        "frames": int(held.sum()),
    }  # fmt: skip


def enough(counts: np.ndarray, left_out: int) -> bool:
    """A phone has frames of the speaker left out, and of two others; `counts` [speakers]."""
    return bool(counts[left_out] >= LEAST and (np.delete(counts, left_out) >= LEAST).sum() >= 2)


def probes(known: Frames, x: torch.Tensor, **source: Any) -> list[dict[str, Any]]:
    """A linear probe on all features for each phone, fitted by ridge regression on all speakers but one (no lag).

    Its `fit`, by which a site may be chosen for a phone, is the mean AUC on each of the speakers to fit on, of a probe
    that is fitted on the others of them.
    """
    inputs = np.concatenate([x.float().numpy(), np.ones((len(x), 1), np.float32)], 1)
    label = known.label.astype(np.float32)
    of = [np.flatnonzero(known.speaker == s) for s in range(len(known.speakers))]
    squares = [(inputs[rows].T @ inputs[rows]).astype(np.float64) for rows in of]
    products = [(inputs[rows].T @ label[rows]).astype(np.float64) for rows in of]

    def weights(*without: int) -> np.ndarray:
        """[features + 1, phones] of a probe fitted on all speakers but these."""
        kept = [s for s in range(len(of)) if s not in without]
        return groups.solve(sum(squares[s] for s in kept), sum(products[s] for s in kept)).astype(np.float32)

    trials = np.full((len(of), len(of), len(known.phones)), np.nan)  # [left out, tried on, phones] AUC
    for one, other in itertools.combinations(range(len(of)), 2):
        probe = weights(one, other)
        for left_out, tried in ((one, other), (other, one)):
            rows = of[tried]
            found = areas(torch.from_numpy(inputs[rows] @ probe), known.label[rows], np.zeros(len(rows), int))
            trials[left_out, tried] = found[0].diagonal()
    counts = known.positives
    found = []
    for left_out, speaker in enumerate(known.speakers):
        scores = inputs @ weights(left_out)
        for phone, name in enumerate(known.phones):
            if enough(counts[:, phone], left_out):
                values = scored(known, scores[:, phone], known.label[:, phone], left_out)
                fit = float(np.nanmean(trials[left_out, :, phone]))
                found.append({**source, "phone": name, "speaker": speaker, "fit": fit, **values})
    return found


def grouped(known: Frames, x: torch.Tensor, sizes: tuple[int, ...], **source: Any) -> list[dict[str, Any]]:
    """Small groups of features for each phone, chosen and combined on all speakers but one (no lag).

    Args:
        known: labels and speakers.
        x: [frames, features].
        sizes: of the groups.
        source: columns that say what `x` is.
    """
    inputs = x.float().numpy()
    counts = known.positives
    found = []
    for left_out, speaker in enumerate(known.speakers):
        fit = known.speaker != left_out
        groups_of = groups.pursuit(inputs[fit], known.label[fit], max(sizes))
        for phone, name in enumerate(known.phones):
            if not enough(counts[:, phone], left_out):
                continue
            for size in sizes:
                chosen = groups_of[phone, :size]
                weights = groups.ridge(inputs[:, chosen][fit], known.label[fit, phone].astype(float))
                values = scored(known, inputs[:, chosen] @ weights[:-1], known.label[:, phone], left_out)
                group = " ".join(map(str, chosen))
                found.append({**source, "size": size, "group": group, "phone": name, "speaker": speaker, **values})
    return found
