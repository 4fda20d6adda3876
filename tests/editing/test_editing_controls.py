"""Controls are drawn from the features that are nearest in density."""

from __future__ import annotations

import numpy as np
import pytest

from freud import FreudError
from freud.editing.controls import density_matched, select_nearest


def test_the_nearest_come_first() -> None:
    density = np.array([0.5, 0.1, 0.3, 0.52, 0.46])
    assert select_nearest(density, np.array([1, 2, 3, 4]), 0, 3).tolist() == [3, 4, 2]
    assert select_nearest(density, np.array([1, 2]), 0).tolist() == [2, 1]
    assert select_nearest(np.full(4, 0.2), np.array([3, 1, 2]), 0, 2).tolist() == [3, 1]  # as near: in their order


def test_controls_are_near_in_density() -> None:
    density = np.array([0.0, 0.5, 0.1, 0.11, 0.09, 0.12, 0.08, 0.4, 0.3, 0.2, 0.13, 0.07, 0.14, 0.06])
    matched = density_matched(density, [2, 1], 2, seed=0)
    assert matched == density_matched(density, [2, 1], 2, seed=0)
    assert not {0, 1, 2} & {other for others in matched.values() for other in others}
    assert all(len(set(others)) == 2 for others in matched.values())
    assert 7 not in matched[2]  # ten others are nearer
    with pytest.raises(FreudError, match="only 11 other features"):
        density_matched(density, [1, 2], 12, seed=0)
