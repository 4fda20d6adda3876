"""Duplicates, coherence and stability against brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from freud.errors import FreudError
from freud.evaluation import dictionary


def rows(count: int, width: int, seed: int) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 12),
    width=st.integers(1, 5),
    seed=st.integers(0, 1000),
    chunk=st.integers(1, 12),
)
def test_geometry_is_its_formula(count: int, width: int, seed: int, chunk: int) -> None:
    x = rows(count, width, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dictionary, "ROWS", chunk)
        found, largest = dictionary.geometry(x)
    unit = [row / row.norm() for row in x]
    cosines = [[float(a @ b) for j, b in enumerate(unit) if j != i] for i, a in enumerate(unit)]
    best = [max(row, default=-1.0) for row in cosines]
    assert largest.tolist() == pytest.approx(best, abs=1e-5)
    assert found.latents == count
    assert found.duplicates == pytest.approx(sum(value > 0.9 for value in largest.tolist()) / count)
    assert found.coherence == pytest.approx(max((abs(c) for row in cosines for c in row), default=0.0), abs=1e-5)
    assert found.nearest == pytest.approx(sum(best) / count, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(mine=st.integers(1, 5), theirs=st.integers(1, 5), width=st.integers(1, 4), seed=st.integers(0, 1000))
def test_stability_is_the_best_matching(mine: int, theirs: int, width: int, seed: int) -> None:
    a, b = rows(mine, width, seed), rows(theirs, width, seed + 1)
    found, partner = dictionary.stability(a, b)
    cosines = normalize(a, dim=1) @ normalize(b, dim=1).T
    if mine <= theirs:
        options = [sum(cosines[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(theirs), mine)]
    else:
        options = [sum(cosines[i, j] for j, i in enumerate(p)) for p in itertools.permutations(range(mine), theirs)]
    pairs = min(mine, theirs)
    assert found.mean_cosine * pairs == pytest.approx(float(max(options)), abs=1e-4)
    assert float(partner.sum()) == pytest.approx(float(max(options)), abs=1e-4)
    assert found.matched == pytest.approx(float((partner > 0.7).double().mean()))
    assert (found.latents, found.others) == (mine, theirs)


def test_a_shuffled_and_scaled_dictionary_is_found_again_and_a_random_one_is_not() -> None:
    x = rows(300, 32, 0)
    shuffled = x[torch.randperm(300, generator=torch.Generator().manual_seed(1))] * 7
    same, _ = dictionary.stability(x, shuffled)
    assert same.matched == 1.0
    assert same.mean_cosine == pytest.approx(1.0)
    other, _ = dictionary.stability(x, rows(300, 32, 9))
    assert other.matched < 0.05
    assert other.mean_cosine < other.random < 0.7  # matching one to one can only do worse than each for itself


def test_copies_are_duplicates() -> None:
    x = torch.cat([rows(20, 16, 0), rows(5, 16, 0) * 3])  # five of the rows again, longer
    found, _ = dictionary.geometry(x)
    assert found.duplicates == pytest.approx(10 / 25)
    assert found.coherence == pytest.approx(1.0)
    opposite, _ = dictionary.geometry(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    assert (opposite.duplicates, opposite.coherence) == (0.0, 1.0)  # far apart, yet not independent


def test_too_many_latents_to_match_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dictionary, "MOST_MATCHED", 3)
    with pytest.raises(FreudError, match="matching 4 latents with 2"):
        dictionary.stability(rows(4, 2, 0), rows(2, 2, 0))
