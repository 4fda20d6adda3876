"""Controls of an edit: random features that are active about as often as the one that is edited."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from freud.errors import FreudError

NEAREST = 10  # a control is drawn from so many of the features nearest in density


def select_nearest(density: np.ndarray, candidates: np.ndarray, feature: int, count: int = NEAREST) -> np.ndarray:
    """The candidates nearest in density to a feature, nearest first; of two as near, the one that comes first.

    Args:
        density: [features] share of frames on which each is active.
        candidates: [n] numbers of features.
        feature: which to be near to.
        count: how many, at most.
    """
    distance = np.abs(density[candidates] - density[feature])
    return candidates[np.argsort(distance, kind="stable")[:count]]


def density_matched(density: np.ndarray, features: Sequence[int], count: int, seed: int) -> dict[int, list[int]]:
    """For each feature `count` others, drawn at random from those that are active and nearest to it in density.

    Args:
        density: [features] share of frames on which each is active.
        features: which to find controls for; none of them is a control.
        count: how many each.
        seed: of the draw.

    Raises:
        FreudError: there are not as many others.
    """
    others = np.setdiff1d(np.flatnonzero(density > 0), features)
    if len(others) < count:
        raise FreudError(f"controls {count}: only {len(others)} other features are active here; ask for fewer")
    rng = np.random.default_rng(seed)
    matched = {}
    for feature in features:
        nearest = select_nearest(density, others, feature, max(NEAREST, count))
        matched[feature] = sorted(rng.choice(nearest, count, replace=False).tolist())
    return matched
