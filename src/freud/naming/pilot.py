"""The first look: on a bounded sample of the clips to fit on, every feature against every label at every lag.

Ranks times labels is one matrix product, which gives the AUC of every pair at once; it decides the lag of each pair and
which pairs are worth a histogram. Nothing that is reported comes from here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from freud.naming import statistics
from freud.naming.blocks import Block
from freud.naming.examples import ExampleBank
from freud.naming.sources import Source

DENSE_FRAMES, SPARSE_FRAMES = 24_576, 196_608  # at most, of the sample
ACTIVE = 0.05  # share of frames on which a dense feature counts as active here
BY_AUC, BY_AGREEMENT, CONTINUOUS = 3, 5, 2  # labels followed for a feature
FEATURES = 40  # features followed for a label, by AUC and again by F1
_LEAST = 10  # frames with the label, in the sample


@dataclass(frozen=True)
class Pairs:
    """Which (feature, side, label) are followed, at which lag: columns of equal length."""

    feature: np.ndarray
    side: np.ndarray  # 0 for "+", 1 for "-"
    label: np.ndarray
    lag: np.ndarray  # frames from the label to the value

    def __len__(self) -> int:
        return len(self.feature)

    def __getitem__(self, which: np.ndarray) -> Pairs:
        return Pairs(self.feature[which], self.side[which], self.label[which], self.lag[which])


def look(source: Source, examples: ExampleBank, most_lag: int) -> Pairs:
    """Choose the pairs to follow.

    Args:
        source: the features.
        examples: the labels.
        most_lag: frames, either way.
    """
    blocks = _sample(source, examples)
    everything = sum(block.histogram(np.zeros(block.pieces.frames, np.int64), 1)[:, 0] for block in blocks)
    assert isinstance(everything, np.ndarray)
    rank = np.nan_to_num(statistics.ranks(everything))
    every = np.arange(source.features)
    active = [_active(everything, source.sparse)]
    if source.sides == "+-":
        active.append(_active(everything[:, ::-1], source.sparse)[:, ::-1])
    lags = np.arange(-most_lag, most_lag + 1)
    continuous = np.array([label.continuous for label in examples.labels])
    tried = np.array([label.lagged for label in examples.labels]) | (lags == 0)[:, None]  # [lags, labels]
    graded = np.broadcast_to(continuous, tried.shape)[tried]
    columns = len(graded)
    shape = (source.features, columns)
    rank_sum, defined_sum = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    true = [np.zeros(shape, np.float32) for _ in active]
    has_sum, weight_sum, weight_square = np.zeros((3, columns))
    for block in blocks:
        given = examples.block(block.pieces)
        has = _moved(block, given.has.astype(np.float32), lags, tried)
        weight = _moved(block, np.where(given.has, given.weight, 0).astype(np.float32), lags, tried)
        rank_sum += block.dot(every, rank, weight)
        if graded.any():
            defined_sum[:, graded] += block.dot(every, rank, has[:, graded])
        for side, table in enumerate(active):
            true[side] += block.dot(every, table, has)
        has_sum += has.sum(0)
        weight_sum += weight.sum(0)
        weight_square += (weight**2).sum(0)
    frames = everything.sum(1).max()
    spread = np.sqrt((rank**2 * everything).sum(1) / frames)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        area = rank_sum / has_sum * frames / (frames - has_sum)  # AUC - 0.5
        rho = rank_sum - defined_sum * weight_sum / has_sum
        rho /= has_sum * spread * np.sqrt(weight_square / has_sum - (weight_sum / has_sum) ** 2)
    strength = np.where(has_sum >= _LEAST, np.where(graded, np.abs(rho), area), np.nan)
    activity = [(everything * table).sum(1) for table in active]
    strength, has_sum, *true = (_spread(each, tried) for each in (strength, has_sum, *true))
    return _choose(source, strength, true, activity, has_sum, frames, continuous, lags)


def _moved(block: Block, values: np.ndarray, lags: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """Values of labels [frames, labels] at every lag that is tried: [frames, tried pairs of lag and label] float32."""
    found = np.zeros((len(values), int(tried.sum())), np.float32)
    ends = tried.sum(1).cumsum()
    for lag, labels, end in zip(lags, tried, ends, strict=True):
        at, later = block.pieces.shifted(int(lag))
        found[later, end - labels.sum() : end] = values[at][:, labels]
    return found


def _spread(values: np.ndarray, tried: np.ndarray) -> np.ndarray:
    """[..., tried pairs] as [..., lags, labels], NaN where a pair is not tried."""
    found = np.full((*values.shape[:-1], *tried.shape), np.nan, np.float32)
    found[..., tried] = values
    return found


def _sample(source: Source, examples: ExampleBank) -> list[Block]:
    """Blocks of whole clips of the side to fit on, drawn at random up to a bounded number of frames."""
    fit = np.flatnonzero(examples.sides.fit)
    order = np.random.default_rng([examples.seed, 2]).permutation(fit)
    most = SPARSE_FRAMES if source.sparse else DENSE_FRAMES
    enough = int(np.searchsorted(np.cumsum(examples.frames[order]), most)) + 1
    chosen = np.zeros(len(examples.frames), bool)
    chosen[order[:enough]] = True
    blocks, frames = [], 0
    for block in source.blocks(chosen):
        blocks.append(block)
        frames += block.pieces.frames
        if frames >= 2 * most:  # a clip of hours
            break
    return blocks


def _active(everything: np.ndarray, sparse: bool) -> np.ndarray:
    """[features, bins]: 1 in the bins of the highest 5 % of frames; of sparse features, in all but the silent one."""
    if sparse:
        return (np.arange(everything.shape[1]) > 0).astype(float)[None, :].repeat(len(everything), 0)
    share = np.cumsum(everything[:, ::-1], 1)[:, ::-1] / np.maximum(everything.sum(1, keepdims=True), 1)
    return (share <= ACTIVE).astype(float)


def _choose(
    source: Source,
    strength: np.ndarray,
    true: list[np.ndarray],
    activity: list[np.ndarray],
    positives: np.ndarray,
    frames: float,
    continuous: np.ndarray,
    lags: np.ndarray,
) -> Pairs:
    labels = len(continuous)
    chosen = []
    for side, hits in enumerate(true):
        signed = np.nan_to_num(strength if side == 0 else np.where(continuous, np.nan, -strength), nan=-1.0)
        # Of lags that are equally good the shortest: they are tried from 0 outward.
        outward = np.argsort(np.abs(lags), kind="stable")
        best = outward[signed[:, outward].argmax(1)]  # [features, labels]
        score = np.take_along_axis(signed, best[:, None], 1)[:, 0]
        positive = positives[best, np.arange(labels)]
        hit = np.take_along_axis(hits, best[:, None], 1)[:, 0]
        agreement = np.nan_to_num(statistics.kappa(hit, activity[side][:, None], positive, np.array(frames)), nan=-1.0)
        agreement[:, continuous] = -1
        f1 = np.nan_to_num(statistics.f1_at(hit, activity[side][:, None], positive))
        usable = score > (0 if side == 0 else -0.5)
        wanted = _top(np.where(continuous, -1, score), BY_AUC, 1) | _top(agreement, BY_AGREEMENT, 1)
        wanted |= _top(np.where(continuous, score, -1), CONTINUOUS, 1)
        wanted |= _top(score, FEATURES, 0) | (_top(f1, FEATURES, 0) & ~continuous)
        feature, label = np.nonzero(wanted & usable & (score > -1))
        chosen.append(np.stack([feature, np.full(len(feature), side), label, lags[best[feature, label]]]))
    return Pairs(*np.concatenate(chosen, axis=1).astype(np.int64))


def _top(scores: np.ndarray, count: int, axis: int) -> np.ndarray:
    """True for the `count` largest along an axis."""
    count = min(count, scores.shape[axis])
    cut = -np.partition(-scores, count - 1, axis=axis).take([count - 1], axis=axis)
    return (scores >= cut) & (scores > 0)
