"""Losses and their gradients against dense autograd, written anew here from the formulas in the docstrings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from freud.saes import L1, BatchTopK, Gated, JumpReLU, Matryoshka, TopK, Training
from freud.saes.batchtopk import BatchTopKTraining
from freud.saes.kernels import few
from freud.saes.topk import TopKSAE

pytestmark = pytest.mark.numeric

shapes = st.tuples(st.integers(2, 20), st.integers(1, 12), st.integers(1, 40))  # frames, d_in, d_sae
seeds = st.integers(0, 10_000)


@pytest.fixture(scope="module", params=[-1.0, 2.0], ids=["dense", "sparse"])
def either_form(request: pytest.FixtureRequest) -> Iterator[None]:
    """Once with all scores, and once with those above the bound alone, few or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(few, "FEW", request.param)
        yield


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


def dense_topk(training: Any, x: Tensor, k: int, aux_k: int, alpha: float, dead: Tensor) -> dict[str, Tensor]:
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
    architecture = TopK(d_sae=d_sae, k=k, aux_k=aux_k, aux_coefficient=alpha, dead_after=999)
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
        training.since_fired[:20] = 501
        dead = training.since_fired > 500
        loss = training.loss(x, 0)
        parts[alpha] = gradients(training, loss.total)
    assert 3 < (training.since_fired > 500).sum() < 20  # some of the dead have fired
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


@pytest.mark.usefixtures("either_form")
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


# ---- BatchTopK and Matryoshka


@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, nested=st.booleans(), data=st.data())
def test_batchtopk_and_matryoshka_equal_dense_autograd(
    shape: tuple[int, int, int], seed: int, nested: bool, data: st.DataObject
) -> None:
    frames, d_in, d_sae = shape
    k = data.draw(st.integers(1, d_sae), label="k")
    kind = Matryoshka if nested and d_sae >= 4 else BatchTopK
    bounds = [round(share * d_sae) for share in ((0.25, 0.5, 1.0) if kind is Matryoshka else (1.0,))]
    extra: dict[str, Any] = {"prefixes": (0.25, 0.5, 1.0)} if kind is Matryoshka else {}
    training: Any
    training, x = start(kind(d_sae=d_sae, k=k, dead_after=999, aux_coefficient=0.5, **extra), frames, d_in, seed)
    dead = torch.zeros(d_sae, dtype=torch.bool)
    dead[data.draw(st.lists(st.integers(0, d_sae - 1)), label="dead")] = True
    training.since_fired[dead] = 1000

    scaled = x * training.scale
    pre = (scaled - training.b_dec) @ training.W_enc + training.b_enc
    rectified = pre.clamp(min=0)
    kept = torch.zeros(frames * d_sae, dtype=torch.bool)
    kept[pre.flatten().argsort(descending=True)[: frames * k]] = True
    latents = rectified * kept.view_as(pre)
    variance = ((scaled - scaled.mean(0)) ** 2).sum()
    errors = [scaled - latents[:, :m] @ training.W_dec[:m] - training.b_dec for m in bounds]
    e = errors[-1].detach()
    auxiliary = torch.zeros(())
    if dead.any():
        among = pre.masked_fill(~dead, -torch.inf)
        chosen = torch.zeros_like(pre, dtype=torch.bool)
        chosen.scatter_(1, among.argsort(dim=1, descending=True)[:, : training.aux_k], True)
        auxiliary = ((e - (rectified * (chosen & dead)) @ training.W_dec) ** 2).sum() / (e**2).sum()
    expected = sum((error**2).sum() for error in errors) / len(errors) / variance + 0.5 * auxiliary
    wanted = gradients(training, expected)
    loss = training.loss(x, 0.5)
    found = gradients(training, loss.total)

    assert_near(loss.total, expected, "loss")
    assert_near(loss.reconstruction, (e**2).sum(), "squared error")
    assert float(loss.l0) == pytest.approx(float((latents > 0).sum() / frames))
    for name, gradient in wanted.items():
        assert_near(found[name], gradient, name)
    assert torch.equal(training.since_fired == 0, (latents > 0).any(0))
    least = latents[latents > 0].min() if latents.any() else torch.tensor(torch.nan)
    torch.testing.assert_close(training.threshold, least.detach(), equal_nan=True)


def test_the_threshold_is_the_running_mean_of_the_least_value_kept() -> None:
    training: Any = BatchTopK(d_sae=8, k=1).start(torch.randn(20, 4), 0)
    least = [3.0, 1.0, 2.0]
    expected = least[0]
    for value in least:
        training.learn_threshold(torch.tensor([5.0, value, 7.0]))
        expected = 0.99 * expected + 0.01 * value
    training.learn_threshold(torch.tensor([]))  # a batch with nothing active says nothing
    assert float(training.threshold) == pytest.approx(expected)
    assert training.sae().threshold.tolist() == pytest.approx([expected] * 8)


# ---- JumpReLU and Gated


@pytest.mark.usefixtures("either_form")
@settings(max_examples=60, deadline=None)
@given(
    shape=shapes,
    seed=seeds,
    penalty=st.sampled_from(["l0", "tanh"]),
    bandwidth=st.sampled_from([0.1, 1.0]),
    progress=st.floats(0, 1),
)
def test_jumprelu_equals_its_formulas(
    shape: tuple[int, int, int], seed: int, penalty: Any, bandwidth: float, progress: float
) -> None:
    """All gradients but the threshold's by autograd of the masked latents; the threshold's by equations 11 and 12."""
    frames, d_in, d_sae = shape
    training: Any
    settings = JumpReLU(d_sae=d_sae, coefficient=0.3, penalty=penalty, bandwidth=bandwidth, coefficient_warmup=0.5)
    training, x = start(settings, frames, d_in, seed)
    training.threshold.data.abs_()
    scaled = x * training.scale
    pre = (scaled - training.b_dec) @ training.W_enc + training.b_enc
    threshold = training.threshold.detach()
    above = (pre > threshold).float()
    latents = pre * above
    latents.retain_grad()
    weight = 0.3 * min(1, progress / 0.5)
    smooth = (4 * latents).tanh().sum() if penalty == "tanh" else above.sum()
    squared = ((scaled - latents @ training.W_dec - training.b_dec) ** 2).sum()
    expected = squared / (frames * d_in) + weight * smooth / frames
    wanted = gradients(training, expected)
    kernel = ((pre - threshold).abs() < bandwidth / 2).float() / bandwidth
    assert latents.grad is not None
    wanted["threshold"] = -(latents.grad * threshold * kernel).sum(0)
    if penalty == "l0":
        wanted["threshold"] -= weight / frames * kernel.sum(0)
    loss = training.loss(x, progress)
    found = gradients(training, loss.total)
    assert_near(loss.total, expected, "loss")
    assert_near(loss.reconstruction, squared, "squared error")
    assert float(loss.l0) == pytest.approx(float(above.sum() / frames))
    for name, gradient in wanted.items():
        assert_near(found[name], gradient.detach(), name)


def test_thresholds_never_fall_below_zero() -> None:
    training: Any = JumpReLU(d_sae=8).start(torch.randn(20, 4), 0)
    training.threshold.data -= 5
    training.after_step()
    assert not training.threshold.any()


@pytest.mark.usefixtures("either_form")
@settings(max_examples=60, deadline=None)
@given(shape=shapes, seed=seeds, progress=st.floats(0, 1))
def test_gated_equals_dense_autograd(shape: tuple[int, int, int], seed: int, progress: float) -> None:
    frames, d_in, d_sae = shape
    training: Any
    training, x = start(Gated(d_sae=d_sae, coefficient=0.3, coefficient_warmup=0.5), frames, d_in, seed)
    scaled = x * training.scale
    centered = scaled - training.b_dec
    gate = centered @ training.W_enc + training.b_gate
    magnitude = (centered @ (training.W_enc * training.r_mag.exp()) + training.b_mag).clamp(min=0)
    latents = magnitude * (gate > 0)
    squared = ((scaled - latents @ training.W_dec - training.b_dec) ** 2).sum()
    frozen = ((scaled - gate.clamp(min=0) @ training.W_dec.detach() - training.b_dec.detach()) ** 2).sum()
    sparsity = gate.clamp(min=0).sum() / (frames * d_in**0.5)
    expected = (squared + frozen) / (frames * d_in) + 0.3 * min(1, progress / 0.5) * sparsity
    wanted = gradients(training, expected)
    loss = training.loss(x, progress)
    found = gradients(training, loss.total)
    assert set(found) == {"W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"}
    assert_near(loss.total, expected, "loss")
    assert_near(loss.reconstruction, squared, "squared error")
    for name, gradient in wanted.items():
        assert_near(found[name], gradient, name)


# ---- resampling


@pytest.mark.parametrize("tied", [False, True])
def test_resampling_starts_dead_latents_from_the_frames_that_are_reconstructed_worst(tied: bool) -> None:
    training: Any
    training, x = start(L1(d_sae=20, tied=tied, dead_after=50), 30, 6, 0)
    x[3] *= 1000  # all of the error, nearly
    training.since_fired[5:9] = 51
    training.since_fired[9] = 50
    before = training.W_dec.detach().clone()
    mask = training.resample(x, torch.Generator().manual_seed(0))
    assert mask.nonzero()[:, 0].tolist() == [5, 6, 7, 8]
    worst = x[3] * training.scale - (0 if tied else training.b_dec)
    for latent in range(5, 9):
        torch.testing.assert_close(training.W_dec[latent], worst / worst.norm())
        if not tied:
            alive = training.W_enc[:, ~mask].norm(dim=0).mean()
            torch.testing.assert_close(training.W_enc[:, latent], 0.2 * alive * worst / worst.norm())
    assert torch.equal(training.W_dec[~mask], before[~mask])
    assert not training.b_enc[mask].any()
    assert training.b_enc[~mask].all()
    assert not training.since_fired[mask].any()
    assert training.since_fired[9] == 50


# ---- all


ARCHITECTURES = {
    "topk": TopK(d_sae=40, k=4, dead_after=10),
    "multi": TopK(d_sae=40, k=4, multi_topk=True),
    "batchtopk": BatchTopK(d_sae=40, k=4, dead_after=10),
    "matryoshka": Matryoshka(d_sae=40, k=4, dead_after=10),
    "jumprelu": JumpReLU(d_sae=40),
    "gated": Gated(d_sae=40),
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
    assert torch.equal(training.W_enc, {"topk": 0.5, "l1": 1.0}[name] * training.W_dec.T)
    assert not training.b_enc.any()
    torch.testing.assert_close(training.W_dec.norm(dim=1), torch.ones(40))
    again: Any = ARCHITECTURES[name].start(x, 7)
    other: Any = ARCHITECTURES[name].start(x, 8)
    assert torch.equal(again.W_dec, training.W_dec)
    assert not torch.equal(other.W_dec, training.W_dec)


def exact_threshold(training: Any, x: Tensor) -> None:
    """Let the SAE keep what this batch keeps, where a batch decides in training."""
    if isinstance(training, BatchTopKTraining):
        pre = (training.prepare(x) - training.b_dec) @ training.W_enc + training.b_enc
        kept = pre.flatten().topk(training.k * len(x) + 1).values
        training.threshold.copy_(kept[-2:].mean())


@pytest.mark.parametrize("scaling", ["rms", "dimension", "frame"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_finished_sae_takes_raw_activations(name: str, scaling: Any) -> None:
    """The scaling of training is folded into the weights, or done and undone by the SAE."""
    training: Any
    training, x = start(replace(ARCHITECTURES[name], scaling=scaling), 30, 12, 5)
    if name == "jumprelu":
        training.threshold.data.abs_()
    training.after_step()
    exact_threshold(training, x)
    sae = training.finish()
    x_hat = sae(x)
    latents = sae.encode(x)
    loss = training.loss(x, 0)
    squared = ((x - x_hat) / sae.frame_scale(x) * training.scale).square().sum()
    assert_near(squared, loss.reconstruction, "squared error")
    assert float((latents > 0).sum() / len(x)) == pytest.approx(float(loss.l0))
    norms = sae.W_dec.norm(dim=1)
    if scaling == "dimension" and isinstance(sae, TopKSAE):  # of factors of their own, others would be the largest
        assert float(norms.mean()) == pytest.approx(1)
    else:
        torch.testing.assert_close(norms, torch.ones(40))
    assert sae.apply_b_dec_to_input is (name != "tied")
    assert sae.normalize_activations == ("constant_norm_rescale" if scaling == "frame" else "none")
    before = sae.W_dec.clone()
    training.W_dec.data.zero_()  # the SAE does not share memory with the training
    assert torch.equal(sae.W_dec, before)


def test_scalings() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 6, generator=generator) * torch.tensor([100.0, 1, 1, 0, 1, 1]) + 3
    for scaling in ("rms", "dimension", "frame"):
        scaled = TopK(d_sae=8, k=2, scaling=scaling).start(x, 0).prepare(x)
        if scaling == "rms":
            assert float(scaled.square().mean()) == pytest.approx(1, rel=1e-4)
        if scaling == "dimension":
            torch.testing.assert_close(scaled.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
            moving = torch.tensor([1.0, 1, 1, 0, 1, 1])
            torch.testing.assert_close(scaled.std(0, correction=0), moving, atol=1e-4, rtol=0)
        if scaling == "frame":
            torch.testing.assert_close(scaled.norm(dim=1), torch.full((500,), 6**0.5))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_latents_of_a_frame_do_not_depend_on_the_other_frames(name: str) -> None:
    training: Any
    training, x = start(ARCHITECTURES[name], 30, 12, 5)
    for _ in range(3):
        training.loss(x, 0.5)
    sae = training.finish()
    together = sae.encode(x)
    alone = torch.cat([sae.encode(frame[None]) for frame in x])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)
    assert torch.equal(together > 0, alone > 0)
    sparse = sae.to_sparse(x)
    dense = torch.zeros_like(together)
    dense[sparse.frame, sparse.latent] = sparse.value
    torch.testing.assert_close(dense, together, rtol=1e-5, atol=1e-5)


def test_there_is_room_for_all_dead_latents() -> None:
    """It is found out before the batch before, whatever sizes they have; counters that were touched are noticed."""
    x = torch.randn(260, 12, generator=torch.Generator().manual_seed(0))
    settings = TopK(d_sae=96, k=2, aux_k=25, dead_after=60)  # so many that dead ones are dense, as on a GPU
    ahead, exact = (settings.start(x, 0) for _ in range(2))
    weights, rooms = (ahead.W_dec, exact.W_dec), []
    for step, frames in enumerate((20, 20, 20, 20, 30, 30, 20, 20, 20, 20)):
        if step == 7:
            for training in (ahead, exact):
                training.since_fired[:40] = 1000
        dead, _ = exact._dead()
        rooms.append(ahead._make_room(frames) - len(dead))
        some, is_dead = ahead._dead()
        assert is_dead is not None
        assert torch.equal(some[: len(dead)], dead)
        assert torch.equal(is_dead, torch.arange(len(some)) < len(dead))
        batch = x[20 * step : 20 * step + frames]
        losses = [training.loss(batch, 0.5).total for training in (ahead, exact)]
        torch.testing.assert_close(*losses)
        torch.testing.assert_close(*(torch.autograd.grad(*pair)[0] for pair in zip(losses, weights, strict=True)))
    assert len(dead) > 10
    assert all(0 <= room <= 40 for room in rooms)
    assert rooms[0] == rooms[1] == 0  # there is no work with room for none
