"""The Triton kernels against dense products, under Triton's interpreter, to be chosen before Triton is imported.

So outside the interpreter this file has one test, which runs the others in a process of their own.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from freud.saes import JumpReLU, kernels, optimizer
from freud.saes.kernels import Pattern, plain, sparse

pytest.importorskip("triton")

if os.environ.get("TRITON_INTERPRET") != "1":

    @pytest.mark.slow
    def test_under_the_interpreter() -> None:
        environment = {**os.environ, "TRITON_INTERPRET": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stdout
        assert " passed" in done.stdout

else:
    from freud.saes.kernels import choose, triton_select, triton_sparse
    from freud.saes.optimizer import Optimizer

    def random(*shape: int, seed: int = 0) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("shape", [(1, 1), (7, 7), (100, 3), (700, 1), (1000, 32), (3000, 5), (9000, 8)], ids=str)
    def test_the_k_largest_of_rows(shape: tuple[int, int], dtype: torch.dtype) -> None:
        n, k = shape
        scored = random(3, n, seed=n).to(dtype)
        places = triton_select.largest(scored, k)
        assert (places.diff(dim=1) > 0).all()
        best = scored.gather(1, places.long())
        assert torch.equal(best.sort(1).values, scored.topk(k, dim=1).values.sort(1).values)

    @pytest.mark.parametrize("n", [50, 2000])
    def test_ties_take_the_first(n: int) -> None:
        scored = torch.full((3, n), -1.0)
        scored[1, 20:29] = 2
        scored[2, n - 1] = torch.inf
        assert triton_select.largest(scored, 4).tolist() == [[0, 1, 2, 3], [20, 21, 22, 23], [0, 1, 2, n - 1]]

    @pytest.mark.parametrize("sign", [1, -1])
    def test_what_is_not_a_number_is_chosen(sign: int) -> None:
        scored = random(2, 2000)
        scored[0, 1500] = math.copysign(math.nan, sign)
        assert 1500 in triton_select.largest(scored, 4)[0]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("k", [1, 30, 60, 100])
    def test_what_is_among_the_k_largest_and_above_zero_is_kept(k: int, dtype: torch.dtype) -> None:
        scored = random(4, 100).to(dtype)
        scored[0, 3:] = -torch.inf
        scored[1] = 2.0
        found = triton_select.kept(scored, k)
        best = scored.topk(k, dim=1)
        expected = torch.zeros_like(scored).scatter(1, best.indices, best.values.relu())
        assert torch.equal(found.sort(1).values, expected.sort(1).values)
        assert torch.equal(found[found > 0], scored[found > 0])
        assert (found[1, :k] == 2).all()

    def test_candidates_hold_the_largest_and_say_how_many_they_are() -> None:
        exact, error = random(5, 3000), torch.tensor([0.0, 0.1, 0.5, 9.0, torch.nan])
        places, found = triton_select.candidates(exact.bfloat16(), 8, error, 2 * 2.0**-9, torch.tensor(0.0), 32)
        assert (found[:2] >= 8).all()
        assert found[0] <= found[1] <= 32
        assert (found[3:] > 32).all()
        for row in range(2):
            kept = places[row, : found[row]].tolist()
            assert kept == sorted(kept)
            assert set(exact[row].topk(8).indices.tolist()) <= set(kept)

    @pytest.mark.parametrize("shape", [(9, 24, 700, 4), (5, 3, 64, 1), (17, 70, 1030, 8)], ids=str)
    def test_the_screen_chooses_what_float32_does(shape: tuple[int, int, int, int]) -> None:
        frames, d_in, d_sae, k = shape
        x, rows, b_enc = random(frames, d_in), 0.3 * random(d_sae, d_in, seed=1), 0.1 * random(d_sae, seed=2)
        x[2, 1] = 1e-30
        values, latents = choose._screened_by_triton(x, rows, b_enc, k)
        expected = plain.topk(x, rows.T, b_enc, k)
        torch.testing.assert_close(values.sort(1).values, expected[0].sort(1).values)
        assert torch.equal(latents.sort(1).values.long(), expected[1].sort(1).values)

    def test_frames_with_too_many_candidates_are_scored_whole() -> None:
        rows = torch.linspace(1, 1.001, 900)[:, None] * random(1, 6)
        x, b_enc = random(4, 6, seed=1), torch.zeros(900)
        x[3] = torch.nan
        values, _ = choose._screened_by_triton(x, rows, b_enc, 5)
        expected = plain.topk(x, rows.T, b_enc, 5)[0]
        torch.testing.assert_close(values.sort(1).values, expected.sort(1).values, equal_nan=True)

    def test_sums_and_products_of_a_ragged_pattern() -> None:
        generator = torch.Generator().manual_seed(0)
        frame, latent = (torch.rand(6, 10, generator=generator) < 0.3).nonzero(as_tuple=True)
        pattern = Pattern.ragged(frame, latent, 6, 10)
        values = torch.randn(len(latent), generator=generator)
        left, right = torch.randn(6, 5, generator=generator), torch.randn(10, 5, generator=generator)
        torch.testing.assert_close(
            triton_sparse.sum_rows(values, pattern.latents, pattern.offsets[:-1], pattern.offsets[1:], right),
            pattern.times(values, right),
        )
        both = torch.randn(10, generator=generator)
        products = triton_sparse.products(
            left, right, pattern.latents, pattern.offsets[:-1], pattern.offsets[1:], torch.empty_like(values), both
        )
        torch.testing.assert_close(products, pattern.products(left, right) + both[latent])

    @pytest.mark.parametrize("width", [1, 5, 130])
    def test_sums_over_latents_that_are_active_on_all_frames_and_on_none(width: int) -> None:
        active = torch.rand(1300, 6, generator=torch.Generator().manual_seed(0)) < 0.05
        active[:, 2] = True
        active[:, 4] = False
        frame, latent = active.nonzero(as_tuple=True)
        pattern = Pattern.ragged(frame, latent, 1300, 6)
        values, dense = random(len(latent)), random(1300, width, seed=1)
        order, frames, _ = pattern._by_latent
        found = triton_sparse.sum_long_rows(values[order.long()], frames, pattern._pieces, dense)
        expected = torch.zeros(1300, 6).index_put((frame, latent), values).double().T @ dense.double()
        torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)

    def test_gradients_through_the_kernels_equal_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
        generator = torch.Generator().manual_seed(3)
        frames, d_in, d_sae, k = 5, 6, 20, 3
        weights = [
            torch.randn(*s, generator=generator) for s in ((frames, d_in), (d_in, d_sae), (d_sae,), (d_sae, d_in))
        ]
        results = []
        for fast in (True, False):
            monkeypatch.setattr(sparse, "triton_for", lambda _, answer=fast: answer)
            x, W_enc, b_enc, W_dec = leaves = [w.clone().requires_grad_() for w in weights]  # noqa: N806
            if fast:
                latents = triton_select.largest((x @ W_enc + b_enc).detach(), k)
                pattern = Pattern.regular(latents, d_sae)
                x_hat = kernels.decode(kernels.scores(x, W_enc, b_enc, pattern), pattern, W_dec)
            else:
                values, latents = plain.topk(x, W_enc, b_enc, k)
                numbers = torch.arange(frames).repeat_interleave(k)
                x_hat = plain.decode(values.flatten(), numbers, latents.flatten(), frames, W_dec)
            results.append([x_hat, *torch.autograd.grad(x_hat.square().sum(), leaves)])
        for found, expected in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("low", [False, True], ids=["float32", "bfloat16"])
    @pytest.mark.parametrize("shape", ["ragged", "regular", "more than a program holds"])
    def test_decoding_with_the_error_equals_autograd(shape: str, low: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        frames, d_in, d_sae = 6, 150, 100
        generator = torch.Generator().manual_seed(4)
        if shape == "ragged":
            active = torch.rand(frames, d_sae, generator=generator) < 0.3
            active[2] = False
            pattern = Pattern.ragged(*active.nonzero(as_tuple=True), frames, d_sae)
        else:
            k = 7 if shape == "regular" else 90
            pattern = Pattern.regular(torch.rand(frames, d_sae, generator=generator).argsort(1)[:, :k], d_sae)
        x = torch.randn(frames, d_in, generator=generator)
        weights = [
            torch.randn(*size, generator=generator) for size in ((len(pattern.latents),), (d_sae, d_in), (d_in,))
        ]
        results = []
        for fast in (True, False):
            monkeypatch.setattr(sparse, "triton_for", lambda _, answer=fast: answer)
            values, W_dec, b_dec = leaves = [w.clone().requires_grad_() for w in weights]  # noqa: N806
            if fast:
                with torch.autocast("cpu", torch.bfloat16, enabled=low):
                    error, squared = kernels.error(x, values, pattern, W_dec, b_dec)
            else:
                error = x - plain.decode(values, pattern.frames, pattern.latents.long(), frames, W_dec) - b_dec
                squared = error.square().sum()
            results.append([error.detach(), squared, *torch.autograd.grad(3 * squared, leaves)])
        for found, expected in zip(*results, strict=True):
            assert found.dtype == torch.float32
            assert (found - expected).norm() <= (4e-3 if low else 1e-5) * expected.norm()

    def test_steps_of_the_optimizer_equal_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
        """With a batch among them whose gradient is not finite, and gradients longer than what they are clipped to."""
        sample = torch.randn(60, 5, generator=torch.Generator().manual_seed(5))
        results = []
        for fast in (True, False):
            monkeypatch.setattr(optimizer, "triton_for", lambda _, answer=fast: answer)
            training = JumpReLU(d_sae=9).start(sample, 0)
            mine = Optimizer(training, clip=0.1)
            left_out = []
            for step in range(6):
                mine.zero_grad()
                training.loss(sample * (torch.nan if step == 2 else 1), 1).total.backward()
                mine.set_rate(0.01 * (step + 1))
                norm, bad = mine.step()
                left_out.append(bool(bad))
                assert bad or norm > 0.1
            assert left_out == [False, False, True, False, False, False]
            torch.testing.assert_close(training.W_dec.norm(dim=1), torch.ones(9))
            every = [*training.parameters(), *(s for w in mine.weights for s in mine.state(w).values())]
            results.append([tensor.detach().clone() for tensor in every])
        for found, expected in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
