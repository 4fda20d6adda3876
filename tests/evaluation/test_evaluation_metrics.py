"""Every measure of the report against its formula written out, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import r2_score
from torch import Tensor

from freud.errors import FreudError
from freud.evaluation.controls import Moments, pca_fvu
from freud.saes import SAE, metrics
from freud.saes.jumprelu import JumpReLUSAE
from freud.saes.l1 import StandardSAE
from freud.saes.topk import TopKSAE

KINDS = ("topk", "standard", "jumprelu", "scaled")


def make(kind: str, d_in: int, d_sae: int, seed: int) -> SAE:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((d_in, d_sae), (d_sae,), (d_sae, d_in), (d_in,))
    weights = [torch.randn(*shape, generator=generator) for shape in shapes]
    match kind:
        case "topk":
            return TopKSAE(*weights, k=min(3, d_sae))
        case "standard":
            return StandardSAE(*weights)
        case "jumprelu":
            return JumpReLUSAE(*weights, threshold=torch.rand(d_sae, generator=generator))
    return TopKSAE(*weights, k=min(3, d_sae), normalize_activations="layer_norm")


def frames(count: int, d_in: int, seed: int) -> Tensor:
    return torch.randn(count, d_in, generator=torch.Generator().manual_seed(seed)) * 3 + 1


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    d_in=st.integers(2, 9),
    d_sae=st.integers(1, 40),
    count=st.integers(2, 60),
    cut=st.integers(1, 60),
    seed=st.integers(0, 1000),
)
def test_each_measure_is_its_formula(kind: str, d_in: int, d_sae: int, count: int, cut: int, seed: int) -> None:
    sae, x = make(kind, d_in, d_sae, seed), frames(count, d_in, seed)
    found, firing = metrics.measure(sae, x.split(cut))
    latents, x_hat = sae.encode(x).double(), sae(x).double()
    x = x.double()
    error = ((x - x_hat) ** 2).sum()
    assert found.frames == firing.frames == count
    assert found.fvu == pytest.approx(float(error / ((x - x.mean(0)) ** 2).sum()), rel=1e-4)
    assert found.explained_variance == 1 - found.fvu
    assert found.l0 == pytest.approx(float((latents > 0).sum(1).double().mean()))
    assert found.dead == pytest.approx(float((latents <= 0).all(0).double().mean()))
    norms, norms_hat = x.norm(dim=1), x_hat.norm(dim=1)
    assert found.cosine == pytest.approx(float(((x * x_hat).sum(1) / (norms * norms_hat)).mean()), abs=1e-5)
    assert found.norm_ratio == pytest.approx(float((norms_hat / norms).mean()), rel=1e-4)
    active = latents > 0
    assert torch.equal(firing.active, active.sum(0))
    assert firing.dense == float((active.double().mean(0) > 0.1).double().mean())
    per_frame = sorted(active.sum(1).tolist())
    assert [int(n) for n in firing.l0] == [per_frame.count(n) for n in range(d_sae + 1)]
    for share in (0.05, 0.5, 0.95, 1.0):
        assert firing.l0_quantile(share) == per_frame[math.ceil(share * count - 1e-9) - 1]


@pytest.mark.parametrize("kind", KINDS)
def test_explained_variance_is_scikit_learns_r2(kind: str) -> None:
    sae, x = make(kind, 6, 20, 0), frames(500, 6, 1)
    ours = metrics.reconstruction(sae, x.split(64)).explained_variance
    assert ours == pytest.approx(r2_score(x.numpy(), sae(x).numpy(), multioutput="variance_weighted"), rel=1e-5)


def test_the_mean_is_that_of_all_frames_not_of_a_block() -> None:
    sae = StandardSAE(torch.zeros(2, 1), torch.zeros(1), torch.zeros(1, 2), torch.zeros(2))  # reconstructs zero
    low, high = torch.full((10, 2), -1.0), torch.full((10, 2), 1.0)
    assert metrics.reconstruction(sae, [low, high]).fvu == pytest.approx(1.0)  # by block it would be infinite


def test_a_frame_of_zeros_has_no_norm_ratio() -> None:
    sae = make("standard", 4, 8, 0)
    x = torch.cat([frames(5, 4, 0), torch.zeros(1, 4)])
    assert math.isfinite(metrics.reconstruction(sae, [x]).norm_ratio)
    assert metrics.reconstruction(sae, [x]).norm_ratio == pytest.approx(metrics.reconstruction(sae, [x[:5]]).norm_ratio)


def test_no_frames_is_an_error() -> None:
    with pytest.raises(FreudError, match="no frames"):
        metrics.measure(make("topk", 3, 4, 0), [])


@pytest.mark.parametrize("components", [1, 3, 6])
def test_the_pca_control_is_scikit_learns(components: int) -> None:
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(2))
    fit, test = frames(400, 6, 0) @ mixing, frames(300, 6, 1) @ mixing + 0.5
    fitted, measured = Moments.zero(6), Moments.zero(6)
    for moments, x in ((fitted, fit), (measured, test)):
        assert sum(len(block) for block in moments.watch(x.split(70))) == len(x)
    pca = PCA(components).fit(fit.numpy())
    back = pca.inverse_transform(pca.transform(test.numpy()))
    expected = 1 - r2_score(test.numpy(), back, multioutput="variance_weighted")
    assert pca_fvu(fitted, measured, components) == pytest.approx(expected, abs=1e-5)
    assert np.isfinite(expected)
