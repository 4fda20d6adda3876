"""The sparse path against dense products and plain autograd: values, gradients, and which latents are chosen."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from freud.saes import TopK, kernels
from freud.saes.kernels import Pattern, choose, plain, sparse

pytestmark = pytest.mark.numeric


def assert_near(found: Tensor, expected: Tensor, what: str) -> None:
    difference, size = (found - expected).detach().norm(), expected.detach().norm()
    assert difference <= 1e-4 * size + 1e-6, what


def dictionary(d_in: int, d_sae: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """W_enc, b_enc, W_dec, the rows of the decoder of norm 1."""
    W_enc = torch.randn(d_sae, d_in, generator=generator) * torch.rand(d_sae, 1, generator=generator)  # noqa: N806
    b_enc = 0.1 * torch.randn(d_sae, generator=generator)
    W_dec = torch.nn.functional.normalize(torch.randn(d_sae, d_in, generator=generator), dim=1)  # noqa: N806
    return W_enc.T, b_enc, W_dec


shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 700))  # frames, d_in, d_sae


@settings(max_examples=80, deadline=None)
@given(shape=shapes, seed=st.integers(0, 10_000), bfloat16=st.booleans(), column_major=st.booleans(), data=st.data())
def test_topk_and_decode_equal_dense_autograd(
    shape: tuple[int, int, int], seed: int, bfloat16: bool, column_major: bool, data: st.DataObject
) -> None:
    frames, d_in, d_sae = shape
    k = data.draw(st.integers(1, min(d_sae, 10)) | st.just(d_sae), label="k")
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(frames, d_in, generator=generator)
    target = torch.randn(frames, d_in, generator=generator)
    weights = dictionary(d_in, d_sae, generator)
    if not column_major:
        weights = (weights[0].contiguous(), *weights[1:])
    gradients, values = [], []
    for fast in (False, True):
        leaves = [w.detach().clone().requires_grad_() for w in (x, *weights)]
        a, W_enc, b_enc, W_dec = leaves  # noqa: N806
        if fast:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(choose, "_bfloat16_is_faster", lambda *_: bfloat16 and choose._has_bfloat16())
                score, pattern = kernels.topk(a, W_enc, b_enc, k)
            x_hat = kernels.decode(score.relu(), pattern, W_dec)
        else:
            score, latents = plain.topk(a, W_enc, b_enc, k)
            numbers = torch.arange(frames).repeat_interleave(k)
            x_hat = plain.decode(score.relu().flatten(), numbers, latents.flatten(), frames, W_dec)
        values.append(score.reshape(frames, k).sort(1).values)
        loss = (x_hat - target).square().sum()
        gradients.append([loss.detach(), *torch.autograd.grad(loss, leaves)])
    assert_near(values[1], values[0], "values")
    for name, found, expected in zip(["loss", "x", "W_enc", "b_enc", "W_dec"], *reversed(gradients), strict=True):
        assert_near(found, expected, name)


@settings(max_examples=60, deadline=None)
@given(frames=st.integers(1, 12), d_sae=st.integers(1, 30), width=st.integers(1, 9), seed=st.integers(0, 999))
def test_any_number_of_latents_on_a_frame(frames: int, d_sae: int, width: int, seed: int) -> None:
    """As BatchTopK has them: frames without any, latents without any."""
    generator = torch.Generator().manual_seed(seed)
    frame, latent = (torch.rand(frames, d_sae, generator=generator) < 0.2).nonzero(as_tuple=True)
    pattern = Pattern.ragged(frame, latent, frames, d_sae)
    x = torch.randn(frames, width, generator=generator)
    W_enc, b_enc, W_dec = dictionary(width, d_sae, generator)  # noqa: N806
    results = []
    for fast in (True, False):
        leaves = [w.detach().clone().requires_grad_() for w in (x, W_enc, b_enc, W_dec)]
        score = (
            kernels.scores(*leaves[:3], pattern) if fast else (leaves[0] @ leaves[1] + leaves[2])[frame, latent]
        )  # fmt: skip
        x_hat = (
            kernels.decode(score, pattern, leaves[3]) if fast else plain.decode(score, frame, latent, frames, leaves[3])
        )
        loss = x_hat.square().sum() + score.sum()
        results.append([score, x_hat, *torch.autograd.grad(loss, leaves)])
    for number, (found, expected) in enumerate(zip(*results, strict=True)):
        assert_near(found, expected, str(number))
    fired = torch.zeros(d_sae, dtype=torch.bool)
    fired[latent[results[0][0] > 0]] = True
    assert torch.equal(pattern.fired(results[0][0]), fired)
    assert torch.equal(pattern.frames.long(), frame)


@pytest.mark.skipif(not choose._has_bfloat16(), reason="this processor has no products in bfloat16")
@pytest.mark.parametrize("scale", [1e-6, 1, 1e4])
def test_a_bfloat16_screen_changes_nothing(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """Beyond the rounding of float32, with scores that crowd about the k-th largest closer than bfloat16 can tell."""
    generator = torch.Generator().manual_seed(0)
    W_enc, b_enc, _ = dictionary(48, 3000, generator)  # noqa: N806
    W_enc[:, 100:400] = W_enc[:, :1] * (1 + 1e-4 * torch.randn(300, generator=generator))
    x = scale * torch.randn(200, 48, generator=generator)
    exact = x.double() @ W_enc.double() + scale * b_enc
    rounding = {"rtol": 1e-6, "atol": 1e-6 * scale}
    for bfloat16 in (True, False):
        monkeypatch.setattr(choose, "_bfloat16_is_faster", lambda *_, answer=bfloat16: answer)
        values, pattern = kernels.topk(x, W_enc, scale * b_enc, 8)
        values, latents = values.view(-1, 8).double(), pattern.latents.view(-1, 8).long()
        torch.testing.assert_close(values, exact.gather(1, latents), **rounding)
        torch.testing.assert_close(values.sort(1, descending=True).values, exact.topk(8).values, **rounding)


@pytest.mark.parametrize("where", ["x", "W_enc"])
@pytest.mark.parametrize("what", [torch.nan, torch.inf])
def test_what_is_not_finite_stays_so(where: str, what: float) -> None:
    """The loop that trains tells a bad batch by its loss; it must get one, not an exception or a finite number."""
    generator = torch.Generator().manual_seed(1)
    weights = dict(zip(["W_enc", "b_enc", "W_dec"], dictionary(8, 600, generator), strict=True))
    weights["x"] = torch.randn(20, 8, generator=generator)
    weights[where][3, 5] = what
    values, pattern = kernels.topk(weights["x"], weights["W_enc"], weights["b_enc"], 4)
    x_hat = kernels.decode(values.relu(), pattern, weights["W_dec"])
    assert not torch.isfinite(x_hat).all()


def test_frames_of_zeros_take_any_latents() -> None:
    weights = dictionary(8, 600, torch.Generator().manual_seed(1))
    values, pattern = kernels.topk(torch.zeros(20, 8), weights[0], torch.zeros(600), 4)
    assert not values.any()
    assert all(len(set(row.tolist())) == 4 for row in pattern.latents.view(20, 4))


@pytest.mark.parametrize("d_sae", [100, 2048])
def test_autocast_chooses_by_bfloat16_and_keeps_values_in_float32(monkeypatch: pytest.MonkeyPatch, d_sae: int) -> None:
    monkeypatch.setattr(choose, "_bfloat16_is_faster", lambda *_: choose._has_bfloat16())
    generator = torch.Generator().manual_seed(2)
    W_enc, b_enc, _ = dictionary(64, d_sae, generator)  # noqa: N806
    x = torch.randn(300, 64, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        values, pattern = kernels.topk(x, W_enc, b_enc, 8)
    scores = x @ W_enc + b_enc
    assert values.dtype == torch.float32
    torch.testing.assert_close(values.view(300, 8), scores.gather(1, pattern.latents.view(300, 8).long()))
    lost = float((scores.topk(8).values.double().sum() - values.double().sum()) / values.double().sum())
    # Both sums are of float32 values that were summed over 64 products in different orders, so the better choice may
    # come out smaller by that rounding, which is at most 64 x 2^-24.
    assert -64 * 2.0**-24 <= lost < 1e-3


def test_gradients_lie_in_memory_as_the_weights_do() -> None:
    """Fused Adam walks through both by address: with other strides it would update the wrong weights, silently."""
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    training = TopK(k=2, d_sae=600, dead_after=10).start(x, 0)
    training.since_fired[300:] = 100
    training.loss(x, 0).total.backward()
    for name, weight in training.named_parameters():
        assert weight.grad is not None
        assert weight.grad.stride() == weight.stride(), name
    assert training.W_enc.stride() == (1, 16)


@settings(max_examples=60, deadline=None)
@given(shape=st.tuples(st.integers(1, 30), st.integers(1, 300)), seed=st.integers(0, 10_000), data=st.data())
def test_the_largest_of_each_row_are_those_of_torch(shape: tuple[int, int], seed: int, data: st.DataObject) -> None:
    """With ties, and rows that are not finite, as well."""
    k = data.draw(st.integers(1, shape[1]), label="k")
    scored = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    for kind in data.draw(st.sets(st.sampled_from(["ties", "nan", "inf"])), label="rows"):
        row = data.draw(st.integers(0, shape[0] - 1), label=kind)
        if kind == "ties":
            scored[row] = scored[row].round()
        else:
            scored[row, ::3] = float(kind)
    values, places = choose.largest(scored, k)
    assert all(len(set(row.tolist())) == k for row in places)
    torch.testing.assert_close(values, scored.gather(1, places), rtol=0, atol=0, equal_nan=True)
    expected = scored.topk(k, dim=1).values
    torch.testing.assert_close(values.sort(1, descending=True).values, expected, rtol=0, atol=0, equal_nan=True)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), bfloat16=st.booleans(), data=st.data())
def test_scoring_some_latents_apart_changes_nothing(seed: int, bfloat16: bool, data: st.DataObject) -> None:
    """Whether they score as high as others, higher than all, or lower."""
    k, d_sae = data.draw(st.integers(1, 6), label="k"), data.draw(st.integers(20, 600), label="d_sae")
    count = data.draw(st.integers(1, d_sae - k), label="apart")
    most = data.draw(st.integers(1, count), label="most")
    generator = torch.Generator().manual_seed(seed)
    W_enc, b_enc, _ = dictionary(24, d_sae, generator)  # noqa: N806
    x = torch.randn(40, 24, generator=generator)
    apart = torch.randperm(d_sae, generator=generator)[:count].sort().values
    b_enc[apart] += data.draw(st.sampled_from([-3.0, 0.0, 3.0]), label="more")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "_bfloat16_is_faster", lambda *_: bfloat16 and choose._has_bfloat16())
        values, pattern, (found, places) = kernels.topk_apart(x, W_enc, b_enc, k, apart, most)
    expected = x @ W_enc + b_enc
    best = expected[:, apart].topk(most, dim=1)
    assert torch.equal(places.long().sort(1).values, best.indices.sort(1).values)
    torch.testing.assert_close(found, expected[:, apart].gather(1, places.long()), rtol=1e-4, atol=1e-5)
    best = expected.topk(k, dim=1)
    assert torch.equal(pattern.latents.view(-1, k).long().sort(1).values, best.indices.sort(1).values)
    torch.testing.assert_close(values.view(-1, k).sort(1, descending=True).values, best.values, rtol=1e-4, atol=1e-5)


def test_what_is_not_a_number_stays_so_among_latents_scored_apart() -> None:
    W_enc, b_enc, W_dec = dictionary(8, 600, torch.Generator().manual_seed(1))  # noqa: N806
    x = torch.ones(20, 8)
    W_enc[3, 5] = torch.nan
    values, pattern, _ = kernels.topk_apart(x, W_enc, b_enc, 4, torch.arange(100), 7)
    assert not torch.isfinite(kernels.decode(values.relu(), pattern, W_dec)).all()


@settings(max_examples=60, deadline=None)
@given(
    shape=shapes,
    seed=st.integers(0, 10_000),
    sample=st.sampled_from([1, 3, 64]),
    whole=st.booleans(),
    shift=st.sampled_from([-20.0, 0.0, 20.0]),
    data=st.data(),
)
def test_the_largest_of_all_frames(
    shape: tuple[int, int, int], seed: int, sample: int, whole: bool, shift: float, data: st.DataObject
) -> None:
    """In blocks of a few frames, with guesses that are far too high or too low, ties, and most scores below zero."""
    frames, d_in, d_sae = shape
    count = data.draw(st.integers(1, frames * d_sae + 5), label="count")
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(frames, d_in, generator=generator) * 10 ** torch.linspace(-2, 1, frames)[:, None]
    W_enc, b_enc, _ = dictionary(d_in, d_sae, generator)  # noqa: N806
    if data.draw(st.booleans(), label="loudest first"):
        x = x.flip(0)
    if whole:  # whole numbers, so that there are ties and every product is exact
        x, W_enc, b_enc = x.round(), (2 * W_enc).round(), (10 * b_enc).round()  # noqa: N806
    b_enc = b_enc + shift
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choose, "BLOCK", 5 * d_sae)
        patch.setattr(choose, "SAMPLE", sample)
        values, places = kernels.largest_of_all(x, W_enc, b_enc, count)
    scored = (x @ W_enc + b_enc).flatten()
    expected = scored.topk(min(count, len(scored))).values
    torch.testing.assert_close(values.sort(descending=True).values, expected[expected > 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(values, scored[places], rtol=1e-4, atol=1e-4)
    assert (places.diff() > 0).all()


def test_scores_are_dense_while_they_are_many() -> None:
    """And where they are not numbers, which a choice would hide."""
    x = torch.randn(300, 16, generator=torch.Generator().manual_seed(0))
    W_enc, b_enc, _ = dictionary(16, 700, torch.Generator().manual_seed(1))  # noqa: N806
    scored = x @ W_enc + b_enc
    many, some = (kernels.above(x, W_enc, b_enc, torch.full((700,), least)) for least in (0.0, 4.0))
    assert isinstance(many, kernels.Dense)
    torch.testing.assert_close(many.values, scored)
    assert isinstance(some, kernels.Few)
    frame, latent = (scored >= 4.0).nonzero(as_tuple=True)
    assert torch.equal(some.pattern.frames.long(), frame)
    assert torch.equal(some.pattern.latents.long(), latent)
    torch.testing.assert_close(some.values, scored[frame, latent])
    W_enc[2, 30] = torch.nan
    assert isinstance(kernels.above(x, W_enc, b_enc, torch.full((700,), 4.0)), kernels.Dense)


@pytest.mark.parametrize("width", [sparse.SLICE - 1, sparse.SLICE, 2 * sparse.SLICE + 5])
def test_sums_of_wide_rows(width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    frame, latent = (torch.rand(9, 30, generator=generator) < 0.3).nonzero(as_tuple=True)
    pattern = Pattern.ragged(frame, latent, 9, 30)
    values = torch.randn(len(latent), generator=generator)
    dense = torch.zeros(9, 30).index_put((frame, latent), values)
    for found, factor, matrix in ((pattern.times, 30, dense), (pattern.transposed_times, 9, dense.T)):
        right = torch.randn(factor, width, generator=generator)
        torch.testing.assert_close(found(values, right), matrix @ right)
