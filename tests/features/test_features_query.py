"""Queries against brute force on dense activations."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from synthetic import RATE, SITE, brute_events, make_corpus, make_sae, make_store

import freud
from freud import DamagedFileError, FreudError, UnknownNameError
from freud.features import FeatureIndex

pytestmark = pytest.mark.numeric

LENGTHS = (7, 1, 30, 12, 3, 19, 40, 5)
WIDTH, LATENTS = 5, 9
LIMITS = [None, -np.inf, -2.0, -0.5, 0.0, 0.5, 1.5, 2.5, 9.0]


class Example:
    """An index beside the dense values it was made from."""

    def __init__(self, folder: Path, basis: str) -> None:
        random = np.random.default_rng(1)
        clips = [random.integers(-5, 6, (length, WIDTH)).astype(np.float32) / 2 for length in LENGTHS]
        clips[4] = -np.abs(clips[4])
        clips[7][:] = 0  # silence
        store = make_store(folder / "acts", clips, 25)
        sae = make_sae(WIDTH, LATENTS, k=3, dead=(8,)) if basis == "latents" else None
        self.index = freud.index(store, sae, folder / basis, corpus=make_corpus(len(clips)), progress=False)
        self.dense = clips if sae is None else [sae.encode(torch.from_numpy(clip)).numpy() for clip in clips]
        self.silent = sae is not None
        self.features = LATENTS if sae else WIDTH


@pytest.fixture(scope="module", params=["neurons", "latents"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Example:
    return Example(tmp_path_factory.mktemp("quo'te ü [a-z]* ?"), request.param)


def brute_top(
    example: Example, feature: int, n: int, low: float | None, high: float | None, absolute: bool
) -> list[tuple[str, int, float]]:
    """(clip, frame, value) as DESIGN.md section 4 says: a clip's peak, limits on its signed value, ties in order."""
    found = []
    for number, clip in enumerate(example.dense):
        column = clip[:, feature]
        if example.silent and not (column > 0).any():
            continue
        frame = int(np.argmax(np.abs(column) if absolute else column))
        value = float(column[frame])
        if (low is None or value >= low) and (high is None or value <= high):
            found.append((abs(value) if absolute else value, number, frame, value))
    found.sort(key=lambda hit: (-hit[0], hit[1]))
    return [(f"c{number}", frame, value) for _, number, frame, value in found[:n]]


@given(
    feature=st.integers(0, 8),
    n=st.integers(1, 10),
    low=st.sampled_from(LIMITS),
    high=st.sampled_from(LIMITS),
    absolute=st.booleans(),
)
def test_top_equals_brute_force(
    example: Example, feature: int, n: int, low: float | None, high: float | None, absolute: bool
):
    feature %= example.features
    if low is not None and high is not None and low > high:
        with pytest.raises(FreudError, match="no value lies between"):
            example.index.top(feature, n, min=low, max=high, absolute=absolute)
        return
    hits = example.index.top(feature, n, min=low, max=high, absolute=absolute)
    expected = brute_top(example, feature, n, low, high, absolute)
    assert [(hit.clip, hit.frame) for hit in hits] == [(clip, frame) for clip, frame, _ in expected]
    assert [hit.value for hit in hits] == pytest.approx([value for *_, value in expected], rel=1e-6)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_a_hit_says_what_is_known_of_its_clip(example: Example):
    for hit in example.index.top(1, 8):
        number = int(hit.clip[1:])
        assert hit.name == f"größe {number}.wav"
        assert hit.transcript == (f'say "{number}" isn\'t' if number % 2 else None)
        assert (hit.label, hit.speaker) == (f"class {number % 3}", None)
        assert hit.time == pytest.approx((hit.frame + 0.5) / RATE)
        assert hit.tiers == ({"words": f"w{number}"} if 0.1 <= hit.time < 0.3 else {})


def test_max_zero_with_absolute_finds_the_strongest_negative(example: Example):
    hits = example.index.top(0, 8, max=0, absolute=True)
    assert all(hit.value <= 0 for hit in hits)
    assert bool(hits) == (example.index.basis == "neurons")


def test_of_equal_magnitudes_the_first_frame_is_the_peak(tmp_path: Path):
    clips = [np.array([[0], [-3], [3]], np.float32), np.array([[0], [3], [-3]], np.float32)]
    index = freud.index(make_store(tmp_path / "a", clips), None, tmp_path / "i", corpus=make_corpus(2), progress=False)
    assert [(hit.clip, hit.frame, hit.value) for hit in index.top(0, absolute=True)] == [("c0", 1, -3), ("c1", 1, 3)]


def test_trace_is_the_dense_column(example: Example):
    for feature in range(example.features):
        for number, clip in enumerate(example.dense):
            trace = example.index.trace(feature, f"c{number}")
            assert trace.dtype == np.float32
            assert trace == pytest.approx(clip[:, feature], rel=1e-6)


def brute_clip_features(example: Example, number: int, first: int, last: int, n: int) -> list[tuple[int, int, float]]:
    found = []
    for feature in range(example.features):
        column = example.dense[number][first:last, feature]
        frame = int(np.argmax(np.abs(column)))
        if not example.silent or column[frame] > 0:
            found.append((-abs(float(column[frame])), feature, first + frame, float(column[frame])))
    return [(feature, frame, value) for _, feature, frame, value in sorted(found)[:n]]


@given(number=st.integers(0, len(LENGTHS) - 1), span=st.tuples(st.integers(0, 39), st.integers(1, 40)), data=st.data())
def test_clip_features_equal_brute_force(example: Example, number: int, span: tuple[int, int], data: st.DataObject):
    length = LENGTHS[number]
    first, last = span[0] % length, min(span[0] % length + span[1], length)
    n = data.draw(st.integers(1, 10))
    whole = data.draw(st.booleans())
    if whole:
        first, last = 0, length
        found = example.index.clip_features(f"c{number}", n)
    else:  # frame boundaries in decimal seconds, which are no binary fractions
        found = example.index.clip_features(f"c{number}", n, start=first / 50, end=last / 50)
    expected = brute_clip_features(example, number, first, last, n)
    assert [(f.feature, f.frame) for f in found] == [(feature, frame) for feature, frame, _ in expected]
    assert [f.value for f in found] == pytest.approx([value for *_, value in expected], rel=1e-6)
    assert [f.rank for f in found] == list(range(1, len(found) + 1))
    assert [f.time for f in found] == pytest.approx([(f.frame + 0.5) / RATE for f in found])


def test_a_span_takes_every_frame_it_reaches_into(example: Example):
    index, clip = example.index, "c6"
    assert index.clip_features(clip, 9, start=0.59, end=0.61) == index.clip_features(clip, 9, start=0.58, end=0.62)
    assert index.clip_features(clip, 9, start=0.0) == index.clip_features(clip, 9)
    assert index.clip_features(clip, 9, end=np.inf) == index.clip_features(clip, 9)


@pytest.mark.parametrize(
    "span",
    [(-0.1, None), (0.8, None), (None, 0), (0.3, 0.2), (0.3, 0.3), (np.nan, None), (None, np.nan), (np.inf,) * 2],
)
def test_an_impossible_span_is_refused(example: Example, span: tuple[float | None, float | None]):
    with pytest.raises(FreudError, match=r"expected a span within the clip's 0\.\.0\.80 s"):
        example.index.clip_features("c6", start=span[0], end=span[1])


def test_events_are_the_strongest_with_their_times(example: Example):
    index = example.index
    rows = index.sql("SELECT feature, threshold_low, threshold_high FROM features ORDER BY feature")
    low, high = (np.array([row[i] for row in rows], np.float32) for i in (1, 2))
    active = [(clip > high) | (clip < low) for clip in example.dense]
    expected = brute_events(active, example.dense)
    for feature in range(example.features):
        own = [event for event in expected if event[0] == feature]
        own.sort(key=lambda event: (-abs(event[5]), event[1], event[2]))
        for n in (1, 3, 100):
            found = index.events(feature, n)
            assert [(e.clip, e.onset, e.offset, e.peak_time) for e in found] == [
                (f"c{clip}", on / RATE, off / RATE, pytest.approx((at + 0.5) / RATE))
                for _, clip, on, off, at, _ in own[:n]
            ]
            assert [e.peak for e in found] == pytest.approx([event[5] for event in own[:n]], rel=1e-6)


def test_table_sorts_and_statistics_agree(example: Example):
    index = example.index
    everything = [index.statistics(feature) for feature in range(example.features)]
    assert [row["feature"] for row in everything] == list(range(example.features))
    assert all(sum(row["histogram"]) > 0 for row in everything if not row["dead"])
    plain = [{name: value for name, value in row.items() if name != "histogram"} for row in everything]
    keys = {
        "density": lambda row: (-row["density"], row["feature"]),
        "max": lambda row: (-row["max"], row["feature"]),
        "name": lambda row: row["feature"],  # nothing has a name yet
        "feature": lambda row: row["feature"],
    }
    for sort, key in keys.items():
        assert index.table(sort=sort, dead=True) == sorted(plain, key=key)
        alive = sorted((row for row in plain if not row["dead"]), key=key)
        assert index.table(sort=sort) == alive
        assert index.table(sort=sort, n=2) == alive[:2]
    with pytest.raises(FreudError, match="expected one of density, max, name, feature"):
        index.table(sort="size")  # pyright: ignore[reportArgumentType]


def test_what_does_not_exist_is_said_in_one_line(example: Example):
    index = example.index
    last = example.features - 1
    for feature in (-1, last + 1, 10**12):
        for ask in (index.top, index.events, index.statistics, lambda feature: index.trace(feature, "c0")):
            with pytest.raises(UnknownNameError, match=rf"feature {feature}: {SITE} has {index.basis} 0 to {last}$"):
                ask(feature)
    for ask in (lambda clip: index.trace(0, clip), index.clip_features):
        with pytest.raises(UnknownNameError, match=r"clip 'c99'.*clips\.parquet"):
            ask("c99")
    for ask in (index.top, index.events, lambda _, n: index.clip_features("c0", n), lambda _, n: index.table(n=n)):
        for n in (0, -3):
            with pytest.raises(FreudError, match=f"{n}: expected at least 1"):
                ask(0, n)


def test_eight_threads_at_once(example: Example):
    """Each starts on an index that nothing has been asked of."""
    expected = [example.index.top(feature, 5) for feature in range(example.features)]
    for _ in range(5):
        fresh = freud.features.read(example.index.path)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(fresh.top, [i % example.features for i in range(64)], [5] * 64))
        assert found == [expected[i % example.features] for i in range(64)]


def moved(example: Example, to: Path) -> FeatureIndex:
    """The whole results folder copied, as if it had come from another machine."""
    shutil.copytree(example.index.path.parent, to)
    return freud.features.read(to / example.index.path.name)


def test_a_result_that_moved_answers_everything(example: Example, tmp_path: Path):
    index = moved(example, tmp_path / "moved")
    away = example.index.path.parent.rename(tmp_path / "away")  # so that nothing is read from where it was
    try:
        for feature in range(example.features):
            assert [(h.clip, h.frame) for h in index.top(feature, 9)] == [
                (clip, frame) for clip, frame, _ in brute_top(example, feature, 9, None, None, False)
            ]
            assert index.trace(feature, "c2") == pytest.approx(example.dense[2][:, feature], rel=1e-6)
    finally:
        away.rename(example.index.path.parent)


def test_without_its_activations_only_traces_of_neurons_are_lost(example: Example, tmp_path: Path):
    index = moved(example, tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved" / "acts")
    away = (example.index.path.parent / "acts").rename(tmp_path / "away")
    try:
        assert index.top(0)
        if index.basis == "latents":
            assert index.trace(0, "c2").shape == (30,)
        else:
            with pytest.raises(FreudError, match="acts: no such folder; expected one written by `freud collect`"):
                index.trace(0, "c2")
    finally:
        away.rename(example.index.path.parent / "acts")


def test_other_activations_in_the_place_of_the_old_are_refused(tmp_path: Path):
    example = Example(tmp_path / "result", "neurons")
    shutil.rmtree(tmp_path / "result" / "acts")
    make_store(tmp_path / "result" / "acts", [clip + 1 for clip in example.dense])
    with pytest.raises(FreudError, match=r"not the activations that .* was made from"):
        example.index.trace(0, "c2")


def test_a_table_is_checked_when_a_query_first_names_it(example: Example, tmp_path: Path):
    index = moved(example, tmp_path / "moved")
    events = index.path / "events.parquet"
    events.write_bytes(events.read_bytes()[:-1])
    assert index.top(0)  # needs no events
    with pytest.raises(DamagedFileError, match=r"events\.parquet: \d+ bytes where \d+ were written; rebuild it"):
        index.events(0)


def test_a_file_damaged_under_an_open_index_is_an_error(example: Example, tmp_path: Path):
    index = moved(example, tmp_path / "moved")
    index.top(0)
    peaks = index.path / "peaks.parquet"
    peaks.write_bytes(peaks.read_bytes()[:-20])
    with pytest.raises(DamagedFileError, match=r"damaged .* delete it and run `freud index` again"):
        index.top(0)
