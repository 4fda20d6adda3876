"""Losses and their gradients against dense autograd, written anew here from the formulas in the docstrings."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from freud.saes import L1, TopK, Training

shapes = st.tuples(st.integers(2, 20), st.integers(1, 12), st.integers(1, 40))  # frames, d_in, d_sae
seeds = st.integers(0, 10_000)


def start(architecture: Any, frames: int, d_in: int, seed: int) -> tuple[Training, Tensor]:
    """A training with random weights everywhere, biases included, and a batch in units of its own."""
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(frames, d_in, generator=generator) + torch.randn(d_in, generator=generator)
    training = architecture.start(x, seed)
    for name, weight in training.named_parameters():
        weight.data = torch.randn(weight.shape, generator=generator) * (0.3 if name.startswith("b_") else 1)
    return training, x


def gradients(training: Training, total: Tensor) -> dict[str, Tensor]:
    training.zero_grad()
    total.backward()
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in training.named_parameters()
    }


def assert_near(found: Tensor, expected: Tensor, what: str) -> None:
    difference, size = (found - expected).detach().norm(), expected.detach().norm()
    assert difference <= 1e-4 * size + 1e-6, what


# ---- TopK


def dense_topk(training: Any, x: Tensor, k: int, aux_k: int, alpha: float, dead_before: Tensor) -> dict[str, Tensor]:
    """The loss of the module docstring, with dense products and masks only."""
    x = x * training.scale
    pre = (x - training.b_dec) @ training.W_enc + training.b_enc
    rectified = pre.clamp(min=0)
    kept = torch.zeros_like(pre, dtype=torch.bool)
    kept.scatter_(1, pre.argsort(dim=1, descending=True)[:, :k], True)
    latents = rectified * kept
    x_hat = latents @ training.W_dec + training.b_dec
    loss = ((x - x_hat) ** 2).sum() / ((x - x.mean(dim=0)) ** 2).sum()
    e = (x - x_hat).detach()
    dead = dead_before & ~(latents > 0).any(0)
    auxiliary = torch.zeros(())
    if dead.any():
        among_dead = pre.masked_fill(~dead, -torch.inf)
        chosen = torch.zeros_like(pre, dtype=torch.bool)
        chosen.scatter_(1, among_dead.argsort(dim=1, descending=True)[:, :aux_k], True)
        e_hat = (rectified * (chosen & dead)) @ training.W_dec
        auxiliary = ((e - e_hat) ** 2).sum() / (e**2).sum()
    return {
        "total": loss + alpha * auxiliary,
        "squared": ((x - x_hat) ** 2).sum(),
        "l0": (latents > 0).sum() / len(x),
        "auxiliary": auxiliary,
        "fired": (latents > 0).any(0),
    }


@settings(max_examples=150, deadline=None)
@given(shape=shapes, seed=seeds, data=st.data())
def test_topk_equals_dense_autograd(shape: tuple[int, int, int], seed: int, data: st.DataObject) -> None:
    frames, d_in, d_sae = shape
    k = data.draw(st.sampled_from([1, d_sae]) | st.integers(1, d_sae), label="k")
    aux_k = data.draw(st.integers(1, 2 * d_sae), label="aux_k")
    alpha = data.draw(st.sampled_from([0.0, 1 / 32, 1.0]), label="alpha")
    architecture = TopK(d_sae=d_sae, k=k, aux_k=aux_k, aux_coefficient=alpha, dead_after=1000)
    training, x = start(architecture, frames, d_in, seed)
    dead = torch.zeros(d_sae, dtype=torch.bool)
    dead[data.draw(st.lists(st.integers(0, d_sae - 1)) | st.just(list(range(d_sae))), label="dead")] = True
    training.since_fired[dead] = 1000

    expected = dense_topk(training, x, k, aux_k, alpha, dead)
    expected_gradients = gradients(training, expected["total"])
    loss = training.loss(x, 0.5)
    found_gradients = gradients(training, loss.total)

    assert_near(loss.total, expected["total"], "loss")
    assert_near(loss.reconstruction, expected["squared"], "squared error")
    assert float(loss.l0) == pytest.approx(float(expected["l0"]))
    if alpha:
        assert_near(loss.parts["auxiliary"], expected["auxiliary"], "auxiliary")
    for name, gradient in expected_gradients.items():
        assert_near(found_gradients[name], gradient, name)
    # The counters: zero where a latent fired, a batch more where it did not.
    before = dead * 1000
    assert torch.equal(training.since_fired, torch.where(expected["fired"], 0, before + frames))


def test_ties_keep_exactly_k() -> None:
    training, x = start(TopK(d_sae=12, k=3, aux_coefficient=0), 9, 5, 0)
    for name in ("W_enc", "b_enc", "W_dec"):  # four copies of each of three latents
        weight = getattr(training, name)
        axis = 0 if name == "W_dec" else -1
        weight.data = weight.data.narrow(axis, 0, 3).repeat_interleave(4, axis).contiguous()
    expected = dense_topk(training, x, 3, 1, 0, torch.zeros(12, dtype=torch.bool))
    wanted = gradients(training, expected["total"])
    loss = training.loss(x, 0)
    found = gradients(training, loss.total)
    assert float(loss.l0) == float(expected["l0"]) <= 3
    assert_near(loss.total, expected["total"], "loss")
    assert_near(found["b_dec"], wanted["b_dec"], "b_dec")
    for name in ("W_enc", "W_dec"):  # which copy is taken is open; the sum over copies is not
        grouped = [g.T if name == "W_enc" else g for g in (found[name], wanted[name])]
        assert_near(*(g.unflatten(0, (3, 4)).sum(1) for g in grouped), name)


def test_a_batch_whose_latents_are_all_negative_has_a_loss_and_finite_gradients() -> None:
    training, x = start(TopK(d_sae=10, k=2, dead_after=0), 6, 4, 1)
    training.b_enc.data.fill_(-100)
    loss = training.loss(x, 0)
    found = gradients(training, loss.total)
    assert float(loss.l0) == 0
    assert all(torch.isfinite(g).all() for g in found.values())
    assert not found["W_enc"].any()
    assert found["b_dec"].any()


def test_where_the_gradient_of_the_auxiliary_loss_goes() -> None:
    """To all weights of dead latents; of b_dec only as part of the encoder's input; not into the error it predicts."""
    parts = {}
    for alpha in (0.0, 1.0):
        training, x = start(TopK(d_sae=30, k=2, aux_k=8, aux_coefficient=alpha, dead_after=500), 16, 6, 2)
        training.since_fired[:20] = 500
        loss = training.loss(x, 0)
        parts[alpha] = gradients(training, loss.total)
        dead = training.since_fired > 500
    assert 3 < dead.sum() < 20
    auxiliary = {name: parts[1.0][name] - parts[0.0][name] for name in parts[0.0]}
    tiny = 1e-5
    assert auxiliary["W_enc"][:, dead].abs().amax(0).min() > tiny
    assert auxiliary["W_dec"][dead].abs().amax(1).min() > tiny
    for name, gradient in (
        ("W_enc", auxiliary["W_enc"].T),
        ("W_dec", auxiliary["W_dec"]),
        ("b_enc", auxiliary["b_enc"]),
    ):
        assert gradient[~dead].abs().max() < tiny, name
    # e_hat is decoded without b_dec and e is detached: what is left comes through (x - b_dec) W_enc.
    assert_near(auxiliary["b_dec"], -training.W_enc @ auxiliary["b_enc"], "b_dec")


def test_dead_counters_over_batches() -> None:
    training, x = start(TopK(d_sae=8, k=1, dead_after=20), 10, 4, 3)
    training.b_enc.data[:] = torch.tensor([50.0] + [0.0] * 7)
    for step in range(1, 4):
        training.loss(x, 0)
        assert training.since_fired[0] == 0
        assert (training.since_fired[1:] == 10 * step).all()
    training.b_enc.data[:] = torch.tensor([0.0] * 7 + [50.0])
    training.loss(x, 0)
    assert training.since_fired.tolist() == [10, *[40] * 6, 0]


# ---- L1


@settings(max_examples=100, deadline=None)
@given(
    shape=shapes,
    seed=seeds,
    tied=st.booleans(),
    coefficient=st.floats(0, 2),
    warmup=st.sampled_from([0.0, 0.2, 1.0]),
    progress=st.floats(0, 1),
)
def test_l1_equals_dense_autograd(
    shape: tuple[int, int, int], seed: int, tied: bool, coefficient: float, warmup: float, progress: float
) -> None:
    frames, d_in, d_sae = shape
    architecture = L1(d_sae=d_sae, coefficient=coefficient, coefficient_warmup=warmup, tied=tied)
    training: Any
    training, x = start(architecture, frames, d_in, seed)

    scaled = x * training.scale
    if tied:
        latents = (scaled @ training.W_dec.T + training.b_enc).clamp(min=0)
        x_hat = latents @ training.W_dec
    else:
        latents = ((scaled - training.b_dec) @ training.W_enc + training.b_enc).clamp(min=0)
        x_hat = latents @ training.W_dec + training.b_dec
    weight = coefficient * (1 if warmup == 0 or progress >= warmup else progress / warmup)
    squared = ((scaled - x_hat) ** 2).sum(1).mean()
    expected = squared / d_in + weight * latents.abs().sum(1).mean() / d_in**0.5
    wanted = gradients(training, expected)
    loss = training.loss(x, progress)
    found = gradients(training, loss.total)

    assert set(found) == ({"W_dec", "b_enc"} if tied else {"W_enc", "b_enc", "W_dec", "b_dec"})
    assert_near(loss.total, expected, "loss")
    assert_near(loss.reconstruction, squared * frames, "squared error")
    for name, gradient in wanted.items():
        assert_near(found[name], gradient, name)
    assert float(loss.l0) == pytest.approx(float((latents > 0).sum() / frames))
    assert torch.equal(training.since_fired == 0, (latents > 0).any(0))


# ---- both


ARCHITECTURES = {
    "topk": TopK(d_sae=40, k=4, dead_after=10),
    "l1": L1(d_sae=40),
    "tied": L1(d_sae=40, tied=True),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_decoder_rows_keep_unit_norm_and_their_gradient_no_parallel_part(name: str) -> None:
    x = torch.randn(64, 12, generator=torch.Generator().manual_seed(0)) * 5
    training: Any = ARCHITECTURES[name].start(x, 0)
    optimizer = torch.optim.Adam(training.parameters(), lr=0.1)
    for step in range(5):
        optimizer.zero_grad()
        training.loss(x, step / 5).total.backward()
        along = (training.W_dec.grad * training.W_dec).sum(1).abs().max()
        training.before_step()
        assert (training.W_dec.grad * training.W_dec).sum(1).abs().max() < 1e-6 < along
        assert training.W_dec.grad.norm() > 1e-4
        optimizer.step()
        training.after_step()
        torch.testing.assert_close(training.W_dec.norm(dim=1), torch.ones(40), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["topk", "l1"])
def test_weights_start_as_they_should(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 12, generator=generator) + 2
    x[0] = 1e4  # an outlier that would move the mean by 20
    training: Any = ARCHITECTURES[name].start(x, 7)
    assert float((x * training.scale).square().mean()) == pytest.approx(1, rel=1e-5)
    assert ((training.b_dec / training.scale) - 2).abs().max() < 0.2
    assert torch.equal(training.W_enc, training.W_dec.T)
    assert not training.b_enc.any()
    torch.testing.assert_close(training.W_dec.norm(dim=1), torch.ones(40))
    again: Any = ARCHITECTURES[name].start(x, 7)
    other: Any = ARCHITECTURES[name].start(x, 8)
    assert torch.equal(again.W_dec, training.W_dec)
    assert not torch.equal(other.W_dec, training.W_dec)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_finished_sae_takes_raw_activations(name: str) -> None:
    """The scaling of training is folded into the weights."""
    training: Any
    training, x = start(ARCHITECTURES[name], 30, 12, 5)
    training.after_step()
    sae = training.finish()
    x_hat = sae(x)
    latents = sae.encode(x)
    loss = training.loss(x, 0)
    squared = ((x - x_hat) * training.scale).square().sum()
    assert_near(squared, loss.reconstruction, "squared error")
    assert float((latents > 0).sum() / len(x)) == pytest.approx(float(loss.l0))
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(40))
    assert sae.apply_b_dec_to_input is (name != "tied")
    before = sae.W_dec.clone()
    training.W_dec.data.zero_()  # the SAE does not share memory with the training
    assert torch.equal(sae.W_dec, before)
