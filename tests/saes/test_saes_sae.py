"""SAEs for inference, the measures of reconstruction, and the numerics they rest on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from freud.errors import FreudError
from freud.saes import SAE, reconstruction
from freud.saes.architecture import geometric_median, unit_rows_, unit_scale
from freud.saes.l1 import StandardSAE
from freud.saes.topk import TopKSAE


def random_sae(kind: str, d_in: int = 6, d_sae: int = 20, k: int = 3, seed: int = 0) -> SAE:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((d_in, d_sae), (d_sae,), (d_sae, d_in), (d_in,))
    weights = [torch.randn(*shape, generator=generator) for shape in shapes]
    if kind == "topk":
        return TopKSAE(*weights, k=k)
    return StandardSAE(*weights, apply_b_dec_to_input=kind == "standard")


KINDS = ["topk", "standard", "tied"]


@pytest.mark.parametrize("kind", KINDS)
def test_encode_and_decode_by_the_formulas(kind: str) -> None:
    sae = random_sae(kind)
    x = torch.randn(2, 5, 6)  # any leading dimensions
    pre = (x if kind == "tied" else x - sae.b_dec) @ sae.W_enc + sae.b_enc
    latents = pre.clamp(min=0)
    if kind == "topk":
        latents = torch.where(pre >= pre.sort(dim=-1).values[..., -3:-2], latents, 0)
    torch.testing.assert_close(sae.encode(x), latents)
    torch.testing.assert_close(sae(x), latents @ sae.W_dec + sae.b_dec)
    assert not any(parameter.requires_grad for parameter in sae.parameters())


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(KINDS), k=st.integers(1, 20), frames=st.integers(0, 9), seed=st.integers(0, 999))
def test_sparse_latents_are_the_nonzero_ones_of_encode(kind: str, k: int, frames: int, seed: int) -> None:
    sae = random_sae(kind, k=k, seed=seed)
    x = torch.randn(frames, 6, generator=torch.Generator().manual_seed(seed)) * (seed % 3)  # also all zeros: ties
    sparse = sae.to_sparse(x)
    dense = torch.zeros(frames, 20).index_put((sparse.frame, sparse.latent), sparse.value)
    assert torch.equal(dense, sae.encode(x))
    assert (sparse.value > 0).all()
    assert (sparse.frame.diff() >= 0).all()
    assert len(set(zip(sparse.frame.tolist(), sparse.latent.tolist(), strict=True))) == len(sparse.value)


def test_tensors_that_do_not_fit_together_are_refused() -> None:
    good: dict[str, Tensor] = {n: p.data for n, p in random_sae("standard").state_dict().items()}
    for name, bad in (
        ("W_enc", torch.zeros(6)),
        ("b_enc", torch.zeros(19)),
        ("W_dec", torch.zeros(6, 20)),
        ("b_dec", torch.zeros(7)),
    ):
        with pytest.raises(FreudError, match=rf"^{name}: shape"):
            StandardSAE(*{**good, name: bad}.values())


def test_activations_of_another_site_or_model_are_refused() -> None:
    sae = random_sae("topk")
    origin: dict[str, Any] = {"model": "tiny", "model_fingerprint": "aa", "site": "encoder.blocks.1"}
    sae.check_site(origin, 6)  # nothing known: any of the right width
    sae.metadata = dict(origin)
    sae.check_site(origin, 6)
    for other, width, message in (
        (origin, 7, "SAE of width 6: encoder.blocks.1 has width 7"),
        ({**origin, "site": "encoder.blocks.2"}, 6, "these are activations of encoder.blocks.2"),
        ({**origin, "model_fingerprint": "bb", "model": "base"}, 6, r"of model tiny \(aa\).* base \(bb\)"),
    ):
        with pytest.raises(FreudError, match=message) as error:
            sae.check_site(other, width)
        assert "\n" not in str(error.value)


# ---- reconstruction


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    frames=st.integers(2, 60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    seed=st.integers(0, 999),
)
def test_reconstruction_is_that_of_numpy_however_the_frames_are_cut(
    kind: str, frames: int, cuts: list[int], seed: int
) -> None:
    sae = random_sae(kind, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    # A mean that drifts: about the means of blocks instead of the global one, the variance would be far less.
    x = torch.randn(frames, 6, generator=generator) + torch.linspace(0, 20, frames)[:, None]
    x64, latents = x.double().numpy(), sae.encode(x).numpy()
    x_hat = sae(x).double().numpy()
    blocks = x.tensor_split(sorted(c for c in cuts if c <= frames))
    found = reconstruction(sae, blocks)
    error = ((x64 - x_hat) ** 2).sum()
    assert found.frames == frames
    assert found.fvu == pytest.approx(error / ((x64 - x64.mean(0)) ** 2).sum(), rel=1e-4)
    assert found.l0 == pytest.approx((latents > 0).sum() / frames)
    assert found.dead == pytest.approx(1 - (latents > 0).any(0).mean())
    cosine = (x64 * x_hat).sum(1) / np.linalg.norm(x64, axis=1) / np.linalg.norm(x_hat, axis=1)
    assert found.cosine == pytest.approx(cosine.mean(), abs=1e-5)


def test_reconstruction_knows_perfect_and_useless() -> None:
    eye = torch.eye(4)
    x = torch.rand(50, 4)
    perfect = reconstruction(StandardSAE(eye, torch.zeros(4), eye, torch.zeros(4)), [x])
    assert perfect.fvu == pytest.approx(0, abs=1e-9)
    assert perfect.cosine == pytest.approx(1)
    mean = StandardSAE(eye, torch.full((4,), -9.0), eye, x.mean(0), apply_b_dec_to_input=False)
    useless = reconstruction(mean, [x])
    assert useless.fvu == pytest.approx(1, rel=1e-5)
    assert (useless.l0, useless.dead) == (0, 1)
    with pytest.raises(FreudError, match="no frames"):
        reconstruction(mean, [])


# ---- numerics


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 30), d=st.integers(1, 5), seed=st.integers(0, 999))
def test_the_geometric_median_has_the_least_sum_of_distances(n: int, d: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(n, d, generator=generator) * 10

    def total(at: Tensor) -> Tensor:
        return (points[None] - at[:, None]).double().norm(dim=2).sum(1)

    found = geometric_median(points)[None]
    tries = [points, points.mean(0)[None]]
    tries += [found + scale * torch.randn(200, d, generator=generator) for scale in (0.01, 0.1, 1, 10)]
    assert float(total(found)) <= float(total(torch.cat(tries)).min()) * (1 + 1e-3) + 1e-4


def test_the_geometric_median_shrugs_off_outliers() -> None:
    points = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))
    clean = geometric_median(points)
    points[:100] = 1e5
    assert (geometric_median(points) - clean).norm() < 0.5
    assert points.mean(0).norm() > 1e4


def test_unit_scale() -> None:
    x = torch.randn(100, 7) * 300 + 50
    assert float((x * unit_scale(x)).square().mean()) == pytest.approx(1, rel=1e-5)
    for bad in (torch.zeros(5, 5), torch.full((5, 5), torch.nan), torch.tensor([[1.0, torch.inf]])):
        with pytest.raises(FreudError, match="activations: all zero or not finite"):
            unit_scale(bad)


def test_unit_rows_leave_no_nan_behind() -> None:
    weight = torch.randn(5, 3) * 100
    weight[2] = 0
    unit_rows_(weight)
    torch.testing.assert_close(weight.norm(dim=1), torch.tensor([1.0, 1, 0, 1, 1]))
