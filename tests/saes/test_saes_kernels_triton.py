"""The Triton kernels against dense products, under Triton's interpreter, to be chosen before Triton is imported.

So outside the interpreter this file has one test, which runs the others in a process of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

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
    from freud.saes.kernels import triton_sparse, triton_topk
    from freud.saes.optimizer import Optimizer

    SHAPES = [(5, 3, 7, 7), (17, 70, 130, 1), (4, 16, 90, 40)]  # frames, d_in, d_sae, k

    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_k_largest(shape: tuple[int, int, int, int]) -> None:
        frames, d_in, d_sae, k = shape
        generator = torch.Generator().manual_seed(d_sae)
        x, rows = (torch.randn(n, d_in, generator=generator) for n in (frames, d_sae))
        b_enc = torch.randn(d_sae, generator=generator)
        values, latents = triton_topk.largest(x, rows, b_enc, k)
        expected = plain.topk(x, rows.T, b_enc, k)
        torch.testing.assert_close(values, expected[0].sort(1, descending=True).values)
        assert torch.equal(latents.sort(1).values.long(), expected[1].sort(1).values)

    def test_scores_that_rise_with_the_latents_fill_the_lists_again_and_again() -> None:
        rows = torch.linspace(-1, 1, 200)[:, None]
        values, latents = triton_topk.largest(torch.ones(3, 1), rows, torch.zeros(200), 5)
        assert latents.tolist() == [[199, 198, 197, 196, 195]] * 3
        torch.testing.assert_close(values, rows[latents[0].long()].T.expand(3, 5))

    def test_ties_take_exactly_k() -> None:
        values, latents = triton_topk.largest(torch.ones(4, 2), torch.ones(100, 2), torch.zeros(100), 6)
        assert (values == 2).all()
        assert all(len(set(row.tolist())) == 6 for row in latents)

    def test_sums_and_products_of_a_ragged_pattern() -> None:
        generator = torch.Generator().manual_seed(0)
        frame, latent = (torch.rand(6, 10, generator=generator) < 0.3).nonzero(as_tuple=True)
        pattern = Pattern.ragged(frame, latent, 6, 10)
        values = torch.randn(len(latent), generator=generator)
        left, right = torch.randn(6, 5, generator=generator), torch.randn(10, 5, generator=generator)
        torch.testing.assert_close(
            triton_sparse.sum_rows(values, pattern.latents, pattern.offsets, right), pattern.times(values, right)
        )
        torch.testing.assert_close(
            triton_sparse.products(left, right, pattern.latents, pattern.offsets), pattern.products(left, right)
        )

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
                latents = triton_topk.largest(x.detach(), W_enc.detach().T.contiguous(), b_enc.detach(), k)[1]
                pattern = Pattern.regular(latents, d_sae)
                x_hat = kernels.decode(kernels.scores(x, W_enc, b_enc, pattern), pattern, W_dec)
            else:
                values, latents = plain.topk(x, W_enc, b_enc, k)
                numbers = torch.arange(frames).repeat_interleave(k)
                x_hat = plain.decode(values.flatten(), numbers, latents.flatten(), frames, W_dec)
            results.append([x_hat, *torch.autograd.grad(x_hat.square().sum(), leaves)])
        for found, expected in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

    def test_decoding_with_the_error_equals_autograd(monkeypatch: pytest.MonkeyPatch) -> None:
        generator = torch.Generator().manual_seed(4)
        active = torch.rand(6, 10, generator=generator) < 0.3
        active[2] = False
        frame, latent = active.nonzero(as_tuple=True)
        pattern = Pattern.ragged(frame, latent, 6, 10)
        x = torch.randn(6, 5, generator=generator)
        weights = [torch.randn(*size, generator=generator) for size in ((len(latent),), (10, 5), (5,))]
        results = []
        for fast in (True, False):
            monkeypatch.setattr(sparse, "triton_for", lambda _, answer=fast: answer)
            values, W_dec, b_dec = leaves = [w.clone().requires_grad_() for w in weights]  # noqa: N806
            if fast:
                error, squared = kernels.error(x, values, pattern, W_dec, b_dec)
            else:
                error = x - plain.decode(values, frame, latent, 6, W_dec) - b_dec
                squared = error.square().sum()
            results.append([error.detach(), squared, *torch.autograd.grad(3 * squared, leaves)])
        for found, expected in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)

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
                norm, bad = mine.step(0.01 * (step + 1))
                left_out.append(bool(bad))
                assert bad or norm > 0.1
            assert left_out == [False, False, True, False, False, False]
            torch.testing.assert_close(training.W_dec.norm(dim=1), torch.ones(9))
            every = [*training.parameters(), *(s for w in mine.weights for s in mine.state(w).values())]
            results.append([tensor.detach().clone() for tensor in every])
        for found, expected in zip(*results, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
