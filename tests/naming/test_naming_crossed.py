"""The cross-validation of recipes/replication: against references, and that it never sees the speaker left out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

import freud
from freud.corpus import Corpus

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes" / "replication"))
import crossed
import groups
import phones

FRAMES = 300  # a speaker, in two clips


@pytest.fixture(scope="module")
def known() -> crossed.Frames:
    """Four speakers, two clips each, three labels in runs of five frames."""
    rng = np.random.default_rng(0)
    label = np.repeat(rng.random((4 * FRAMES // 5, 3)) < 0.15, 5, axis=0)
    clip = np.repeat(np.arange(8), FRAMES // 2)
    return crossed.Frames(clip, clip // 2, list("abcd"), label, ["/m/", "/s/", "/a/"])


@pytest.fixture(scope="module")
def values(known: crossed.Frames) -> torch.Tensor:
    """Features: 0 is /m/ 40 ms late, 1 minus /s/ at once, 2 /m/ but of speaker a only, the others noise."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(len(known.label), 12))
    x[:, 0] += 2 * known.moved(known.label)[:, 0, crossed.LAGS.index(2)]
    x[:, 1] -= 2 * known.label[:, 1]
    x[:, 2] = np.where(known.speaker == 0, 9 * known.label[:, 0], x[:, 2])
    return torch.from_numpy(x.astype(np.float32))


@given(arrays(np.float32, (3, 40), elements=st.sampled_from([-1.5, 0.0, 0.25, 3.0])))
@settings(deadline=None, max_examples=50)
def test_ranks_share_ties(rows: np.ndarray) -> None:
    np.testing.assert_array_equal(crossed.ranks(torch.from_numpy(rows)).numpy(), rankdata(rows, axis=1))


def test_areas_are_those_of_scikit_learn(known: crossed.Frames, values: torch.Tensor) -> None:
    found = crossed.areas(values, known.label, known.speaker)
    for speaker in range(4):
        mine = known.speaker == speaker
        for feature, label in ((0, 0), (1, 1), (5, 2)):
            expected = roc_auc_score(known.label[mine, label], values[mine, feature])
            assert found[speaker, feature, label] == pytest.approx(expected, abs=1e-5)


def test_planted_features_are_chosen_with_side_and_lag(known: crossed.Frames, values: torch.Tensor) -> None:
    rows = crossed.search(known, values, "+-", basis="planted")
    chosen = {
        (row["phone"], row["feature"], row["side"], row["lag_ms"])
        for row in rows
        if row["phone"] != "/a/" and not row["trial"]
    }
    assert chosen == {("/m/", 0, "+", 40), ("/s/", 1, "-", 0)}, "what is good for one speaker only is not chosen"
    score = phones.pooled(phones.union(rows))
    assert score["/m/"]["AUC"] > 0.85 > 0.65 > score["/a/"]["AUC"]
    assert abs(np.mean([row["null AUC"] for row in score.values()]) - 0.5) < 0.1
    assert score["/m/"]["positives"] == known.moved(known.label)[:, 0, crossed.LAGS.index(2)].sum()
    assert phones.summary(phones.union(rows))["phones"] == 3


def test_who_is_left_out_has_no_say(known: crossed.Frames, values: torch.Tensor) -> None:
    """Any values of a speaker leave the choices of the fold without that speaker as they were."""
    other = values.clone()
    other[known.speaker == 2] = torch.randn(FRAMES, values.shape[1], generator=torch.Generator().manual_seed(0))
    columns = ("phone", "caution", "feature", "side", "lag_ms", "fit", "null_fit")
    both = [crossed.search(known, x, "+-") for x in (values, other)]
    choices = [[tuple(row[c] for c in columns) for row in phones.union(x) if row["speaker"] == "c"] for x in both]
    assert choices[0] == choices[1]
    trials = [[row for row in x if row["speaker"] == "c" and row["trial"]] for x in both]
    assert trials[0] == trials[1]
    assert {row["trial"] for row in trials[0]} == set("abd")
    probes = [[row["fit"] for row in crossed.probes(known, x) if row["speaker"] == "c"] for x in (values, other)]
    assert probes[0] == pytest.approx(probes[1])


def test_the_caution_of_a_fold_is_the_one_that_does_better_on_its_other_speakers() -> None:
    """Two sources; which is the better one is told by `fit`, at each caution and in each trial apart."""
    shared = {"phone": "/m/", "null_fit": 0.5, "null_auc": 0.5, "trial": None}
    rows = [
        {**shared, "speaker": speaker, "caution": caution, "fit": fit, "feature": feature, "auc": 0.0}
        for speaker in "ab"
        for caution, fit, feature in ((0.0, 0.9, 1), (0.0, 0.8, 2), (1.0, 0.6, 3), (1.0, 0.7, 4))
    ]
    trials = {  # (left out, tried on, caution): (fit, auc) of each source
        ("a", "b", 0.0): ((0.9, 0.70), (0.8, 0.99)), ("a", "b", 1.0): ((0.7, 0.71), (0.6, 0.10)),
        ("b", "a", 0.0): ((0.9, 0.71), (0.8, 0.10)), ("b", "a", 1.0): ((0.7, 0.70), (0.6, 0.99)),
    }  # fmt: skip
    for (speaker, trial, caution), sources in trials.items():
        rows += [
            {"phone": "/m/", "speaker": speaker, "trial": trial, "caution": caution, "fit": fit, "auc": auc}
            for fit, auc in sources
        ]
    assert {row["speaker"]: row["feature"] for row in phones.union(rows)} == {"a": 4, "b": 1}
    assert {row["speaker"]: row["feature"] for row in phones.union(rows, 1.0)} == {"a": 4, "b": 4}
    assert {row["speaker"]: row["feature"] for row in phones.union(rows, 0.0)} == {"a": 1, "b": 1}


def test_scores_of_the_speaker_left_out(known: crossed.Frames, values: torch.Tensor) -> None:
    score, label = -values[:, 1].numpy().round(1), known.label[:, 1]
    found = crossed.scored(known, score, label, 3)
    held = known.speaker == 3
    assert found["auc"] == pytest.approx(roc_auc_score(label[held], score[held]))
    assert found["average_precision"] == pytest.approx(average_precision_score(label[held], score[held]))
    levels = np.unique(score[~held])
    best = levels[np.argmax([f1_score(label[~held], score[~held] >= level) for level in levels])]
    assert found["active"] == (score[held] >= best).sum()
    assert found["true"] == ((score >= best) & label)[held].sum()


def test_groups_and_probe_use_more_than_one_feature(known: crossed.Frames) -> None:
    """A label that is the difference of two features: alone each says little."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(len(known.label), 30)).astype(np.float32)
    x[:, 7] = x[:, 4] + 0.3 * x[:, 7] + known.label[:, 0]
    rows = crossed.grouped(known, torch.from_numpy(x), (1, 2))
    m = {size: phones.pooled([r for r in rows if r["size"] == size])["/m/"]["AUC"] for size in (1, 2)}
    assert m[2] > 0.9 > m[1] + 0.1
    assert {frozenset(r["group"].split()) for r in rows if r["size"] == 2 and r["phone"] == "/m/"} == {frozenset("47")}
    assert phones.pooled(crossed.probes(known, torch.from_numpy(x)))["/m/"]["AUC"] > 0.9
    assert groups.pursuit(x, known.label.astype(float), 3).shape == (3, 3)


@given(arrays(np.float32, (12, 4), elements=st.sampled_from([0.0, 0.25, 1.0, 3.0])), st.integers(1, 4095))
@settings(deadline=None, max_examples=20)
def test_the_best_feature_has_the_best_f1_of_all_features_and_thresholds(x: np.ndarray, bits: int) -> None:
    label = np.array([bits >> i & 1 for i in range(12)], bool)
    feature, threshold, score = groups.best_feature(x, label)
    assert score == pytest.approx(f1_score(label, x[:, feature] >= threshold))
    assert score == pytest.approx(max(f1_score(label, x[:, f] >= level) for f in range(4) for level in np.unique(x)))


@pytest.mark.shared
def test_neurons_of_a_real_encoder_know_phones_of_other_speakers(shared: Path, tmp_path: Path) -> None:
    """Two utterances of each of six speakers; the whole table is on the replication page."""
    from prepare import corpus

    every = corpus(tmp_path, shared / "data" / "real-audio", "speech")
    speakers = every.table["speaker"].to_pylist()
    keep = [speakers[:i].count(speaker) < 2 for i, speaker in enumerate(speakers)]
    manifest = {"fingerprint": "few", "parameters": {"layout": "csv"}, "problems": []}
    few = Corpus(None, every.root, manifest, every.table.filter(keep), lambda: every.segment_table)
    site = "encoder.blocks.3.mlp.1"
    store = freud.collect(str(shared / "models" / "whisper-base-encoder"), few, [site], tmp_path / "a", progress=False)
    rows = crossed.search(crossed.frames(store, few), crossed.values(store, site)[:, ::4], "+-")
    found = phones.summary(phones.union(rows))
    assert found["phones"] >= 30
    assert found["mean AUC"] > 0.75
    assert abs(found["null AUC"] - 0.5) < 0.06
