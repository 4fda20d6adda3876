"""Features with a known answer get it, and features without one stay unnamed."""

from __future__ import annotations

import numpy as np
import pytest
from planted import RATE, Arrays, corpus

from freud.naming import names
from freud.naming.examples import ExampleBank, split
from freud.naming.labels import LabelBank
from freud.naming.scoring import Scores, score

FRAMES = 4 * RATE


def named(values: list[np.ndarray], *, sparse: bool = False, kinds: tuple[str, ...] | None = None, seed: int = 0):
    clips = corpus()
    bank = LabelBank(clips, kinds=kinds or ("phone", "class", "boundary", "silence", "place", "time"))
    source = Arrays(values, sparse=sparse, sides="+" if sparse else "+-")
    pieces = source.pieces()
    sides = split(clips, np.bincount(pieces.clip, pieces.rows), seed=seed)
    examples = ExampleBank(bank, pieces, sides, seed=seed)
    family = np.array([i for i, label in enumerate(examples.labels) if label.kind == "phone"])
    scores = score(source, examples, RATE, family=family, progress=False)
    features = source.features
    columns = names.name_columns(
        scores, examples.labels, source.sides, np.full(features, 0.03), np.zeros(features, bool), sparse
    )
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return rows, scores, examples


def labels(label: str) -> list[np.ndarray]:
    clips = corpus()
    bank = LabelBank(clips, kinds=("phone", "boundary", "place", "class"))
    return [bank.frames(clip, FRAMES)[:, bank.index[label]] for clip in range(len(clips))]


@pytest.fixture(scope="module")
def planted() -> tuple[list[dict], Scores, ExampleBank]:
    """Dense: 0 is /m/ 40 ms late, 1 is minus /s/ 20 ms early, 2 a phone's onset, 3 the clip's start, 4 to 7 noise."""
    rng = np.random.default_rng(0)
    given = [labels(name) for name in ("phone:M", "phone:S", "boundary:phone onset", "place:clip start")]
    values = []
    for m, s, onset, start in zip(*given, strict=True):
        signal = np.stack([np.roll(m, 2), -np.roll(s, -1), onset, start, *np.zeros((4, FRAMES))], 1)
        values.append(4 * signal + rng.normal(size=signal.shape))
    return named(values)


def test_planted_labels_lags_and_sides_are_found(planted: tuple[list[dict], Scores, ExampleBank]) -> None:
    rows = {(row["feature"], row["side"]): row for row in planted[0]}
    assert rows[0, "+"]["label"] == "phone:M"
    assert rows[0, "+"]["lag_ms"] == 40
    assert rows[1, "-"]["label"] == "phone:S"
    assert rows[1, "-"]["lag_ms"] == -20
    assert rows[2, "+"]["label"] == "boundary:phone onset"
    assert rows[2, "+"]["onset"]
    assert rows[3, "+"]["label"] == "place:clip start"
    assert rows[3, "+"]["positional"]
    assert rows[0, "+"]["auc"] > 0.98
    assert rows[0, "+"]["f1"] > 0.85
    assert rows[0, "+"]["null"] < 0.3
    assert rows[0, "+"]["f1_low"] <= rows[0, "+"]["f1"] <= rows[0, "+"]["f1_high"]
    assert rows[1, "-"]["lift"] > 1
    assert rows[1, "-"]["threshold"] < 0
    assert rows[0, "+"]["name"].startswith("/m/ · F1 0.")
    assert "lag +40 ms" in rows[0, "+"]["name"]


def test_held_out_speakers_are_others(planted: tuple[list[dict], Scores, ExampleBank]) -> None:
    examples = planted[2]
    assert examples.sides.by == "speaker"
    speakers = np.array(corpus().table["speaker"].to_pylist())
    assert not set(speakers[examples.sides.fit]) & set(speakers[examples.sides.held])


def test_scores_are_those_of_the_held_out_frames(planted: tuple[list[dict], Scores, ExampleBank]) -> None:
    _, scores, examples = planted
    pair = next(
        i for i in range(len(scores.pairs))
        if scores.pairs.feature[i] == 0 and examples.labels[scores.pairs.label[i]].id == "phone:M"
    )  # fmt: skip
    rng = np.random.default_rng(0)
    true, value = [], []
    for clip, m in enumerate(labels("phone:M")):
        noise = rng.normal(size=(FRAMES, 8))[:, 0]
        if examples.sides.held[clip]:
            true.append(m[: FRAMES - 2])
            value.append((4 * np.roll(m, 2) + noise)[2:])
    frames, active = np.concatenate(true) > 0, np.concatenate(value) >= scores.columns["threshold"][pair]
    assert scores.columns["positives"][pair] == frames.sum()
    assert scores.columns["recall"][pair] == pytest.approx((active & frames).sum() / frames.sum(), abs=0.01)
    assert scores.columns["precision"][pair] == pytest.approx((active & frames).sum() / active.sum(), abs=0.01)


def test_noise_stays_unnamed() -> None:
    rng = np.random.default_rng(1)
    smooth = [np.apply_along_axis(np.convolve, 0, rng.normal(size=(FRAMES, 60)), np.ones(5), "same") for _ in range(24)]
    rows, _, _ = named(smooth)
    assert sum(not row["unnamed"] for row in rows) <= 0.05 * len(rows)
    assert {row["name"] for row in rows if row["unnamed"]} == {"unnamed"}


def test_sparse_features_and_two_meanings() -> None:
    """0 fires on /m/ only; 1 strongly on /s/ and half as strongly on /t/; 2 at random places."""
    rng = np.random.default_rng(2)
    values = []
    for m, s, t in zip(labels("phone:M"), labels("phone:S"), labels("phone:T"), strict=True):
        noise = rng.uniform(0.8, 1.2, (3, FRAMES))
        some = rng.random(FRAMES) < 0.5
        two = np.where(s > 0, 2 + noise[1], 0) * some + np.where(t > 0, noise[1], 0)
        values.append(np.stack([m * noise[0], two, noise[2] * (rng.random(FRAMES) < 0.05)], 1))
    rows, scores, examples = named(values, sparse=True, kinds=("phone", "class"))
    assert rows[0]["label"] == "phone:M"
    assert rows[0]["f1"] > 0.97
    assert not rows[0]["polysemous"]
    assert rows[1]["polysemous"]
    assert rows[1]["top_label"] == "phone:S"
    assert rows[1]["middle_label"] == "phone:T"
    assert rows[2]["unnamed"]
    matrix = names.matrix_columns(scores, examples.labels)
    rate = dict(zip(zip(matrix["label"], matrix["column"], strict=True), matrix["rate"], strict=True))
    assert rate["phone:M", "phone:M"] > 0.97
    assert rate["phone:S", "phone:M"] < 0.03
