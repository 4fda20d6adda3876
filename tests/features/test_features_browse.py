"""Bands of events, peaks of all clips, traces, companions and unusual values, against brute force on known data."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_corpus, make_sae, make_store

import freud
from freud import FreudError, UnknownNameError
from freud.features import FeatureIndex, browse
from freud.saes import SAE

RNG = np.random.default_rng(3)
CLIPS = [RNG.standard_normal((length, 8)).astype(np.float32) for length in (40, 7, 90, 33, 61, 1)]


@pytest.fixture(scope="module")
def sae() -> SAE:
    return make_sae(8, 24, 4, dead=[5])


@pytest.fixture(scope="module")
def latents(tmp_path_factory: pytest.TempPathFactory, sae: SAE) -> FeatureIndex:
    folder = tmp_path_factory.mktemp("browse")
    store = make_store(folder / "acts", CLIPS, rows_per_shard=50)
    return freud.index(store, sae, folder / "latents", corpus=make_corpus(len(CLIPS)), progress=False)


@pytest.fixture(scope="module")
def neurons(tmp_path_factory: pytest.TempPathFactory) -> FeatureIndex:
    folder = tmp_path_factory.mktemp("browse")
    store = make_store(folder / "acts", CLIPS, rows_per_shard=50)
    return freud.index(store, None, folder / "neurons", corpus=make_corpus(len(CLIPS)), progress=False)


def dense(sae: SAE) -> list[np.ndarray]:
    import torch

    return [sae.encode(torch.from_numpy(clip)).detach().numpy() for clip in CLIPS]


def all_peaks(index: FeatureIndex, feature: int) -> list[float]:
    rows = index.sql("SELECT peak FROM events WHERE feature = ? ORDER BY peak DESC, clip, onset", [feature])
    return [peak for (peak,) in rows]


@pytest.mark.parametrize("feature", [0, 3, 11])
def test_bands_are_what_they_say(latents: FeatureIndex, feature: int):
    peaks = all_peaks(latents, feature)
    top = browse.event_band(latents, feature, "top", 5)
    assert [event.peak for event in top.events] == peaks[:5]
    assert (top.total, top.high, top.low) == (len(peaks), peaks[0], peaks[-1])
    bottom = browse.event_band(latents, feature, "bottom", 5)
    assert [event.peak for event in bottom.events] == peaks[::-1][:5]
    tenths = [browse.event_band(latents, feature, str(i), 10_000) for i in range(10)]
    assert [event.peak for tenth in tenths for event in tenth.events] == peaks
    for above, below in itertools.pairwise(tenths):
        assert above.low is None or below.high is None or above.low >= below.high
    few = browse.event_band(latents, feature, "2", 2)
    assert (few.low, few.high) == (tenths[2].low, tenths[2].high)
    assert {event.peak for event in few.events} <= {event.peak for event in tenths[2].events}


def test_random_events_depend_on_the_seed_alone(neurons: FeatureIndex):
    def chosen(seed: int) -> list[tuple[str, float]]:
        return [(e.clip, e.onset) for e in browse.event_band(neurons, 1, "random", 2, seed=seed).events]

    assert chosen(1) == chosen(1)
    assert len({tuple(chosen(seed)) for seed in range(20)}) > 1
    everything = browse.event_band(neurons, 1, "random", 999).events
    assert len(everything) == len({(e.clip, e.onset) for e in everything}) == len(all_peaks(neurons, 1))


def test_the_bottom_of_a_neuron_is_its_negative_side(neurons: FeatureIndex):
    assert browse.event_band(neurons, 2, "bottom", 1).events[0].peak == pytest.approx(min(all_peaks(neurons, 2)))
    assert browse.event_band(neurons, 2, "bottom", 1).events[0].peak < 0


def test_bands_of_nothing(latents: FeatureIndex):
    assert browse.event_band(latents, 5).events == []
    assert browse.event_band(latents, 5, "9").low is None
    with pytest.raises(FreudError, match="band 'best': expected one of top, bottom"):
        browse.event_band(latents, 0, "best")  # type: ignore[arg-type]
    with pytest.raises(FreudError, match="n 0: expected at least 1"):
        browse.event_band(latents, 0, "top", 0)
    with pytest.raises(UnknownNameError, match="latents 0 to 23"):
        browse.event_band(latents, 24)


def test_peaks_of_all_clips_are_what_a_search_ranks_by(latents: FeatureIndex, neurons: FeatureIndex):
    for index in (latents, neurons):
        for absolute in (False, True):
            hits = index.top(3, 100, absolute=absolute)
            values = browse.clip_peaks(index, 3, absolute=absolute)
            key = (lambda v: -abs(v)) if absolute else (lambda v: -v)
            assert sorted(values.tolist(), key=key) == [hit.value for hit in hits]


def test_search_goes_on_at_an_offset(neurons: FeatureIndex):
    everything = neurons.top(0, 100)
    assert neurons.top(0, 2, offset=3) == everything[3:5]
    assert neurons.top(0, 2, offset=99) == []


def test_traces_of_many_clips_are_those_of_each(latents: FeatureIndex, neurons: FeatureIndex, sae: SAE):
    ids = ["c2", "c0", "c5", "c2"]
    for index, values in ((latents, dense(sae)), (neurons, CLIPS)):
        found = browse.traces(index, 3, ids)
        for clip, trace in zip(ids, found, strict=True):
            np.testing.assert_allclose(trace, values[int(clip[1:])][:, 3], atol=1e-5)
            np.testing.assert_array_equal(trace, index.trace(3, clip))
    with pytest.raises(UnknownNameError, match="'c9'"):
        browse.traces(latents, 3, ["c0", "c9"])


def test_unusual_is_the_share_of_clips_that_stay_below(latents: FeatureIndex, neurons: FeatureIndex, sae: SAE):
    for index, values in ((latents, dense(sae)), (neurons, CLIPS)):
        features = np.array([7, 0, 3])
        asked = np.array([0.7, -0.4, 1.1], np.float32)
        peaks = np.array([[np.abs(clip[:, f]).max() for f in features] for clip in values])
        expected = (peaks < np.abs(asked)).mean(0)
        np.testing.assert_allclose(browse.unusual(index, features, asked), expected)


@pytest.mark.parametrize("with_store", [True, False])
def test_companions_of_latents(latents: FeatureIndex, sae: SAE, with_store: bool):
    active = np.concatenate(dense(sae)) > 0
    for feature in (0, 3):
        both = (active & active[:, [feature]]).sum(0)
        either = (active | active[:, [feature]]).sum(0)
        jaccard = both / np.maximum(either, 1)
        jaccard[feature] = 0
        frames, found = browse.companions(latents, feature, 5, sae if with_store else None)
        assert frames == active[:, feature].sum()
        np.testing.assert_allclose([c.jaccard for c in found], np.sort(jaccard)[::-1][:5], atol=1e-9)
        for each in found:
            assert each.share == pytest.approx(both[each.feature] / frames)
            assert each.lift == pytest.approx(each.share / active[:, each.feature].mean())
    assert browse.companions(latents, 5, 5, sae) == (0, [])


def test_companions_of_neurons_count_frames_beyond_the_thresholds(neurons: FeatureIndex):
    values = np.concatenate(CLIPS)
    table = neurons.columns("SELECT threshold_low, threshold_high FROM features ORDER BY feature")
    active = (values > table["threshold_high"]) | (values < table["threshold_low"])
    frames, found = browse.companions(neurons, 4, 8)
    assert frames == active[:, 4].sum()
    for each in found:
        assert each.share == pytest.approx((active[:, 4] & active[:, each.feature]).sum() / frames)


def test_companions_are_counted_on_an_even_sample_of_many_frames(
    latents: FeatureIndex, sae: SAE, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(browse, "COMPANION_FRAMES", 8)
    frames, found = browse.companions(latents, 0, 3, sae)
    assert frames == 8
    assert all(0 < each.jaccard <= 1 for each in found)


def test_rows_of_places_in_any_order(latents: FeatureIndex):
    clip, frame = np.array([2, 0, 4, 2, 5]), np.array([89, 0, 60, 3, 0])
    expected = np.stack([CLIPS[c][f] for c, f in zip(clip, frame, strict=True)])
    np.testing.assert_array_equal(browse.rows_of(latents.activations, clip, frame), expected)


def test_one_coordinate_of_a_clip(latents: FeatureIndex):
    for number, clip in enumerate(CLIPS):
        np.testing.assert_array_equal(latents.activations.column(f"c{number}", 6), clip[:, 6])
    assert latents.has_activations
    assert latents.clip_count == len(CLIPS)


def test_an_index_whose_activations_are_gone(tmp_path: Path, sae: SAE):
    store = make_store(tmp_path / "acts", CLIPS)
    index = freud.index(store, sae, tmp_path / "latents", corpus=make_corpus(len(CLIPS)), progress=False)
    (tmp_path / "acts").rename(tmp_path / "elsewhere")
    index = freud.features.read(tmp_path / "latents")
    assert not index.has_activations
    assert browse.companions(index, 0, 3, sae)[1] == browse.companions(index, 0, 3)[1] != []
