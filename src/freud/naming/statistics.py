"""Every score of naming, each defined once, from histograms alone.

`positive` [..., bins] counts the frames that have a label by the bin of the feature, `everything` all frames; bins
ascend, and a threshold b makes the feature active in bins b and above. Within a bin values count as tied, so a score is
that of the binned values exactly, and `auc_resolution` bounds how far the AUC of the values themselves can be from it.
"""

from __future__ import annotations

import numpy as np


def _from_top(counts: np.ndarray) -> np.ndarray:
    """Sums over this bin and all above it."""
    return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]


def over(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, and NaN where b is 0."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    return np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0)


def ranks(everything: np.ndarray) -> np.ndarray:
    """Middle rank of each bin [..., bins], as a share of all frames less a half: -0.5 ... 0.5, mean 0 over frames."""
    total = everything.sum(-1, keepdims=True)
    return over(np.cumsum(everything, -1) - everything / 2, total) - 0.5


def auc(positive: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Chance that a frame with the label has the larger value than one without, ties counting half (Mann-Whitney)."""
    negative = everything - positive
    below = np.cumsum(negative, -1) - negative / 2
    return over((positive * below).sum(-1), positive.sum(-1) * negative.sum(-1))


def auc_resolution(positive: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Most that the AUC can change when the frames within each bin are put in any order."""
    negative = everything - positive
    return over((positive * negative).sum(-1), 2 * positive.sum(-1) * negative.sum(-1))


def f1_at(true: np.ndarray, active: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """2 TP / (active + positives): the harmonic mean of precision and recall."""
    return over(2 * true, active + positives)


def kappa(true: np.ndarray, active: np.ndarray, positives: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """F1 corrected for chance: (F1 - E) / (1 - E), E being the F1 of as many active frames at random.

    It equals Cohen's kappa (Albatineh et al. 2006), so that labels of any frequency compare: "speech" is no better
    a name than "/m/" only because a feature that is always on has an F1 of 0.9 on it.
    """
    expected = f1_at(over(active * positives, frames), active, positives)
    return over(f1_at(true, active, positives) - expected, 1 - expected)


def best_f1(positive: np.ndarray, everything: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest F1 over all thresholds, and its threshold: the lowest active bin."""
    scores = f1_at(_from_top(positive), _from_top(everything), positive.sum(-1, keepdims=True))
    scores = np.nan_to_num(scores)
    best = scores.argmax(-1)
    return np.take_along_axis(scores, best[..., None], -1)[..., 0], best


def above(counts: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Frames in the bins from `threshold` up."""
    return np.take_along_axis(_from_top(counts), threshold[..., None], -1)[..., 0]


def average_precision(positive: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Sum over thresholds of the precision times the gain in recall, as scikit-learn defines it."""
    precision = over(_from_top(positive), _from_top(everything))
    return over((np.nan_to_num(precision) * positive).sum(-1), positive.sum(-1))


def information(positive: np.ndarray, everything: np.ndarray) -> np.ndarray:
    """Mutual information of bin and label over the entropy of the label: the share of it that the feature tells."""
    frames = everything.sum(-1)
    share = over(positive.sum(-1), frames)
    entropy = _entropy(share)
    within = (everything * _entropy(over(positive, everything))).sum(-1)
    return over(entropy - over(within, frames), entropy)


def _entropy(share: np.ndarray) -> np.ndarray:
    """Of yes or no, in bits; 0 where `share` is 0, 1 or undefined."""
    share = np.nan_to_num(share)
    inside = (share > 0) & (share < 1)
    p = np.where(inside, share, 0.5)
    return np.where(inside, -(p * np.log2(p) + (1 - p) * np.log2(1 - p)), 0.0)


def spearman(counts: np.ndarray, weighted: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Rank correlation of a feature and a number y.

    Args:
        counts: [..., bins] frames on which y is defined, by bin of the feature.
        weighted: [..., bins] sum over them of the rank of y, on any scale.
        square: [...] sum over them of its square.

    Returns:
        [...] from -1 to 1; NaN where either is constant.
    """
    n = counts.sum(-1)
    x = np.nan_to_num(ranks(counts))  # mean 0 over the frames
    total = weighted.sum(-1)
    covariance = (x * weighted).sum(-1)
    x_square = (x**2 * counts).sum(-1)
    y_square = square - over(total**2, n)
    return over(covariance, np.sqrt(np.maximum(x_square * y_square, 0)))


def false_discovery(real: np.ndarray, null: np.ndarray) -> np.ndarray:
    """For each of `real` [n], the expected share of false ones among all that are at least as large.

    Args:
        real: [n] how far each pair is above its own null, in standard deviations.
        null: [n, k] the same of k shuffles of each, pooled over pairs (Tusher et al. 2001).

    Returns:
        [n] at most 1, not growing with `real`; 1 where `real` is NaN.
    """
    pooled = np.sort(null[np.isfinite(null)])
    q = np.ones(len(real))
    known = np.flatnonzero(np.isfinite(real))
    if not len(known) or not len(pooled):
        return q
    order = known[np.argsort(-real[known], kind="stable")]
    exceeding = len(pooled) - np.searchsorted(pooled, real[order], side="left")
    false = (exceeding + 1) / (len(pooled) + 1) * len(known)  # + 1: never certain
    rates = false / np.arange(1, len(order) + 1)
    q[order] = np.minimum(np.minimum.accumulate(rates[::-1])[::-1], 1)
    return q
