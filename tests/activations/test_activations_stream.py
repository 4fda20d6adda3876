"""Shuffled batches: every frame is real, none is of a clip held out, and a stream resumes exactly."""

from __future__ import annotations

import importlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from freud.activations import (
    Activations,
    FrameSource,
    ModelFrames,
    Pieces,
    Position,
    StoredFrames,
    Stream,
    collect,
    split_clips,
)
from freud.corpus import Corpus
from freud.corpus import read as read_corpus
from freud.errors import FreudError
from freud.models import AudioModel

streaming = importlib.import_module("freud.activations.stream")
collecting = importlib.import_module("freud.activations.collect")
RESIDUAL = "encoder.blocks.2"
WIDTH = 192
FRAME_BYTES = 4 * WIDTH


def rows(frames: torch.Tensor) -> Counter[bytes]:
    """A multiset of frames, by their exact bytes."""
    return Counter(row.tobytes() for row in frames.numpy())


@pytest.fixture(scope="module")
def shards(nano: AudioModel, few: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Activations:
    """A store of several shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collecting, "SHARD_BYTES", 400 * FRAME_BYTES)
        made = collect(nano, few, [RESIDUAL], tmp_path_factory.mktemp("shards") / "acts", dtype="float32", batch_size=2)
    assert len(made.shards) >= 3
    return made


@pytest.fixture
def small_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    """About 600 frames a pool, in runs of 50."""
    monkeypatch.setattr(streaming, "POOL_BYTES", 600 * FRAME_BYTES)
    monkeypatch.setattr(streaming, "RUN", 50)


@pytest.fixture(params=["stored", "model"])
def source(request: pytest.FixtureRequest, shards: Activations, nano: AudioModel, few: Corpus) -> FrameSource:
    request.getfixturevalue("small_pools")
    if request.param == "stored":
        return StoredFrames(shards[RESIDUAL])
    return ModelFrames(nano, few, RESIDUAL)


# ---- the two sources


def test_the_pools_of_an_epoch_hold_every_frame_once(source: FrameSource, store: Activations) -> None:
    every = store[RESIDUAL].shard(0)
    assert source.pools() > 1
    for epoch in (0, 1):
        pools = [source.pool(3, epoch, number) for number in range(source.pools())]
        frames = torch.cat(pools)
        if isinstance(source, StoredFrames):
            assert rows(frames) == rows(every)
        assert len(frames) == len(every) == source.frames
        distances = torch.cdist(frames, every).amin(1)
        assert distances.max() < 1e-2 * every.norm(dim=1).mean()
        if isinstance(source, StoredFrames):  # of about equal size, so that no batch is much smaller than the others
            assert min(map(len, pools)) > max(map(len, pools)) / 2


def test_a_pool_depends_on_seed_epoch_and_number_alone(source: FrameSource) -> None:
    source.pool(1, 0, 1)
    first = source.pool(0, 0, 0)
    torch.testing.assert_close(source.pool(0, 0, 0), first, rtol=0, atol=0)
    for other in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert rows(source.pool(*other)) != rows(first)


def test_ordered_gives_every_frame_once_in_order(source: FrameSource, store: Activations) -> None:
    torch.testing.assert_close(torch.cat(list(source.ordered())), store[RESIDUAL].shard(0), rtol=1e-3, atol=1e-4)


def test_a_pool_is_bounded(source: FrameSource) -> None:
    """One pool of 600 frames, or of one window where that is more."""
    bound = 600 if isinstance(source, StoredFrames) else max(600, 500)
    sizes = [len(source.pool(0, 0, number)) for number in range(source.pools())]
    assert max(sizes) <= bound
    assert all(len(block) <= max(32 * 50, 8 * 500) for block in source.ordered())


def test_only_gives_frames_of_those_clips(source: FrameSource, store: Activations, few: Corpus) -> None:
    ids = [clip.id for clip in few][2::3]
    part = source.only(ids)
    assert sorted(part.clips) == sorted(ids)
    wanted = torch.cat([store[RESIDUAL].clip(clip) for clip in part.clips])
    pools = [torch.cat([part.pool(0, epoch, number) for number in range(part.pools())]) for epoch in (0, 1)]
    for frames in (*pools, torch.cat(list(part.ordered()))):
        assert len(frames) == len(wanted) == part.frames
        assert torch.cdist(frames, wanted).amin(1).max() < 1e-2 * wanted.norm(dim=1).mean()
    with pytest.raises(FreudError, match="no frames of the clips asked for"):
        source.only(["nothing"])


def test_stored_and_model_frames_are_the_same(
    small_pools: None, shards: Activations, nano: AudioModel, few: Corpus
) -> None:
    stored, model = StoredFrames(shards[RESIDUAL]), ModelFrames(nano, few, RESIDUAL, batch_size=2)
    assert (stored.width, stored.frames, stored.clips) == (model.width, model.frames, model.clips)
    assert model.origin == {**stored.origin, "compute_dtype": "float32"}  # which a store has among its parameters
    # The same batches as `collect` made, so that even the last bit agrees.
    assert rows(torch.cat(list(stored.ordered()))) == rows(torch.cat(list(model.ordered())))
    with pytest.raises(FreudError, match="unknown site"):
        ModelFrames(nano, few, "encoder.blocks.99")


def test_frames_come_from_all_over_the_corpus(small_pools: None, shards: Activations, few: Corpus) -> None:
    source = StoredFrames(shards[RESIDUAL])
    owner = {
        row.tobytes(): clip.id for clip in few for row in shards[RESIDUAL].clip(clip.id).numpy()
    }  # frames are all different
    for batch in islice(Stream(source, 64, seed=0).from_position(), 40):
        counts = Counter(owner[row.tobytes()] for row in batch.frames.numpy())
        assert len(counts) >= 3
        assert max(counts.values()) < 60


def test_model_frames_skips_clips_that_cannot_be_read(
    nano: AudioModel, few: Corpus, tmp_path: Path, small_pools: None
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(few.root, folder)
    corpus = read_corpus(folder)
    bad = corpus.clips[1]
    corpus.audio_path(bad).write_bytes(b"fLaC")
    source = ModelFrames(nano, corpus, RESIDUAL)
    read = sum(len(source.pool(0, 0, number)) for number in range(source.pools()))
    assert list(source.problems) == [bad.name]
    assert read == source.frames - -(-round(bad.duration * 16000) // 320)
    assert len(torch.cat(list(source.ordered()))) == read
    batches = Stream(source, 128, seed=0).from_position()
    assert all(0 < len(next(batches).frames) <= 128 for _ in range(3 * read // 128))


def test_a_model_source_none_of_whose_clips_can_be_read_says_so(
    nano: AudioModel, few: Corpus, tmp_path: Path, small_pools: None
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(few.root, folder)
    corpus = read_corpus(folder)
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(FreudError, match=rf"{RESIDUAL}: none of the 8 clips can be read"):
        next(Stream(ModelFrames(nano, corpus, RESIDUAL), 16, seed=0).from_position())


# ---- the stream


class Numbers:
    """A source whose frames are the numbers 0, 1, 2 ... in pools of given sizes."""

    width = 1
    clips: Sequence[str] = ("a",)
    origin: dict[str, Any] = {"site": "numbers"}  # noqa: RUF012
    fingerprint = ""
    corpus = ""
    problems: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        self.frames = sum(sizes)
        self.loaded: list[tuple[int, int]] = []

    def only(self, clips: Sequence[str]) -> Numbers:
        return self

    def pools(self) -> int:
        return len(self.sizes)

    def pool(self, seed: int, epoch: int, number: int) -> torch.Tensor:
        self.loaded.append((epoch, number))
        start = sum(self.sizes[:number])
        return torch.arange(start, start + self.sizes[number], dtype=torch.float32)[:, None]

    def ordered(self) -> Iterator[torch.Tensor]:
        yield torch.arange(self.frames)[:, None].float()


def taken(source: FrameSource, size: int, count: int, seed: int = 0, start: Position | None = None) -> list[Any]:
    stream = Stream(source, size, seed=seed).from_position(*([] if start is None else [start]))
    return [(batch.frames.tolist(), batch.next) for batch in islice(stream, count)]


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=4).filter(any),
    size=st.integers(1, 25),
    seed=st.integers(0, 9),
)
def test_an_epoch_gives_every_frame_at_most_once_and_leaves_out_less_than_a_batch_a_pool(
    sizes: list[int], size: int, seed: int
) -> None:
    sizes = [s for s in sizes if s]
    source = Numbers(*sizes)
    seen: list[float] = []
    for batch in Stream(source, size, seed=seed).from_position():
        assert len(batch.frames) in {size, *(s for s in sizes if s < size)}
        seen += batch.frames[:, 0].tolist()
        if batch.next.epoch > 0:
            break
    assert len(seen) == len(set(seen))
    assert len(seen) == sum(s - s % min(size, s) for s in sizes)


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(any),
    size=st.integers(1, 20),
    seed=st.integers(0, 3),
    at=st.integers(0, 29),
)
def test_a_stream_goes_on_from_any_position(sizes: list[int], size: int, seed: int, at: int) -> None:
    whole = taken(Numbers(*sizes), size, 40, seed)
    assert taken(Numbers(*sizes), size, 40 - at - 1, seed, whole[at][1]) == whole[at + 1 :]
    assert taken(Numbers(*sizes), size, 40 - at - 1, seed, list(whole[at][1])) == whole[at + 1 :]


def test_a_real_stream_goes_on_from_any_position(source: FrameSource) -> None:
    whole = taken(source, 200, 22)
    assert {following.epoch for _, following in whole} >= {0, 1}
    for at in (4, 19):
        assert taken(source, 200, 21 - at, start=whole[at][1]) == whole[at + 1 :]


def test_seeds_epochs_and_frames_within_a_pool_are_shuffled() -> None:
    first = taken(Numbers(64, 64), 16, 16)
    assert taken(Numbers(64, 64), 16, 16) == first
    assert taken(Numbers(64, 64), 16, 16, seed=1) != first
    assert [frames for frames, _ in first[:8]] != [frames for frames, _ in first[8:]]  # the second epoch
    values = [value for frames, _ in first[:4] for (value,) in frames]
    assert values != sorted(values)


def test_a_pool_that_is_used_up_is_not_loaded_again_to_go_on() -> None:
    source = Numbers(32, 32)
    last_of_pool = taken(source, 16, 2)[-1][1]
    assert last_of_pool == Position(0, 1, 0)
    source.loaded.clear()
    taken(source, 16, 1, start=last_of_pool)
    assert source.loaded == [(0, 1)]
    assert taken(Numbers(32, 32), 16, 4)[-1][1] == Position(1, 0, 0)


def test_a_batch_size_below_one_is_refused() -> None:
    with pytest.raises(FreudError, match="batch_size 0: expected at least 1"):
        Stream(Numbers(1), 0, seed=0)


# ---- the split


ids = st.lists(st.text("0123456789abcdef", min_size=1, max_size=6), min_size=0, max_size=60, unique=True)


@given(ids=ids, share=st.floats(0, 0.999), seed=st.integers(0, 5), order=st.randoms())
def test_a_split_divides_the_clips_by_their_ids_alone(ids: list[str], share: float, seed: int, order: Any) -> None:
    kept, held = split_clips(ids, share, seed)
    assert sorted(kept + held) == sorted(ids)
    assert not set(kept) & set(held)
    if share and len(ids) > 1:
        assert abs(len(held) - share * len(ids)) <= 1 + 1e-9
        assert kept
        assert held
    else:
        assert not held
    order.shuffle(ids)
    assert split_clips(ids, share, seed) == (kept, held)


@given(ids=ids.filter(lambda ids: len(ids) > 1), share=st.floats(0.01, 0.99))
def test_another_clip_moves_at_most_one_other_across(ids: list[str], share: float) -> None:
    _, before = split_clips(ids[:-1], share, 0)
    _, after = split_clips(ids, share, 0)
    assert len(set(before) ^ (set(after) - {ids[-1]})) <= 1


def test_another_seed_is_another_split() -> None:
    ids = [f"{i:03}" for i in range(100)]
    assert split_clips(ids, 0.2, 0) == split_clips(ids, 0.2, 0) != split_clips(ids, 0.2, 1)
    assert len(split_clips(ids, 0.2, 0)[1]) == 20


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_out_of_range_is_named(share: float) -> None:
    with pytest.raises(FreudError, match=r"validation .*: expected a share"):
        split_clips(["a", "b"], share, 0)


def test_cut_pieces_cover_the_same_frames() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows = rng.integers(1, 400, rng.integers(1, 10))
        clip, first = np.arange(len(rows)), np.cumsum(rows) - rows
        cut = Pieces(clip, np.zeros_like(clip), first, rows, 10 * clip).cut(streaming.RUN)
        assert cut.rows.max() <= streaming.RUN
        covered = np.concatenate([np.arange(a, a + n) for a, n in zip(cut.first_row, cut.rows, strict=True)])
        np.testing.assert_array_equal(covered, np.arange(rows.sum()))
        np.testing.assert_array_equal(cut.first_frame - 10 * cut.clip, cut.first_row - first[cut.clip])
