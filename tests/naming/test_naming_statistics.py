"""Every score against scikit-learn and SciPy on the frames, and what must hold of any histogram."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn import metrics

from freud.naming import statistics
from freud.naming.blocks import Dense, Labeled, Pieces, Sparse
from freud.naming.sources import QUANTILES


def drawn(seed: int, frames: int = 4000, effect: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.random(frames) < rng.uniform(0.02, 0.5)
    return rng.standard_t(4, frames) + effect * label, label


def histograms(bins: np.ndarray, label: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    return (np.bincount(b, minlength=count).astype(float) for b in (bins[label], bins))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_the_binned_values(seed: int) -> None:
    values, label = drawn(seed)
    bins = np.searchsorted(np.quantile(values, QUANTILES), values, side="right")
    positive, everything = histograms(bins, label, 64)
    assert statistics.auc(positive, everything) == pytest.approx(metrics.roc_auc_score(label, bins))
    precision = metrics.average_precision_score(label, bins)
    assert statistics.average_precision(positive, everything) == pytest.approx(precision)
    f1, threshold = statistics.best_f1(positive, everything)
    every = [metrics.f1_score(label, bins >= b) for b in range(64)]
    assert f1 == pytest.approx(max(every))
    assert threshold == int(np.argmax(every))
    nats = metrics.mutual_info_score(label, bins)
    share = label.mean()
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert statistics.information(positive, everything) == pytest.approx(nats / entropy)
    active = bins >= 50
    kappa = statistics.kappa(*map(np.array, ((active & label).sum(), active.sum(), label.sum(), len(label))))
    assert kappa == pytest.approx(metrics.cohen_kappa_score(label, active))


@pytest.mark.parametrize("seed", range(5))
def test_auc_of_the_values_lies_within_the_stated_resolution(seed: int) -> None:
    values, label = drawn(seed, effect=0.5 + seed / 3)
    bins = np.searchsorted(np.quantile(values, QUANTILES), values, side="right")
    positive, everything = histograms(bins, label, 64)
    resolution = statistics.auc_resolution(positive, everything)
    assert abs(statistics.auc(positive, everything) - metrics.roc_auc_score(label, values)) <= resolution < 0.012


@pytest.mark.parametrize("seed", range(3))
def test_spearman_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, noise = rng.normal(size=(2, 3000))
    y = x * (seed - 1) + noise
    bins = np.searchsorted(np.quantile(x, QUANTILES), x, side="right")
    ranks = y.argsort().argsort() / len(y) - 0.5
    counts, weighted = np.bincount(bins, minlength=64).astype(float), np.bincount(bins, ranks, 64)
    found = statistics.spearman(counts, weighted, np.array((ranks**2).sum()))
    assert found == pytest.approx(spearmanr(bins, y).statistic, abs=1e-9)
    assert found == pytest.approx(spearmanr(x, y).statistic, abs=0.005)


counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12)


@given(counts)
@settings(max_examples=200, deadline=None)
def test_any_histogram(pairs: list[tuple[int, int]]) -> None:
    positive, negative = np.array(pairs, float).T
    everything = positive + negative
    area = statistics.auc(positive, everything)
    if positive.sum() == 0 or negative.sum() == 0:
        assert np.isnan(area)
        return
    assert area + statistics.auc(positive[::-1], everything[::-1]) == pytest.approx(1)  # turned around
    assert 0 <= area <= 1
    assert -1e-9 <= statistics.information(positive, everything) <= 1 + 1e-9
    f1, threshold = statistics.best_f1(positive, everything)
    assert f1 >= statistics.f1_at(positive.sum(), everything.sum(), positive.sum()) - 1e-12  # of "always"
    true, active = (statistics.above(each[None], np.array([threshold]))[0] for each in (positive, everything))
    assert f1 == pytest.approx(statistics.f1_at(true, active, positive.sum()))
    assert statistics.average_precision(positive, everything) >= positive.sum() / everything.sum() * 0.5
    assert np.dot(np.nan_to_num(statistics.ranks(everything)), everything) == pytest.approx(0, abs=1e-6)


def test_false_discovery_rate_of_nothing_is_one_and_of_everything_small() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(100):
        null = rng.normal(size=(500, 20))
        found.append(statistics.false_discovery(rng.normal(size=500), null).min() <= 0.05)
    assert sum(found) <= 12  # where all are null, anything at all is found in one of twenty draws
    strong = statistics.false_discovery(rng.normal(6, 1, 500), null)
    assert (strong < 0.01).mean() > 0.95
    assert statistics.false_discovery(np.array([np.nan, 9.0]), null[:2])[0] == 1


def test_sparse_blocks_without_a_posting_sum_weights_as_numbers() -> None:
    """NumPy counts in integers where there is nothing to count, which cut weights short."""
    pieces = Pieces(np.arange(1), np.zeros(1, np.int64), np.full(1, 4))
    nothing = np.zeros(0, np.int64)
    sparse = Sparse(pieces, nothing, nothing, np.zeros(0, np.uint8), (1, 2))
    labeled = Labeled(np.ones(4, bool), np.zeros(4, np.int64), 1, np.full(4, 0.3))
    np.testing.assert_allclose(sparse.count(np.zeros(1, int), np.zeros(1, int), labeled), [[[1.2, 0]]])


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_sparse_and_dense_blocks_sum_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(5, 40, rng.integers(1, 5))
    pieces = Pieces(np.arange(len(rows)), np.zeros_like(rows), rows)
    frames, features, count = pieces.frames, 6, 5
    bins = (rng.integers(0, count, (features, frames)) * (rng.random((features, frames)) < 0.3)).astype(np.uint8)
    feature, row = np.nonzero(bins)
    order = rng.permutation(len(row))
    sparse = Sparse(pieces, row[order], feature[order], bins[feature, row][order], (features, count))
    dense = Dense(pieces, bins, count)
    group = rng.integers(0, 3, frames)
    np.testing.assert_array_equal(sparse.histogram(group, 3), dense.histogram(group, 3))
    which, lags = rng.integers(0, features, 9), rng.integers(-4, 5, 9)
    label, weight = rng.random(frames) < 0.4, rng.normal(size=frames)
    for weights in (None, weight):
        found = [block.count(which, lags, Labeled(label, group, 3, weights)) for block in (sparse, dense)]
        np.testing.assert_allclose(*found, atol=1e-9)
    piece = pieces.expand(np.arange(len(rows)))
    slow = np.zeros((3, count))
    for t in np.flatnonzero(label):
        later = t + lags[0]
        if 0 <= later < frames and piece[later] == piece[t]:
            slow[group[t], bins[which[0], later]] += 1
    np.testing.assert_array_equal(found[0][0].shape, slow.shape)
    np.testing.assert_array_equal(dense.count(which[:1], lags[:1], Labeled(label, group, 3))[0], slow)
    table, columns = rng.normal(size=(9, count)), rng.normal(size=(frames, 4))
    expected = np.stack([table[i, bins[f]] @ columns for i, f in enumerate(which)])
    for block in (sparse, dense):
        np.testing.assert_allclose(block.dot(which, table, columns), expected, atol=1e-3)
