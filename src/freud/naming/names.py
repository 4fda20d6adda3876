"""From scores to names: one line a feature, by a template for each kind of label, and flags for what is special.

A feature is named after the label that agreed with it best on the clips to fit on, if that label beats its shuffles on
the held-out clips at a false-discovery rate of 5 %; otherwise it is "unnamed", and says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from freud.naming.labels import CLIP_EDGES, Label
from freud.naming.scoring import Scores

RATE = 0.05  # of false discoveries
DENSE = 0.1  # density from which a latent is dense
RUNNER_UPS = 3
SIDES = "+-"
_SCORED = re.compile(r" · (?:F1|ρ) -?[0-9.]+ on [0-9]+ held-out clips?\b")  # where the scores of a `template` begin


def template(label: Label, row: dict[str, Any], clips: int) -> str:
    """The name of a feature: "/m/ · F1 0.81 on 20 held-out clips · lag +20 ms · null 0.07".

    Args:
        label: what it is named after.
        row: its scores, by column.
        clips: held-out clips with the label.
    """
    rho = row["spearman"]
    score = f"{_arrow(rho)} · ρ {rho:.2f}" if label.continuous else f"· F1 {row['f1']:.2f}"
    on = f"on {clips} held-out clip{'' if clips == 1 else 's'}"
    lag = f" · lag {row['lag_ms']:+.0f} ms" if row["lag_ms"] else ""
    return f"{label.text} {score} {on}{lag} · null {row['null']:.2f}"


def said(name: str) -> str:
    """What a name says without its scores: "/m/" of "/m/ · F1 0.81 on ...". A name that a person gave is all said."""
    return _SCORED.split(name, 1)[0]


def _arrow(rho: float) -> str:
    return "↑" if rho > 0 else "↓"


def name_columns(
    scores: Scores,
    labels: Sequence[Label],
    sides: str,
    density: np.ndarray,
    dead: np.ndarray,
    sparse: bool,
) -> dict[str, Any]:
    """Columns of `names`: a row for each feature and side.

    Args:
        scores: of all pairs.
        labels: that the pairs refer to.
        sides: "+" or "+-".
        density: [features] share of active frames.
        dead: [features] bool.
        sparse: latents rather than neurons.
    """
    rows: list[dict[str, Any]] = []
    by_unit = _ordered(scores)
    for feature in range(len(density)):
        for side in range(len(sides)):
            pairs = by_unit.get((feature, side), [])
            rows.append(_row(scores, labels, feature, side, pairs, bool(dead[feature])))
            rows[-1] |= {
                "density": float(density[feature]),
                "dense": sparse and bool(density[feature] > DENSE),
            }
    return {name: [row.get(name) for row in rows] for name in _COLUMNS}


def _ordered(scores: Scores) -> dict[tuple[int, int], list[int]]:
    """Rows of each (feature, side), the best agreement on the fitted side first."""
    found: dict[tuple[int, int], list[int]] = {}
    for row in np.argsort(-scores.fit_agreement, kind="stable"):
        found.setdefault((int(scores.pairs.feature[row]), int(scores.pairs.side[row])), []).append(int(row))
    return found


def _row(
    scores: Scores, labels: Sequence[Label], feature: int, side: int, pairs: list[int], dead: bool
) -> dict[str, Any]:
    row: dict[str, Any] = {"feature": feature, "side": SIDES[side], "dead": dead, "unnamed": False}
    row |= dict.fromkeys(("positional", "onset", "polysemous"), False)
    named = bool(pairs) and not dead and bool(scores.columns["q"][pairs[0]] <= RATE)
    named = named and bool(scores.columns["agreement"][pairs[0]] > 0)  # false for NaN
    if not named:
        text = "dead" if dead else "unnamed"
        return row | {"name": text, "short": text, "unnamed": not dead, "runner_ups": []}
    best = pairs[0]
    label = labels[scores.pairs.label[best]]
    score = {name: _number(values[best]) for name, values in scores.columns.items()}
    row |= score | {"label": label.id, "kind": label.kind, "text": label.text, "short": label.text}
    row["name"] = template(label, score, int(scores.columns["clips"][best]))
    row["positional"] = label.kind == "time" or label.id in CLIP_EDGES
    row["onset"] = label.kind == "boundary"
    row["runner_ups"] = [
        {
            "label": labels[scores.pairs.label[pair]].id,
            "text": labels[scores.pairs.label[pair]].text,
            "agreement": float(scores.columns["agreement"][pair]),
        }
        for pair in pairs[1 : RUNNER_UPS + 1]
        if scores.columns["q"][pair] <= RATE and scores.columns["agreement"][pair] > 0
    ]
    if (feature, side) in scores.levels:
        top, top_share, middle, middle_share, polysemous = scores.levels[feature, side]
        row |= {
            "top_label": labels[top].id,
            "top_share": top_share,
            "middle_label": labels[middle].id,
            "middle_share": middle_share,
            "polysemous": polysemous,
        }
    return row


def _number(value: Any) -> float | int | None:
    if isinstance(value, np.integer | int):
        return int(value)
    return float(value) if np.isfinite(value) else None


_SCORES = (
    *("lag_ms", "threshold", "f1", "f1_low", "f1_high", "precision", "recall", "agreement", "auc", "auc_low"),
    *("auc_high", "average_precision", "information", "lift", "spearman", "spearman_low", "spearman_high"),
    *("frames", "positives", "clips", "null", "null_auc", "q", "fit_f1", "fit_auc"),
)
_COLUMNS = (
    *("feature", "side", "name", "short", "label", "kind", "text", *_SCORES, "density", "dead", "unnamed", "dense"),
    *("positional", "onset", "polysemous", "top_label", "top_share", "middle_label", "middle_share", "runner_ups"),
)


def score_columns(scores: Scores, labels: Sequence[Label], rows: np.ndarray) -> dict[str, Any]:
    """Columns of `scores` for the given rows of the pairs."""
    pairs = scores.pairs[rows]
    return {
        "feature": pairs.feature,
        "side": [SIDES[side] for side in pairs.side],
        "label": [labels[label].id for label in pairs.label],
        "kind": [labels[label].kind for label in pairs.label],
        "text": [labels[label].text for label in pairs.label],
        **{name: scores.columns[name][rows] for name in _SCORES},
    }


def by_feature(scores: Scores) -> np.ndarray:
    """Rows of the pairs sorted by feature, side, and agreement on held-out clips, best first."""
    agreement = np.nan_to_num(scores.columns["agreement"], nan=-1.0)
    return np.lexsort((-agreement, scores.pairs.side, scores.pairs.feature))


def best_columns(scores: Scores, labels: Sequence[Label]) -> dict[str, Any]:
    """Columns of `best`."""
    rows = np.array([row for _, _, _, row in scores.best], np.int64)
    return {
        "by": [by for _, by, _, _ in scores.best],
        "rank": [rank for _, _, rank, _ in scores.best],
        **score_columns(scores, labels, rows),
    }


def matrix_columns(scores: Scores, labels: Sequence[Label]) -> dict[str, Any]:
    """Columns of `matrix`."""
    return {
        "label": [labels[label].id for label, _, _, _ in scores.rates],
        "text": [labels[label].text for label, _, _, _ in scores.rates],
        "column": [labels[scores.pairs.label[pair]].id for _, pair, _, _ in scores.rates],
        "feature": [int(scores.pairs.feature[pair]) for _, pair, _, _ in scores.rates],
        "side": [SIDES[scores.pairs.side[pair]] for _, pair, _, _ in scores.rates],
        "rate": [rate for _, _, rate, _ in scores.rates],
        "positives": [count for _, _, _, count in scores.rates],
    }
