"""The optimizer against torch's plain Adam and its own clipping."""

from __future__ import annotations

import pytest
import torch

from freud.saes import TopK
from freud.saes.architecture import remove_parallel_, unit_rows_
from freud.saes.optimizer import Optimizer

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("clip", [1e-3, 0.5, 1e6])
def test_steps_are_those_of_plain_adam_after_clipping(clip: float) -> None:
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    ours, theirs = (TopK(k=2, d_sae=40).start(x, 0) for _ in range(2))
    optimizer = Optimizer(ours, clip)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.01)
    optimizer.set_rate(0.01)
    for seed in range(6):
        batch = 3 * torch.randn(64, 16, generator=torch.Generator().manual_seed(seed))
        for training in (ours, theirs):
            training.zero_grad()
            training.loss(batch, 0).total.backward()
        norm, bad = optimizer.step()
        remove_parallel_(theirs.W_dec)
        expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        adam.step()
        unit_rows_(theirs.W_dec.data)
        torch.testing.assert_close(norm, expected)
        assert not bad
        for (name, found), weight in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(
                found, weight, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
            )


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    training = TopK(k=2, d_sae=40).start(x, 0)
    optimizer = Optimizer(training, 1.0)
    optimizer.set_rate(0.01)
    before = [weight.detach().clone() for weight in training.parameters()]
    training.loss(x, 0).total.backward()
    assert training.b_dec.grad is not None
    training.b_dec.grad[3] = torch.inf
    norm, bad = optimizer.step()
    assert bad
    assert not torch.isfinite(norm)
    for weight, old in zip(training.parameters(), before, strict=True):
        torch.testing.assert_close(weight.detach(), old)
        state = optimizer.state(weight)
        assert not state["step"]
        assert not state["exp_avg"].any()
