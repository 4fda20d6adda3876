"""Training on a GPU: the kernels against float64, whole steps against those on the CPU. Skipped where there is none."""

from __future__ import annotations

import copy
import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from freud.activations import Position
from freud.saes import L1, Architecture, BatchTopK, Gated, JumpReLU, Matryoshka, Options, TopK, kernels, replay, train
from freud.saes.kernels import Pattern, choose
from freud.saes.trainer import Trainer

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

training_module = importlib.import_module("freud.saes.training")


def randoms(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    """Made on the CPU, so that they are the same everywhere."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator).to(DEVICE) for shape in shapes]


def difference(found: Tensor, expected: Tensor) -> float:
    """|found - expected| / |expected|, in float64."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    return float((found - expected).norm() / expected.norm().clamp_min(1e-9))


def dictionary(d_in: int, d_sae: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """W_enc, in memory as training has it, b_enc, W_dec."""
    W_enc, b_enc, W_dec = randoms((d_sae, d_in), (d_sae,), (d_sae, d_in), seed=seed + 1)  # noqa: N806
    return W_enc.T / d_in**0.5, 0.1 * b_enc, torch.nn.functional.normalize(W_dec, dim=1)


# ---- kernels

SHAPES = [  # frames, d_in, d_sae, k
    (1, 1, 1, 1),
    (5, 3, 7, 7),
    (17, 70, 130, 1),
    (130, 96, 900, 40),
    (1000, 384, 6144, 32),
    (257, 768, 24_576, 32),
    (129, 1280, 20_480, 128),
    (33, 64, 65_537, 16),
]


@pytest.fixture
def always_screened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Screen the scores of float32 even where all of them are made in no time."""
    monkeypatch.setattr(choose, "DENSE", 0)


@pytest.mark.parametrize("how", ["float32", "float32, screened", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_topk_and_its_gradients(shape: tuple[int, int, int, int], how: str, request: pytest.FixtureRequest) -> None:
    """The scores are those of the latents named, these are the best there are, and gradients are those of autograd.

    In bfloat16 to the accuracy of its products.
    """
    frames, d_in, d_sae, k = shape
    low = how == "bfloat16"
    if how.endswith("screened"):
        request.getfixturevalue("always_screened")
    close = 4e-3 if low else 1e-5
    x, target = randoms((frames, d_in), (frames, d_in))
    leaves = [w.requires_grad_() for w in dictionary(d_in, d_sae)]
    with torch.autocast(DEVICE, torch.bfloat16, enabled=low):
        values, pattern = kernels.topk(x, leaves[0], leaves[1], k)
    assert values.dtype == torch.float32
    latents = pattern.latents.view(frames, k).long()
    assert (latents.sort(1).values.diff(dim=1) > 0).all()
    assert latents.min() >= 0
    assert latents.max() < d_sae
    W_enc, b_enc, W_dec = exact = [w.detach().double().requires_grad_() for w in leaves]  # noqa: N806
    scored = x.double() @ W_enc + b_enc
    chosen = scored.gather(1, latents)
    assert difference(values.view(frames, k), chosen) < close
    least = scored.topk(k).values[:, -1:]
    assert (chosen >= least - (0.02 if low else 1e-5) * scored.abs().amax()).all()
    error, squared = kernels.error(target, values.relu(), pattern, leaves[2], target[0])
    dense = torch.zeros_like(scored).scatter(1, latents, chosen.relu())
    expected = target.double() - dense @ W_dec - target[0].double()
    assert difference(error, expected) < close
    assert difference(squared, expected.square().sum()) < 2 * close
    gradients = torch.autograd.grad(squared, leaves)
    assert [g.stride() for g in gradients] == [w.stride() for w in leaves]
    for name, found, wanted in zip(
        ["W_enc", "b_enc", "W_dec"], gradients, torch.autograd.grad(expected.square().sum(), exact), strict=True
    ):
        assert difference(found, wanted) < (2 * close if low else 1e-4), name


def test_ties_take_exactly_k() -> None:
    for rows in (torch.ones(5000, 8, device=DEVICE), torch.ones(100, 8, device=DEVICE)):
        values, pattern = kernels.topk(torch.ones(40, 8, device=DEVICE), rows.T, torch.zeros(len(rows)).to(DEVICE), 6)
        assert (values == 8).all()
        assert all(len(set(row.tolist())) == 6 for row in pattern.latents.view(40, 6))


@pytest.mark.usefixtures("always_screened")
def test_frames_that_crowd_together_are_chosen_exactly() -> None:
    """Scores that bfloat16 cannot tell apart, more of them than there is room for candidates."""
    W_enc, b_enc, _ = dictionary(48, 4000)  # noqa: N806
    W_enc = (W_enc[:, :1] * (1 + 1e-5 * torch.arange(4000, device=DEVICE))).T.contiguous().T  # noqa: N806
    x = randoms((200, 48), seed=5)[0]
    values, _ = kernels.topk(x, W_enc, b_enc, 8)
    best = (x.double() @ W_enc.double() + b_enc).topk(8).values
    torch.testing.assert_close(values.view(200, 8).sort(1, descending=True).values, best.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("where", ["x", "W_enc"])
@pytest.mark.parametrize("what", [torch.nan, torch.inf])
@pytest.mark.usefixtures("always_screened")
def test_what_is_not_finite_stays_so(where: str, what: float) -> None:
    weights = dict(zip(["W_enc", "b_enc", "W_dec"], dictionary(8, 600), strict=True))
    weights["x"] = randoms((20, 8))[0]
    weights[where][3, 5] = what
    values, pattern = kernels.topk(weights["x"], weights["W_enc"], weights["b_enc"], 4)
    x_hat = kernels.decode(values.relu(), pattern, weights["W_dec"])
    assert not torch.isfinite(x_hat).all()


def test_latents_that_are_active_on_all_frames_and_on_none() -> None:
    frames, d_sae, width = 5000, 40, 130
    active = torch.rand(frames, d_sae, generator=torch.Generator().manual_seed(0)) < 0.05
    active[:, 3] = True
    active[:, 7] = False
    active[11] = False
    frame, latent = active.to(DEVICE).nonzero(as_tuple=True)
    pattern = Pattern.ragged(frame, latent, frames, d_sae)
    values, right, left, both = randoms((len(latent),), (d_sae, width), (frames, width), (d_sae,))
    dense = torch.zeros(frames, d_sae, device=DEVICE, dtype=torch.float64).index_put((frame, latent), values.double())
    assert difference(pattern.times(values, right), dense @ right.double()) < 1e-5
    assert difference(pattern.transposed_times(values, left), dense.T @ left.double()) < 1e-5
    assert difference(pattern.products(left, right), (left.double() @ right.double().T)[frame, latent]) < 1e-5
    assert difference(pattern.sums(values), dense.sum(0)) < 1e-5
    fired = pattern.fired(values)
    assert torch.equal(fired, (dense > 0).any(0))
    assert not fired[7]
    found = kernels.scores(left, right.T, both, pattern)
    assert difference(found, (left.double() @ right.double().T + both)[frame, latent]) < 1e-5
    assert torch.equal(pattern.transposed_times(values, left), pattern.transposed_times(values, left))  # to the bit


def test_no_active_latent_at_all() -> None:
    empty = torch.empty(0, dtype=torch.int64, device=DEVICE)
    pattern = Pattern.ragged(empty, empty, 6, 10)
    left, right = randoms((6, 5), (10, 5))
    values = left.new_empty(0)
    assert not pattern.times(values, right).any()
    assert not pattern.transposed_times(values, left).any()
    assert pattern.products(left, right).shape == (0,)
    assert not pattern.fired(values).any()


@pytest.mark.usefixtures("always_screened")
def test_more_scores_than_32_bits_can_count() -> None:
    frames, d_sae, k = 90_000, 24_576, 8  # 2.2e9 scores
    x, W_enc, b_enc = *randoms((frames, 16)), *dictionary(16, d_sae)[:2]  # noqa: N806
    for low in (True, False):
        with torch.autocast(DEVICE, torch.bfloat16, enabled=low):
            values, pattern = kernels.topk(x, W_enc, b_enc, k)
        last = x[-64:].double() @ W_enc.double() + b_enc
        chosen = last.gather(1, pattern.latents.view(frames, k)[-64:].long())
        assert difference(values.view(frames, k)[-64:], chosen) < (4e-3 if low else 1e-5)
        assert (chosen >= last.topk(k).values[:, -1:] - (0.02 if low else 1e-5) * last.abs().amax()).all()


# ---- losses and steps

ARCHITECTURES: dict[str, Architecture] = {
    "topk": TopK(d_sae=512, k=8, dead_after=10**6),
    "topk, multi": TopK(d_sae=512, k=8, multi_topk=True, dead_after=10**6),
    "topk, few dead": TopK(d_sae=512, k=8, aux_k=20, dead_after=1000),
    "topk, many dead": TopK(d_sae=2048, k=8, aux_k=20, dead_after=1000),
    "topk, wide": TopK(d_sae=6144, k=32, aux_k=20, dead_after=1000, scaling="dimension"),
    "batchtopk": BatchTopK(d_sae=512, k=8, aux_k=20, dead_after=1000),
    "matryoshka": Matryoshka(d_sae=512, k=8, aux_k=20, dead_after=1000, scaling="frame"),
    "jumprelu": JumpReLU(d_sae=512, threshold=0.4),
    "jumprelu, tanh": JumpReLU(d_sae=512, threshold=0.4, penalty="tanh"),
    "gated": Gated(d_sae=512),
    "l1": L1(d_sae=512),
    "l1, tied": L1(d_sae=512, tied=True),
}


def sample(frames: int = 160, d_in: int = 48) -> Tensor:
    """Sums of a few directions, about an offset, on the CPU."""
    generator = torch.Generator().manual_seed(9)
    directions = torch.randn(100, d_in, generator=generator)
    strengths = torch.rand(frames, 100, generator=generator) * (torch.rand(frames, 100, generator=generator) < 0.08)
    return strengths @ directions + torch.randn(d_in, generator=generator)


def with_some_dead(architecture: Architecture, x: Tensor) -> Any:
    """A training whose last quarter of latents is dead for those that look for it."""
    training = architecture.start(x, 0)
    training.since_fired[-len(training.since_fired) // 4 :] = 5000
    with torch.no_grad():
        if hasattr(training, "W_enc"):
            training.W_enc[:, -len(training.since_fired) // 4 :] *= 0.1
    return training


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_losses_and_gradients_equal_those_on_the_cpu(name: str, precision: str) -> None:
    """In bfloat16 they are compared with float32: to its accuracy, as other latents may be chosen."""
    x = sample()
    here = with_some_dead(ARCHITECTURES[name], x)
    there = copy.deepcopy(here).to(DEVICE)
    expected = here.loss(x, 0.5)
    expected.total.backward()
    with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
        found = there.loss(x.to(DEVICE), 0.5)
    found.total.backward()
    low = precision == "bfloat16"
    assert difference(found.total, expected.total) < (0.03 if low else 1e-4)
    assert difference(found.reconstruction, expected.reconstruction) < (0.05 if low else 1e-4)
    assert difference(found.l0, expected.l0) < (0.05 if low else 1e-3)
    for key, value in expected.parts.items():
        assert difference(found.parts[key], value) < (0.2 if low else 1e-3), key
    for key, weight in there.named_parameters():
        wanted = dict(here.named_parameters())[key].grad
        assert weight.grad is not None
        assert weight.grad.stride() == weight.stride(), key
        assert torch.isfinite(weight.grad).all(), key
        assert difference(weight.grad, wanted) < (0.4 if low else 1e-3), key
    if not low:
        assert torch.equal(there.since_fired.cpu(), here.since_fired)


def trained(architecture: Architecture, x: Tensor, device: str, **options: Any) -> Trainer:
    """A trainer after six steps, the third on a batch that is not finite."""
    chosen = Options(steps=12, batch_size=len(x), lr=1e-3, warmup=0.0, clip_norm=0.5, **options)
    trainer = Trainer(with_some_dead(architecture, x), chosen.checked(len(x), 1), Path(), {}, torch.device(device))
    for step in range(6):
        trainer.advance(x.to(device) * (torch.nan if step == 2 else 1), Position())
    return trainer


@pytest.mark.parametrize("name", ["topk", "topk, few dead", "batchtopk", "jumprelu", "l1, tied"])
def test_steps_equal_those_on_the_cpu(name: str) -> None:
    x = sample()
    first = ARCHITECTURES[name].start(x, 0)
    here, there = (trained(ARCHITECTURES[name], x, device, ema=0.9) for device in ("cpu", DEVICE))
    assert int(here.bad_batches) == int(there.bad_batches) == 1
    for key, weight in here.weights.items():
        moved = (weight - dict(first.named_parameters())[key]).norm().item()
        assert (there.weights[key].cpu() - weight).norm().item() <= 0.03 * moved + 1e-6, key  # Adam follows signs
        moments = (trainer.optimizer.state(trainer.weights[key])["exp_avg"] for trainer in (there, here))
        assert difference(*moments) < 0.03, key
    torch.testing.assert_close(there.training.W_dec.norm(dim=1), torch.ones(512, device=DEVICE))
    metrics = there.metrics(x.to(DEVICE), there.advance(x.to(DEVICE), Position()))
    assert all(math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["topk", "topk, few dead", "topk, many dead"])
def test_a_step_does_not_wait_for_the_device(name: str, precision: str) -> None:
    """Unless it is screened for float32: then it looks whether a frame has more candidates than there is room for."""
    x = sample()
    trainer = trained(ARCHITECTURES[name], x, DEVICE, precision=precision)
    x = x.to(DEVICE)
    for _ in range(4):
        trainer.advance(x, Position())
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.advance(x, Position())
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("options", [{"ema": 0.9}, {"precision": "bfloat16"}], ids=str)
@pytest.mark.parametrize("name", ["topk", "topk, multi", "topk, few dead", "topk, many dead", "batchtopk", "l1"])
def test_replayed_steps_are_those_that_are_made(
    name: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, while latents die, where a batch is not finite, and where batches are of two sizes."""
    x = sample(400)
    chosen = Options(steps=60, batch_size=160, lr=1e-3, clip_norm=0.5, **options).checked(400, 1)
    trainers = [
        Trainer(with_some_dead(ARCHITECTURES[name], x), chosen, Path(), {}, torch.device(DEVICE)) for _ in range(2)
    ]
    for step in range(40):
        batch = x[step : step + (160 if step % 10 else 90)].to(DEVICE) * (torch.nan if step == 30 else 1)
        losses = []
        for trainer, warm_up in zip(trainers, (2, 10**9), strict=True):
            monkeypatch.setattr(replay, "WARM_UP", warm_up)
            losses.append(trainer.advance(batch, Position()))
        assert torch.equal(losses[0].total, losses[1].total) or step == 30
        assert torch.equal(losses[0].l0, losses[1].l0) or step == 30
    recorded, made = trainers
    assert len(recorded._step._recorded) >= 1 if name.startswith("topk") else not recorded._step._recorded
    assert not made._step._recorded
    assert int(recorded.bad_batches) == int(made.bad_batches) == 1
    assert recorded._tensors().keys() == made._tensors().keys()
    for key, tensor in recorded._tensors().items():
        assert torch.equal(tensor, made._tensors()[key]), key


def test_a_bad_batch_changes_nothing() -> None:
    x = sample()
    trainer = trained(ARCHITECTURES["topk"], x, DEVICE)
    before = {key: weight.detach().clone() for key, weight in trainer.weights.items()}
    moments = {key: trainer.optimizer.state(weight)["exp_avg"].clone() for key, weight in trainer.weights.items()}
    trainer.advance(x.to(DEVICE) * torch.inf, Position())
    assert int(trainer.bad_batches) == 2
    for key, weight in trainer.weights.items():
        torch.testing.assert_close(weight.detach(), before[key], rtol=1e-6, atol=1e-7)
        assert torch.equal(trainer.optimizer.state(weight)["exp_avg"], moments[key])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_from_start_to_end(source: Any, tmp_path: Path, precision: str) -> None:
    """Interrupted and resumed, it ends about where one on the CPU does."""
    options: dict[str, Any] = {"steps": 120, "batch_size": 256, "lr": 1e-2}
    architecture = TopK(k=2, d_sae=48, dead_after=2000)
    on_gpu = Options(**options, precision=precision)
    with pytest.MonkeyPatch.context() as patch:
        real, calls = Trainer.advance, iter(range(10**6))

        def stop(self: Trainer, x: Tensor, following: Position) -> Any:
            if next(calls) == 60:
                training_module.signal.raise_signal(training_module.signal.SIGINT)
            return real(self, x, following)

        patch.setattr(Trainer, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            train(source, architecture, tmp_path / "gpu", options=on_gpu, device=DEVICE, progress=False)
    found = train(source, architecture, tmp_path / "gpu", options=on_gpu, device=DEVICE, progress=False)
    expected = train(source, architecture, tmp_path / "cpu", options=Options(**options), device="cpu", progress=False)
    fvu = [float((sae(source.x) - source.x).square().sum() / source.x.var(0).sum()) / 4000 for sae in (found, expected)]
    assert fvu[0] == pytest.approx(fvu[1], rel=0.25, abs=0.02)
