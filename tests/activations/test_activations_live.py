"""Frames straight from the model: several sites in one pass, and the newest kept on disk."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from freud.activations import ModelFrames
from freud.corpus import Corpus
from freud.models import AudioModel

streaming = importlib.import_module("freud.activations.stream")
SITES = ["encoder.blocks.2", "encoder.blocks.0"]
LOTS = 2**30


@pytest.fixture
def passes(nano: AudioModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of windows in each pass of the model."""
    counted: list[int] = []
    real = nano.activations
    monkeypatch.setattr(nano, "activations", lambda mel, sites: counted.append(len(mel)) or real(mel, sites))
    return counted


@pytest.fixture
def small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "POOL_BYTES", 4 * 192 * 2000)


def rows(frames: torch.Tensor) -> Counter[bytes]:
    return Counter(row.tobytes() for row in frames.numpy())


def epoch(source: Any, number: int, seed: int = 0) -> list[torch.Tensor]:
    return [source.pool(seed, number, pool) for pool in range(source.pools())]


def test_sites_come_out_of_one_pass(nano: AudioModel, few: Corpus, passes: list[int], small_pools: None) -> None:
    sources = ModelFrames.of_sites(nano, few, SITES, batch_size=2)
    assert [source.site.name for source in sources] == sorted(SITES)  # data-flow order
    kept = few.clips[0].id
    parts = [source.only([kept]) for source in sources]
    for pool in range(sources[0].pools()):
        for source in sources:
            expected = ModelFrames(nano, few, source.site.name, batch_size=2).pool(0, 0, pool)
            passes.clear()
            assert torch.equal(source.pool(0, 0, pool), expected)
            assert bool(passes) == (source is sources[0])
    for part in parts:
        assert part.clips == [kept]
        assert part.frames == len(part.pool(0, 0, 0))


@pytest.mark.parametrize("keep", [0, LOTS])
def test_pools_do_not_depend_on_what_was_asked_before(
    nano: AudioModel, few: Corpus, tmp_path: Path, keep: int, small_pools: None
) -> None:
    first, second = (ModelFrames(nano, few, SITES[0], batch_size=3, keep=keep, folder=tmp_path / n) for n in "ab")
    assert first.pools() > 1
    expected = epoch(first, 1)
    epoch(second, 0)
    assert all(torch.equal(a, b) for a, b in zip(epoch(second, 1), expected, strict=True))
    assert rows(torch.cat(expected)) == rows(torch.cat(list(first.ordered()))) or not keep
    assert sum(map(len, expected)) == first.frames


def test_what_is_kept_is_not_run_again_and_changes_nothing(
    nano: AudioModel, few: Corpus, tmp_path: Path, passes: list[int], small_pools: None
) -> None:
    sources = {keep: ModelFrames(nano, few, SITES[0], batch_size=3, keep=keep, folder=tmp_path / str(keep))
               for keep in (LOTS, 600_000, 1)}  # fmt: skip
    ran: dict[int, list[int]] = {}
    frames: dict[int, list[torch.Tensor]] = {}
    for keep, source in sources.items():
        frames[keep], ran[keep] = [], []
        for number in range(3):
            passes.clear()
            frames[keep] += epoch(source, number)
            ran[keep].append(sum(passes))
        size = sum(path.stat().st_size for path in (tmp_path / str(keep)).iterdir())
        assert size <= keep + 4096
    for found in frames.values():
        assert all(torch.equal(a, b) for a, b in zip(found, frames[LOTS], strict=True))
    assert ran[LOTS] == [10, 0, 0]
    assert ran[1] == [10, 10, 10]
    assert 0 < sum(ran[600_000][1:]) < 20
    # Another run finds what an earlier one kept; a damaged file is run again.
    for path in (tmp_path / str(LOTS)).iterdir():
        path.write_bytes(path.read_bytes()[:-7])
        break
    passes.clear()
    again = ModelFrames(nano, few, SITES[0], batch_size=3, keep=LOTS, folder=tmp_path / str(LOTS))
    assert torch.equal(torch.cat(epoch(again, 0)), torch.cat(frames[LOTS][: again.pools()]))
    assert 0 < sum(passes) <= 3
