"""Batches cut into shares for torch's threads: the same results, the same number of threads afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from freud.saes import kernels
from freud.saes.kernels import shares
from freud.saes.kernels.shares import SMALLEST, in_shares

pytestmark = pytest.mark.numeric

FRAMES = 3 * SMALLEST + 5
TASKS = Path("/proc/self/task")  # the threads of this process


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize(("frames", "shares"), [(0, 0), (1, 1), (SMALLEST, 1), (SMALLEST + 1, 2), (FRAMES, 3)])
def test_shares_make_up_all_frames_in_their_order(frames: int, shares: int) -> None:
    found = in_shares(lambda these: torch.arange(frames)[these], frames)
    assert len(found) == shares
    assert torch.equal(torch.cat([*found, torch.empty(0).long()]), torch.arange(frames))


@pytest.mark.usefixtures("three_threads")
def test_each_thread_uses_no_others_and_the_rest_as_many_as_before() -> None:
    def look(_: slice) -> tuple[int, int, bool]:
        together.wait()
        return torch.get_num_threads(), threading.get_ident(), torch.is_grad_enabled()

    together = threading.Barrier(3, timeout=30)
    for _ in range(2):
        numbers, threads, gradients = zip(*in_shares(look, FRAMES), strict=True)
        assert numbers == (1, 1, 1)
        assert len(set(threads)) == 3
        assert not any(gradients)
        elsewhere: list[int] = []
        other = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))  # noqa: B023
        other.start()
        other.join()
        assert (torch.get_num_threads(), elsewhere) == (3, [3])


@pytest.mark.usefixtures("three_threads")
@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir() or shares._openmp_pause() is None, reason="of OpenMP 5 on Linux"
)
def test_no_thread_of_openmp_spins_beside_the_shares() -> None:
    def threads() -> set[str]:
        return {task.name for task in TASKS.iterdir()}

    x = torch.ones(1 << 20)
    in_shares(torch.arange(FRAMES).__getitem__, FRAMES)  # threads of ours are there from now on
    before = threads()
    x += 1
    spinning = threads() - before
    assert len(spinning) == 2
    assert in_shares(lambda _: becomes_true(lambda: not spinning & threads()), FRAMES) == [True] * 3
    before = threads()
    x += 1
    assert len(threads() - before) == 2
    assert (x == 3).all()


def becomes_true(done: Callable[[], bool]) -> bool:
    """Whether that comes true: a thread that is sent away takes a moment to go."""
    until = time.monotonic() + 10
    while not done() and time.monotonic() < until:
        time.sleep(0.001)
    return done()


@pytest.mark.parametrize("frames", [1, FRAMES])
@pytest.mark.usefixtures("three_threads")
def test_autocast_makes_no_difference(frames: int) -> None:
    factor = torch.ones(1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert (factor @ factor).dtype == torch.bfloat16
        assert {product.dtype for product in in_shares(lambda _: factor @ factor, frames)} == {torch.float32}
        assert (factor @ factor).dtype == torch.bfloat16


@pytest.mark.usefixtures("three_threads")
def test_what_goes_wrong_in_a_share_is_raised() -> None:
    def fail(these: slice) -> None:
        if these.start:
            raise MemoryError(f"{these.start}")

    with pytest.raises(MemoryError, match=r"^\d+$"):
        in_shares(fail, FRAMES)
    assert torch.get_num_threads() == 3


def test_latents_are_the_same_in_shares_and_in_one(request: pytest.FixtureRequest) -> None:
    generator = torch.Generator().manual_seed(0)
    x, W_enc = torch.randn(FRAMES, 24, generator=generator), torch.randn(24, 900, generator=generator)  # noqa: N806
    b_enc = torch.randn(900, generator=generator)
    x[400] = 0  # a frame whose scores are the biases
    scores = x @ W_enc + b_enc

    def found() -> list[torch.Tensor]:
        values, pattern = kernels.topk(x, W_enc, b_enc, 5)
        most, places = kernels.largest_of_all(x, W_enc, b_enc, 4000)
        few = kernels.above(x, W_enc, b_enc, torch.full((900,), 12.0))
        assert isinstance(few, kernels.Few)
        best = pattern.latents.view(FRAMES, 5).sort(1)
        return [
            values.view(FRAMES, 5).gather(1, best.indices),
            best.values,
            most,
            places,
            few.values,
            few.pattern.latents,
        ]

    alone = found()
    request.getfixturevalue("three_threads")
    shared = found()
    for one, other in zip(alone, shared, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(shared[0].sum(1), scores.topk(5).values.sum(1), rtol=1e-5, atol=1e-5)
    assert torch.equal(shared[3], scores.flatten().topk(4000).indices.sort().values)
    assert torch.equal(shared[5].long(), (scores >= 12).nonzero()[:, 1])
