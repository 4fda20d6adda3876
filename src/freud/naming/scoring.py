"""Scores of features against labels, in one pass over the frames that keeps histograms and never a frame.

The clips to fit on come first: they give each pair its threshold and each feature its labels. Then the held-out clips
give every number that is reported, per group of clips for the intervals, and with shuffled labels for the null.
A pair is a (feature, side, label) at a lag; the pilot chose which are followed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from freud.naming import statistics
from freud.naming.blocks import Block, Labeled
from freud.naming.examples import ExampleBank
from freud.naming.pilot import Pairs, look
from freud.naming.sources import Source

NULLS = 20  # shuffles of every label
RESAMPLES = 200  # of the bootstrap
MOST_LAG = 0.1  # seconds
KEPT = 5  # labels of a feature that are scored on held-out clips
BEST = 10  # features of a label that are, by AUC and again by F1
_TOP, _MIDDLE = (0.9, 1.01), (0.4, 0.7)  # shares of the active frames, from the weakest
DENSE_ACTIVE = 0.2  # share of frames that count as the active ones of a neuron's side, for its levels


@dataclass
class Scores:
    """Scores of pairs on held-out clips, as columns of equal length, and what else the pass found.

    Attributes:
        pairs: which. threshold: lowest active bin, counted from the side's weakest.
        columns: by the names of `naming.tables`: float arrays.
        best: (label, by, rank, row of pairs).
        levels: for each (feature, side) with a pair: top and middle label and their shares.
        rates: (row label, column's pair, rate, frames) of the matrix.
    """

    pairs: Pairs
    threshold: np.ndarray
    fit_agreement: np.ndarray
    columns: dict[str, np.ndarray]
    best: list[tuple[int, str, int, int]] = field(default_factory=list)
    levels: dict[tuple[int, int], tuple[int, float, int, float, bool]] = field(default_factory=dict)
    rates: list[tuple[int, int, float, int]] = field(default_factory=list)


def score(
    source: Source,
    examples: ExampleBank,
    frames_per_second: float,
    *,
    family: np.ndarray | None = None,
    nulls: int = NULLS,
    kept: int = KEPT,
    progress: bool = True,
    name: str = "name",
) -> Scores:
    """Score every feature of a source against the labels.

    Args:
        source: the features.
        examples: the labels, the split and the shuffles.
        frames_per_second: of the site.
        family: labels that exclude each other (the phones), for levels and the matrix; neither if not given.
        nulls: shuffles of every label.
        kept: labels of each feature that are scored on held-out clips, beside those that it is among the best of.
        progress: show a progress bar on a terminal.
        name: what the bar says.
    """
    pairs = look(source, examples, round(MOST_LAG * frames_per_second))
    sides = examples.sides
    total = int(examples.frames[sides.fit | sides.held].sum())
    with tqdm(total=total, unit="frame", unit_scale=True, desc=name, disable=None if progress else True) as bar:
        fitted = _Fit(source, examples, pairs)
        for block in source.blocks(sides.fit):
            fitted.add(block)
            bar.update(block.pieces.frames)
        pairs, threshold, agreement, columns, best = fitted.finish(kept)
        held = _Held(source, examples, pairs, threshold, fitted.everything, agreement, columns, family, nulls)
        for block in source.blocks(sides.held):
            held.add(block)
            bar.update(block.pieces.frames)
    scores = Scores(pairs, threshold, agreement, {**columns, **held.scores(frames_per_second)}, best)
    if family is not None:
        held.add_levels(scores)
        held.add_rates(scores, best)
    return scores


class _Counted:
    """Histograms of pairs, added up block by block."""

    def __init__(self, source: Source, examples: ExampleBank, pairs: Pairs, groups: int) -> None:
        self.source, self.examples, self.pairs, self.groups = source, examples, pairs, groups
        self.bins = source.edges.shape[1] + 1
        self.continuous = np.array([label.continuous for label in examples.labels])
        self.everything = np.zeros((source.features, groups, self.bins))
        self.positive = np.zeros((len(pairs), groups, self.bins), np.float32)
        self.graded = np.flatnonzero(self.continuous[pairs.label])  # pairs that also need sums of ranks
        self.weighted = np.zeros((len(self.graded), groups, self.bins), np.float32)
        self.squares = np.zeros((len(examples.labels), groups))
        self.of_label = [np.flatnonzero(pairs.label == label) for label in range(len(examples.labels))]

    def count(self, block: Block, has: np.ndarray, weight: np.ndarray, group: np.ndarray) -> None:
        self.everything += block.histogram(group, self.groups)
        for label, which in enumerate(self.of_label):
            if not len(which) or not has[:, label].any():
                continue
            features, lags = self.pairs.feature[which], self.pairs.lag[which]
            given = Labeled(has[:, label], group, self.groups)
            self.positive[which] += block.count(features, lags, given)
            if self.continuous[label]:
                ranks = weight[:, label].astype(np.float64)
                rows = np.searchsorted(self.graded, which)
                self.weighted[rows] += block.count(features, lags, given._replace(weight=ranks))
                self.squares[label] += np.bincount(group, np.where(has[:, label], ranks**2, 0), self.groups)

    def oriented(self, counts: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Bins of the side "-" turned around, so that the most active is always the last."""
        return np.where(side.reshape(-1, *[1] * (counts.ndim - 1)) == 1, counts[..., ::-1], counts)


class _Fit(_Counted):
    """The side on which everything is chosen."""

    def __init__(self, source: Source, examples: ExampleBank, pairs: Pairs) -> None:
        super().__init__(source, examples, pairs, 1)

    def add(self, block: Block) -> None:
        given = self.examples.block(block.pieces)
        self.count(block, given.has, given.weight, np.zeros(block.pieces.frames, np.int64))

    def finish(
        self, kept: int
    ) -> tuple[Pairs, np.ndarray, np.ndarray, dict[str, np.ndarray], list[tuple[int, str, int, int]]]:
        """The pairs kept, with threshold and agreement, columns of the fit, and the best features of each label."""
        pairs = self.pairs
        positive = self.oriented(self.positive[:, 0].astype(np.float64), pairs.side)
        everything = self.oriented(self.everything[pairs.feature, 0], pairs.side)
        f1, threshold = statistics.best_f1(positive, everything)
        area = statistics.auc(positive, everything)
        agreement = statistics.kappa(
            statistics.above(positive, threshold),
            statistics.above(everything, threshold),
            positive.sum(1),
            everything.sum(1),
        )
        if len(self.graded):
            rho = statistics.spearman(
                self.positive[self.graded, 0].astype(np.float64),
                self.weighted[:, 0].astype(np.float64),
                self.squares[pairs.label[self.graded], 0],
            )
            agreement[self.graded] = np.abs(rho)
            f1[self.graded], area[self.graded] = np.nan, np.nan
        agreement = np.nan_to_num(agreement, nan=-1.0)
        keep = np.zeros(len(pairs), bool)
        unit = pairs.feature * 2 + pairs.side
        keep[_first(unit, -agreement, kept)] = True
        best: list[tuple[int, str, int, int]] = []
        for label, which in enumerate(self.of_label):
            ways = {"spearman": agreement} if self.continuous[label] else {"auc": area, "f1": f1}
            for by, values in ways.items():
                found = which[np.argsort(-np.nan_to_num(values[which], nan=-1.0), kind="stable")[:BEST]]
                keep[found] = True
                best += [(label, by, rank, int(row)) for rank, row in enumerate(found, 1)]
        new = np.cumsum(keep) - 1
        columns = {"fit_f1": f1[keep], "fit_auc": area[keep]}
        best = [(label, by, rank, int(new[row])) for label, by, rank, row in best]
        return pairs[keep], threshold[keep], agreement[keep], columns, best


def _first(unit: np.ndarray, key: np.ndarray, count: int) -> np.ndarray:
    """Rows with the `count` smallest keys of each unit."""
    order = np.lexsort((key, unit))
    ordered = unit[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return order[place < count]


class _Held(_Counted):
    """The side that is scored."""

    def __init__(
        self,
        source: Source,
        examples: ExampleBank,
        pairs: Pairs,
        threshold: np.ndarray,
        fit: np.ndarray,
        agreement: np.ndarray,
        columns: dict[str, np.ndarray],
        family: np.ndarray | None,
        nulls: int,
    ) -> None:
        super().__init__(source, examples, pairs, examples.sides.groups)
        self.threshold, self.nulls, self.family = threshold, nulls, family
        fitted = fit[:, 0]
        bins = np.arange(self.bins)
        mirrored = self.bins - 1 - bins
        place = np.where(pairs.side[:, None] == 1, mirrored, bins)  # bins counted from the side's weakest
        self.active = (place >= threshold[:, None]).astype(np.float32)  # [pairs, bins]
        self.rank = np.nan_to_num(statistics.ranks(fitted)).astype(np.float32)  # [features, bins]
        self.null_rank = np.zeros((len(pairs), nulls))
        self.null_true = np.zeros((len(pairs), nulls))
        self.null_count = np.zeros((len(examples.labels), nulls))
        self.null_weight = np.zeros((len(examples.labels), nulls))
        self.units = np.unique(np.stack([pairs.feature, pairs.side]), axis=1)  # [2, units]
        chosen = _first(pairs.feature * 2 + pairs.side, -agreement, 1)
        self.unit_row = chosen  # row of the chosen pair of each unit, in the order of `units`
        if family is not None:
            levels = np.stack([_levels(fitted[f], s, source.sparse) for f, s in self.units.T])
            self.top, self.middle = levels[:, 0], levels[:, 1]
            shape = (self.units.shape[1], len(family))
            self.at_top, self.at_middle = np.zeros(shape), np.zeros(shape)
            self.rate_rows = _columns_of_matrix(pairs, family, columns["fit_f1"])
            self.rate = np.zeros((len(self.rate_rows), len(family)))

    def add(self, block: Block) -> None:
        given = self.examples.block(block.pieces)
        self.count(block, given.has, given.weight, given.group)
        shuffle = self.examples.shuffles(block.pieces, self.nulls)
        for label, which in enumerate(self.of_label):
            has = given.has[:, label]
            if len(which):
                values = np.where(has, given.weight[:, label], 0).astype(np.float32)
                shuffled = shuffle(label, values)
                defined = shuffle(label, has.astype(np.float32)) if self.continuous[label] else shuffled
                self.null_count[label] += defined.sum(0)
                self.null_weight[label] += shuffled.sum(0)
                features, index = np.unique(self.pairs.feature[which], return_inverse=True)
                self.null_rank[which] += block.dot(features, self.rank[features], shuffled)[index]
                if not self.continuous[label]:
                    self.null_true[which] += block.dot(self.pairs.feature[which], self.active[which], shuffled)
        if self.family is not None:
            self._add_family(block, given.has[:, self.family].astype(np.float32))

    def _add_family(self, block: Block, labels: np.ndarray) -> None:
        features = self.units[0]
        lags = self.pairs.lag[self.unit_row]
        for lag in np.unique(lags):
            at, later = block.pieces.shifted(int(lag))
            moved = np.zeros_like(labels)
            moved[later] = labels[at]
            which = np.flatnonzero(lags == lag)
            self.at_top[which] += block.dot(features[which], self.top[which], moved)
            self.at_middle[which] += block.dot(features[which], self.middle[which], moved)
            rows = np.flatnonzero(self.pairs.lag[self.rate_rows] == lag)
            if len(rows):
                pairs = self.rate_rows[rows]
                self.rate[rows] += block.dot(self.pairs.feature[pairs], self.active[pairs], moved)

    def scores(self, rate: float) -> dict[str, np.ndarray]:
        """The columns of `naming.tables`, for every pair."""
        pairs, label = self.pairs, self.pairs.label
        positive = self.oriented(self.positive.sum(1, dtype=np.float64), pairs.side)
        everything = self.oriented(self.everything.sum(1)[pairs.feature], pairs.side)
        found = self._metrics(positive, everything)
        found |= self._intervals()
        found["lag_ms"] = 1000.0 * pairs.lag / rate
        found["threshold"] = self._threshold_values()
        found |= self._null(everything.sum(1), positive.sum(1))
        found["frames"] = everything.sum(1)
        found["positives"] = self.examples.positives[label]
        found["clips"] = self.examples.clips[label]
        graded = self.continuous[label]
        for name in _BINARY:
            found[name] = np.where(graded, np.nan, found[name])
        found["agreement"] = np.where(graded, np.abs(found["spearman"]), found["agreement"])
        return found

    def _metrics(self, positive: np.ndarray, everything: np.ndarray) -> dict[str, np.ndarray]:
        """Scores of all pairs from their histograms [pairs, bins]."""
        true, active = statistics.above(positive, self.threshold), statistics.above(everything, self.threshold)
        positives, frames = positive.sum(1), everything.sum(1)
        rho = np.full(len(positive), np.nan)
        if len(self.graded):
            counts, sums = (each.sum(1, dtype=np.float64) for each in (self.positive[self.graded], self.weighted))
            rho[self.graded] = statistics.spearman(counts, sums, self.squares[self.pairs.label[self.graded]].sum(1))
        precision = statistics.over(true, active)
        return {
            "f1": statistics.f1_at(true, active, positives),
            "auc": statistics.auc(positive, everything),
            "spearman": rho,
            "precision": precision,
            "recall": statistics.over(true, positives),
            "agreement": statistics.kappa(true, active, positives, frames),
            "average_precision": statistics.average_precision(positive, everything),
            "information": statistics.information(positive, everything),
            "lift": precision * statistics.over(frames, positives),
        }

    def _intervals(self) -> dict[str, np.ndarray]:
        """95 % intervals of F1, AUC and Spearman: percentiles over resampled groups of clips."""
        rng = np.random.default_rng([self.examples.seed, 3])
        draws = rng.multinomial(self.groups, np.full(self.groups, 1 / self.groups), RESAMPLES).astype(float)
        ends = [f"{name}_{end}" for name in ("f1", "auc", "spearman") for end in ("low", "high")]
        found = {name: np.full(len(self.pairs), np.nan) for name in ends}
        for first in range(0, len(self.pairs), 1024):
            values = self._resampled(draws, first, min(first + 1024, len(self.pairs)))
            for name, each in values.items():  # [resamples, pairs]
                each = np.where(np.isfinite(each).all(0), each, np.nan)
                low, high = np.quantile(each, [0.025, 0.975], axis=0)
                found[f"{name}_low"][first : first + 1024] = low
                found[f"{name}_high"][first : first + 1024] = high
        return found

    def _resampled(self, draws: np.ndarray, first: int, last: int) -> dict[str, np.ndarray]:
        """F1, AUC and Spearman of the pairs first..last-1 in every resample, [resamples, pairs]."""
        pairs = self.pairs[np.arange(first, last)]
        positive = self.oriented(self.positive[first:last].astype(np.float64), pairs.side)
        everything = self.oriented(self.everything[pairs.feature], pairs.side)
        threshold = self.threshold[first:last]
        above = np.arange(self.bins) >= threshold[:, None]
        true = (positive * above[:, None]).sum(2) @ draws.T  # [pairs, resamples]
        active = (everything * above[:, None]).sum(2) @ draws.T
        f1 = statistics.f1_at(true, active, positive.sum(2) @ draws.T)
        area = np.empty((len(positive), len(draws)), np.float32)
        narrow, narrow_all = positive.astype(np.float32), everything.astype(np.float32)  # ample for an interval
        for start in range(0, len(draws), 25):
            part = draws[start : start + 25].astype(np.float32)
            p, e = np.matmul(part, narrow), np.matmul(part, narrow_all)  # [pairs, 25, bins]
            area[:, start : start + 25] = statistics.auc(p, e)
        rho = np.full((len(positive), len(draws)), np.nan)
        inside = (self.graded >= first) & (self.graded < last)
        if inside.any():
            graded = self.graded[inside]
            counts = np.matmul(draws, self.positive[graded].astype(np.float64))
            sums = np.matmul(draws, self.weighted[inside].astype(np.float64))
            rho[graded - first] = statistics.spearman(counts, sums, self.squares[self.pairs.label[graded]] @ draws.T)
        return {"f1": f1.T, "auc": area.T, "spearman": rho.T}

    def _null(self, frames: np.ndarray, positives: np.ndarray) -> dict[str, np.ndarray]:
        """What shuffled labels score, and the false-discovery rate of the real ones."""
        pairs, label = self.pairs, self.pairs.label
        sign = np.where(pairs.side == 1, -1.0, 1.0)
        count = self.null_count[label]
        active = (self.everything.sum(1)[pairs.feature] * self.active).sum(1)
        null_f1 = statistics.f1_at(self.null_true, active[:, None], count)
        everything = self.everything.sum(1)[pairs.feature]
        rank = self.rank[pairs.feature]
        mean = statistics.over((rank * everything).sum(1), frames)
        mean_null = statistics.over(self.null_rank, count) - mean[:, None]
        rest = statistics.over(frames, frames - positives)
        null_auc = np.clip(0.5 + sign[:, None] * mean_null * rest[:, None], 0, 1)
        raw = self.positive.sum(1)
        real = sign * (statistics.over((rank * raw).sum(1), positives) - mean)
        shuffled = sign[:, None] * mean_null
        graded = self.continuous[label]
        if graded.any():
            spread = np.sqrt(np.maximum(statistics.over((rank**2 * everything).sum(1), frames) - mean**2, 1e-12))
            squares = self.squares.sum(1)[label]
            scale = spread * np.sqrt(np.maximum(squares * positives, 1e-12))
            moved = (self.null_rank - mean[:, None] * self.null_weight[label]) / scale[:, None]
            weighted = np.zeros(len(pairs))
            weighted[self.graded] = (rank[self.graded] * self.weighted.sum(1)).sum(1)
            weighted[self.graded] -= mean[self.graded] * self.weighted.sum((1, 2))
            real = np.where(graded, np.abs(weighted / scale), real)
            shuffled = np.where(graded[:, None], np.abs(moved), shuffled)
            null_f1 = np.where(graded[:, None], np.abs(moved), null_f1)
            null_auc = np.where(graded[:, None], np.nan, null_auc)
        z, null_z = _standardized(real, shuffled)
        z[(active == 0) & ~graded] = np.nan  # never active on held-out clips: no evidence either way
        chosen = self.unit_row
        q = _interpolated(z[chosen], statistics.false_discovery(z[chosen], null_z[chosen]), z)
        return {"null": null_f1.mean(1), "null_auc": null_auc.mean(1), "q": q}

    def _threshold_values(self) -> np.ndarray:
        """The threshold of each pair in units of the feature."""
        edges = self.source.edges[self.pairs.feature]
        last = edges.shape[1] - 1
        upper = np.take_along_axis(edges, np.clip(self.threshold - 1, 0, last)[:, None], 1)[:, 0]
        lower = np.take_along_axis(edges, np.clip(self.bins - 1 - self.threshold, 0, last)[:, None], 1)[:, 0]
        value = np.where(self.pairs.side == 1, lower, upper)
        always = self.threshold == 0
        return np.where(always, np.where(self.pairs.side == 1, np.inf, -np.inf), value)

    def add_levels(self, scores: Scores) -> None:
        """The labels of the family that stand out at the top and in the middle of a feature's activity."""
        assert self.family is not None
        base = self.examples.positives[self.family] / self.everything[0].sum()
        for i, (feature, side) in enumerate(self.units.T):
            everything = self.everything[feature].sum(0)
            n_top, n_middle = float((everything * self.top[i]).sum()), float((everything * self.middle[i]).sum())
            if min(n_top, n_middle) < 20:
                continue
            top, middle = self.at_top[i] / n_top, self.at_middle[i] / n_middle
            a, b = _outstanding(top, base), _outstanding(middle, base)
            # Another label in the middle: more common than the top's there, and than at the top by two standard errors.
            error = 2 * np.sqrt(middle[b] * (1 - middle[b]) / n_middle + top[b] * (1 - top[b]) / n_top + 1e-12)
            other = a != b and middle[b] > middle[a] and middle[b] - top[b] > error
            poly = bool(other and middle[b] > 2 * base[b] and top[a] > 2 * base[a])
            scores.levels[int(feature), int(side)] = (
                int(self.family[a]), float(top[a]), int(self.family[b]), float(middle[b]), poly,
            )  # fmt: skip

    def add_rates(self, scores: Scores, best: list[tuple[int, str, int, int]]) -> None:
        """How often the best feature of each label of the family is active on each of them."""
        assert self.family is not None
        counts = self.examples.positives[self.family]
        for row, pair in enumerate(self.rate_rows):
            for column, label in enumerate(self.family):
                rate = min(float(self.rate[row, column] / counts[column]), 1.0)
                scores.rates.append((int(label), int(pair), rate, int(counts[column])))


_BINARY = ("f1", "f1_low", "f1_high", "precision", "recall", "auc", "auc_low", "auc_high", "average_precision")
_BINARY += ("information", "lift", "null_auc")


def _columns_of_matrix(pairs: Pairs, family: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """For each label of the family the pair with the best F1 on the side it was chosen on."""
    found = []
    for label in family:
        rows = np.flatnonzero(pairs.label == label)
        if len(rows):
            found.append(rows[np.nan_to_num(f1[rows], nan=-1.0).argmax()])
    return np.array(found, np.int64)


def _levels(everything: np.ndarray, side: int, sparse: bool) -> np.ndarray:
    """[2, bins]: 1 in the bins of the top decile of a side's active frames, and in its deciles 4 to 6."""
    counts = everything[::-1].copy() if side else everything.copy()
    if sparse:
        counts[0] = 0
    total = counts.sum() if sparse else DENSE_ACTIVE * counts.sum()
    from_top = np.cumsum(counts[::-1])[::-1] - counts / 2  # frames above the middle of each bin
    place = 1 - from_top / max(total, 1)  # 1 at the strongest, below 0 where not active
    place[counts == 0] = -1
    found = np.stack([(place >= low) & (place < high) for low, high in (_TOP, _MIDDLE)]).astype(np.float32)
    if not found[0].any() and (place >= 0).any():
        found[0, np.flatnonzero(place >= 0)[-1]] = 1
    return found[:, ::-1] if side else found


def _outstanding(share: np.ndarray, base: np.ndarray) -> int:
    """The label that tells most of these frames from all: the largest term of the relative entropy."""
    ratio = np.maximum(share, 1e-12) / np.maximum(base, 1e-12)
    return int((share * np.log(ratio)).argmax())


def _standardized(real: np.ndarray, shuffled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each real score is from its shuffles, in standard deviations, and each shuffle from the others."""
    k = shuffled.shape[1]
    mean, square = shuffled.mean(1), (shuffled**2).mean(1)
    deviation = np.sqrt(np.maximum(square - mean**2, 0) * k / (k - 1))
    z = statistics.over(real - mean, deviation)
    rest = (k * mean[:, None] - shuffled) / (k - 1)
    rest_square = (k * square[:, None] - shuffled**2) / (k - 1)
    rest_deviation = np.sqrt(np.maximum(rest_square - rest**2, 0) * (k - 1) / (k - 2))
    return z, statistics.over(shuffled - rest, rest_deviation)


def _interpolated(known: np.ndarray, q: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The rate of any z: that of the largest known z that it reaches; 1 where it reaches none."""
    order = np.argsort(known)
    order = order[np.isfinite(known[order])]
    if not len(order):
        return np.ones(len(z))
    place = np.searchsorted(known[order], z, side="right") - 1
    return np.where(np.isfinite(z) & (place >= 0), q[order][np.maximum(place, 0)], 1.0)
