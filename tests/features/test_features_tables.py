"""Peaks, events and histograms against plain Python on random postings."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freud.features import tables
from freud.features.tables import BINS, Postings

VALUES = st.sampled_from([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])  # few, so that ties are common


@st.composite
def postings(draw: st.DrawFn) -> Postings:
    """Random postings, sorted by feature, clip and frame; ties, both signs, neighbors and gaps."""
    place = st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 8))
    places = sorted(draw(st.sets(place, max_size=60)))
    values = draw(st.lists(VALUES, min_size=len(places), max_size=len(places)))
    columns = np.array(places, np.int32).reshape(-1, 3).T
    return Postings(*columns, np.array(values, np.float32))


def rows(columns: dict[str, np.ndarray]) -> list[tuple]:
    return list(zip(*(column.tolist() for column in columns.values()), strict=True))


@given(postings())
def test_peaks_are_the_extremes_of_each_clip_and_the_first_frame_wins(found: Postings):
    groups: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for feature, clip, frame, value in zip(*(column.tolist() for column in found), strict=True):
        groups.setdefault((feature, clip), []).append((frame, value))
    expected = []
    for (feature, clip), group in groups.items():
        top = min(group, key=lambda at: (-at[1], at[0]))
        low = min(group, key=lambda at: (at[1], at[0]))
        expected.append((feature, clip, top[1], top[0], low[1], low[0]))
    assert rows(tables.peaks(found)) == expected


@given(postings())
def test_events_are_maximal_runs_of_one_sign(found: Postings):
    expected: list[list[tuple[int, int, int, float]]] = []
    for posting in zip(*(column.tolist() for column in found), strict=True):
        last = expected[-1][-1] if expected else None
        goes_on = (
            last is not None
            and last[:2] == posting[:2]
            and last[2] + 1 == posting[2]
            and (last[3] < 0) == (posting[3] < 0)
        )
        if goes_on:
            expected[-1].append(posting)
        else:
            expected.append([posting])
    described = []
    for run in expected:
        peak = min(run, key=lambda at: (-abs(at[3]), at[2]))
        described.append((run[0][0], run[0][1], run[0][2], run[-1][2] + 1, peak[2], peak[3]))
    assert rows(tables.events(found)) == described


@given(postings(), st.randoms(use_true_random=False), st.sampled_from([5, 2**16, 2**16 + 1]))
def test_sort_by_feature_is_stable_also_beyond_sixteen_bits(found: Postings, random, span: int):
    order = list(range(len(found.feature)))
    random.shuffle(order)
    shuffled = Postings(*(column[order] for column in found))
    first = 1000
    moved = shuffled._replace(feature=shuffled.feature * ((span - 1) // 4) + first)
    ordered = tables.sort_by_feature(moved, first, first + span)
    assert rows(ordered._asdict()) == sorted(rows(moved._asdict()), key=lambda row: row[0])


@given(st.lists(st.integers(0, 2), min_size=1, max_size=20), st.lists(st.integers(0, 1), min_size=20, max_size=20))
def test_runs_start_where_any_column_changes(a: list[int], b: list[int]):
    b = b[: len(a)]
    starts = tables.runs(np.diff(a) != 0, np.diff(b) != 0)
    assert starts.tolist() == [i for i in range(len(a)) if i == 0 or (a[i], b[i]) != (a[i - 1], b[i - 1])]


def test_no_postings_make_no_peaks_and_no_events():
    nothing = Postings(*(np.zeros(0, np.int32) for _ in range(3)), np.zeros(0, np.float32))
    assert rows(tables.peaks(nothing)) == []
    assert rows(tables.events(nothing)) == []
    assert tables.count_by_feature(nothing.feature, 3, 6).tolist() == [0, 0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(-10, 10, width=32)), max_size=50),
    st.lists(st.tuples(st.floats(-5, 5, width=32), st.floats(0, 10, width=32)), min_size=3, max_size=3),
)
def test_histogram_counts_every_value_once_in_the_right_bin(pairs: list, ranges: list):
    first = 7
    feature = np.array([pair[0] + first for pair in pairs], np.int64)
    value = np.array([pair[1] for pair in pairs], np.float32)
    low = np.array([at for at, _ in ranges], np.float32)
    high = low + np.array([span for _, span in ranges], np.float32)
    counts = tables.histogram(feature, value, first, first + 3, low, high)
    assert counts.shape == (3, BINS)
    assert counts.sum(1).tolist() == [int((feature == first + i).sum()) for i in range(3)]
    for i in range(3):
        span = float(high[i]) - float(low[i])
        expected = np.zeros(BINS)
        exact = True
        for x in value[feature == first + i].astype(float):
            position = (x - float(low[i])) * BINS / span if span else 0.0
            nearest = round(position)
            exact = exact and (not 0 < nearest < BINS or abs(position - nearest) > 1e-3 * (1 + abs(position)))
            expected[int(np.clip(np.floor(position), 0, BINS - 1))] += 1
        if exact:  # no value so near an edge that rounding decides
            assert counts[i].tolist() == expected.tolist()


def test_histogram_of_a_constant_feature_is_one_bin():
    """Once a not-a-number in the bin's position."""
    zeros = np.zeros(5, np.float32)
    counts = tables.histogram(np.zeros(5, np.int64), zeros, 0, 1, zeros[:1], zeros[:1])
    assert counts.max() == counts.sum() == 5
