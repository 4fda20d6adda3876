"""AuxK's loss in shares of the frames, with its own gradients, against dense autograd."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from freud.saes import kernels
from freud.saes.kernels.shares import SMALLEST

pytestmark = pytest.mark.numeric


@settings(max_examples=60, deadline=None)
@given(
    frames=st.sampled_from([1, 7, SMALLEST + 3]),
    latents=st.integers(1, 90),
    seed=st.integers(0, 10_000),
    shift=st.sampled_from([-2.0, 0.0, 2.0]),
    known=st.booleans(),
    data=st.data(),
)
def test_loss_and_gradients_equal_dense_autograd(
    frames: int, latents: int, seed: int, shift: float, known: bool, data: st.DataObject
) -> None:
    """With scores that are mostly negative, of which none is decoded, and mostly positive."""
    k = data.draw(st.integers(1, latents), label="k")
    generator = torch.Generator().manual_seed(seed)
    x, error = torch.randn(2, frames, 12, generator=generator)
    rows, W_dec = torch.randn(2, latents, 12, generator=generator)  # noqa: N806
    bias = torch.randn(latents, generator=generator) + shift
    threads = torch.get_num_threads()
    results = []
    for fast in (True, False):
        leaves = [weight.clone().requires_grad_() for weight in (rows, bias, W_dec)]
        pre = x @ leaves[0].T + leaves[1]
        if fast:
            torch.set_num_threads(2)
            loss = kernels.unexplained(error, x, *leaves, k, tuple(pre.detach().topk(k)) if known else None)
            torch.set_num_threads(threads)
        else:
            best = pre.topk(k, dim=1)
            active = torch.zeros_like(pre).scatter(1, best.indices, best.values.relu())
            loss = (error - active @ leaves[2]).square().sum()
        results.append([loss.detach(), *torch.autograd.grad(3 * loss, leaves)])
    for found, expected in zip(*results, strict=True):
        assert (found - expected).norm() <= 1e-4 * expected.norm() + 1e-6


def test_what_is_not_a_number_stays_so() -> None:
    x = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    bias = torch.zeros(9).requires_grad_()
    loss = kernels.unexplained(x, x / 0 * 0, torch.ones(9, 6), bias, torch.ones(9, 6), 3)
    assert loss.isnan()
    assert torch.autograd.grad(loss, bias)[0].isnan().any()


@pytest.mark.parametrize("k", [1, 9])
def test_nothing_is_said_where_nothing_is_positive(k: int) -> None:
    leaves = [
        torch.ones(9, 6).requires_grad_(),
        torch.full((9,), -100.0).requires_grad_(),
        torch.ones(9, 6).requires_grad_(),
    ]
    error = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    loss = kernels.unexplained(error, error, *leaves, k)
    torch.testing.assert_close(loss, error.square().sum())
    assert not any(gradient.any() for gradient in torch.autograd.grad(loss, leaves))
