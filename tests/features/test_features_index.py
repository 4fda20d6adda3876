"""The tables of an index against brute force on dense activations, and what happens when building is disturbed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from synthetic import RATE, SITE, brute_events, brute_peaks, make_corpus, make_sae, make_store

import freud
from freud import FreudError
from freud.features import FeatureIndex, build
from freud.naming.sources import Latents
from freud.saes import SAE
from freud.saes.abstopk import AbsTopKSAE

LENGTHS = (7, 1, 30, 12, 3, 19)
WIDTH, LATENTS = 5, 11


def make_clips(width: int = WIDTH, seed: int = 0) -> list[np.ndarray]:
    """Values on a coarse grid, so that ties abound, both within a clip and at thresholds."""
    random = np.random.default_rng(seed)
    return [random.integers(-6, 7, (length, width)).astype(np.float32) / 2 for length in LENGTHS]


def dense_latents(sae: SAE, clips: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [sae.encode(torch.from_numpy(clip)).numpy() for clip in clips]


def table(index: FeatureIndex, name: str) -> list[tuple]:
    columns = pq.read_table(index.path / f"{name}.parquet").to_pydict()
    return list(zip(*columns.values(), strict=True))


def features(index: FeatureIndex) -> dict[str, np.ndarray]:
    columns = pq.read_table(index.path / "features.parquet").to_pydict()
    return {name: np.array(values) for name, values in columns.items()}


def same_rows(found: list[tuple], expected: list[tuple]) -> None:
    """Equal, but for float32 rounding of values."""
    assert len(found) == len(expected)
    for got, want in zip(found, expected, strict=True):
        assert got == pytest.approx(want, rel=1e-5, abs=1e-7)


def check_features(index: FeatureIndex, dense: list[np.ndarray], active: list[np.ndarray], events: list[tuple]) -> None:
    """Every column of `features` that means the same for neurons and latents."""
    columns = features(index)
    values, on = np.concatenate(dense).astype(np.float64), np.concatenate(active)
    count = values.shape[1]
    assert columns["feature"].tolist() == list(range(count))
    assert columns["active_frames"].tolist() == on.sum(0).tolist()
    assert columns["dead"].tolist() == (~on.any(0)).tolist()
    assert columns["density"] == pytest.approx(on.mean(0))
    assert columns["clips"].tolist() == sum(clip.any(0).astype(int) for clip in active).tolist()
    assert columns["events"].tolist() == [sum(event[0] == f for event in events) for f in range(count)]
    assert columns["mean"] == pytest.approx(values.mean(0), rel=1e-6, abs=1e-9)
    assert columns["std"] == pytest.approx(values.std(0), rel=1e-5, abs=1e-6)
    assert columns["max"] == pytest.approx(values.max(0), rel=1e-6)
    assert columns["min"] == pytest.approx(values.min(0), rel=1e-6)


TINY = [(10**9, 10**9, 10**9), (10, 10**9, 10**9), (9, 3, 4), (4, 1, 1)]  # shard rows, postings, peaks


@pytest.fixture(params=TINY, ids=str)
def sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows a shard; with ranges, blocks and row groups shrunk so that everything is cut somewhere."""
    shard, postings, peaks = request.param
    monkeypatch.setattr(build, "RANGE_POSTINGS", postings)
    monkeypatch.setattr(build, "RANGE_PEAKS", peaks)
    if postings < 100:
        monkeypatch.setattr(build, "BLOCK", 4)
        monkeypatch.setattr(build, "ROW_GROUP", 8)
    return shard


@pytest.mark.parametrize("dead", [(0, 4), (9, 10), tuple(range(LATENTS))], ids=str)
def test_latents_equal_brute_force(tmp_path: Path, sizes: int, dead: tuple[int, ...]):
    clips = make_clips()
    store = make_store(tmp_path / "acts", clips, sizes)
    sae = make_sae(WIDTH, LATENTS, k=3, dead=dead)
    index = freud.index(store, sae, tmp_path / "index", corpus=make_corpus(len(clips)), progress=False)
    dense = dense_latents(sae, clips)
    active = [clip > 0 for clip in dense]
    events = brute_events(active, dense)

    postings = [
        (feature, number, frame, float(clip[frame, feature]))
        for feature in range(LATENTS)
        for number, clip in enumerate(dense)
        for frame in np.flatnonzero(clip[:, feature] > 0).tolist()
    ]
    assert len(dead) == LATENTS or postings
    same_rows(table(index, "postings"), postings)
    same_rows(table(index, "peaks"), brute_peaks(dense, silent=True))
    same_rows(table(index, "events"), events)
    check_features(index, dense, active, events)
    assert features(index)["histogram"].sum(1).tolist() == features(index)["active_frames"].tolist()
    assert set(dead) <= set(np.flatnonzero(features(index)["dead"]).tolist())
    assert index.count_dead() == features(index)["dead"].sum()
    assert (index.features, index.frames, index.site) == (LATENTS, sum(LENGTHS), SITE)


def test_latents_with_a_sign_equal_brute_force(tmp_path: Path, sizes: int):
    clips = make_clips()
    store = make_store(tmp_path / "acts", clips, sizes)
    plain = make_sae(WIDTH, LATENTS, k=3)
    sae = AbsTopKSAE(plain.W_enc, plain.b_enc, plain.W_dec, plain.b_dec, k=3, metadata=plain.metadata)
    with torch.no_grad():
        sae.b_enc[2] = -1000.0  # always active, below zero
    index = freud.index(store, sae, tmp_path / "index", corpus=make_corpus(len(clips)), progress=False)
    dense = dense_latents(sae, clips)
    active = [clip != 0 for clip in dense]
    assert min(clip.min() for clip in dense) < 0 < max(clip.max() for clip in dense)
    events = brute_events(active, dense)
    same_rows(table(index, "events"), events)
    check_features(index, dense, active, events)
    columns = features(index)
    values = np.concatenate(dense)
    assert columns["histogram"].sum(1).tolist() == columns["active_frames"].tolist()
    assert np.isfinite(columns["threshold_low"]).tolist() == (values < 0).any(0).tolist()
    assert columns["histogram_low"] == pytest.approx(np.minimum(values.min(0), 0))
    with pytest.raises(FreudError, match=r"is also negative: latents with a sign \(abstopk\) cannot be named"):
        _ = Latents(index).edges


def test_neurons_equal_brute_force(tmp_path: Path, sizes: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "TAIL", 0.2)
    clips = make_clips()
    for clip in clips:
        clip[:, 3] = 0.5  # a constant neuron is never beyond its thresholds
    dtype = {10: torch.float16, 9: torch.bfloat16}.get(sizes, torch.float32)  # all of which hold these values exactly
    store = make_store(tmp_path / "acts", clips, sizes, dtype=dtype)
    index = freud.index(store, None, tmp_path / "index", corpus=make_corpus(len(clips)), progress=False)
    low, high = np.quantile(np.concatenate(clips), [0.2, 0.8], axis=0)
    active = [(clip > high) | (clip < low) for clip in clips]
    events = brute_events(active, clips)

    same_rows(table(index, "peaks"), brute_peaks(clips, silent=False))
    same_rows(table(index, "events"), events)
    check_features(index, clips, active, events)
    columns = features(index)
    assert columns["dead"].tolist() == [False, False, False, True, False]
    assert columns["threshold_low"] == pytest.approx(low)
    assert columns["threshold_high"] == pytest.approx(high)
    assert columns["histogram"].sum(1).tolist() == [sum(LENGTHS)] * WIDTH
    assert not (index.path / "postings.parquet").exists()


def test_a_latent_that_never_rests_has_its_true_minimum(tmp_path: Path):
    clips = make_clips()
    sae = make_sae(WIDTH, LATENTS, k=LATENTS)
    with torch.no_grad():
        sae.b_enc[2] = 1000.0
    index = freud.index(
        make_store(tmp_path / "acts", clips), sae, tmp_path / "index", corpus=make_corpus(6), progress=False
    )
    dense = np.concatenate(dense_latents(sae, clips))[:, 2]
    row = index.statistics(2)
    assert row["density"] == 1
    assert row["min"] == pytest.approx(dense.min())
    assert row["min"] > 900
    assert row["max"] == pytest.approx(dense.max())


def test_a_shard_without_frames_is_no_trouble(tmp_path: Path):
    """Written when the last clips of a corpus cannot be read."""
    clips = make_clips()
    store = make_store(tmp_path / "acts", clips, 20, empty_shard=True)
    plain = make_store(tmp_path / "plain", clips, 20)
    for name, sae in (("neurons", None), ("latents", make_sae(WIDTH, LATENTS, k=3))):
        found = [
            freud.index(acts, sae, tmp_path / f"{name}{i}", corpus=make_corpus(6), progress=False)
            for i, acts in enumerate((store, plain))
        ]
        for file in found[0].artifact.manifest["files"]:
            assert pq.read_table(found[0].path / file).equals(pq.read_table(found[1].path / file)), file


def data(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in index.iterdir()}


class Interruption(BaseException):
    pass


@pytest.mark.parametrize("basis", ["neurons", "latents"])
@pytest.mark.parametrize("stage", ["part", "write", "clips", "finish"])
def test_an_interrupted_build_goes_on_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, basis: str
):
    clips = make_clips()
    store = make_store(tmp_path / "acts", clips, 13)
    sae = make_sae(WIDTH, LATENTS, k=3) if basis == "latents" else None
    monkeypatch.setattr(build, "RANGE_POSTINGS", 15)
    monkeypatch.setattr(build, "RANGE_PEAKS", 15)
    corpus = make_corpus(6)

    def run(out: Path) -> None:
        freud.index(store, sae, out, corpus=corpus, progress=False)

    run(tmp_path / "whole")
    owner, name, after = {
        "part": (build, "save_file", 3),
        "write": (build._Tables, "__call__", 7),
        "clips": (build, "_write_clips", 1),
        "finish": (build.artifacts, "discard", 1),
    }[stage]
    original, calls = getattr(owner, name), []

    def failing(*args, **kwargs):
        calls.append(1)
        if len(calls) == after:
            raise Interruption
        return original(*args, **kwargs)

    out = tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, failing)
        with pytest.raises(Interruption):
            run(out)
    if stage != "finish":
        with pytest.raises(FreudError, match="unfinished"):
            freud.features.read(out)
        assert not list(out.glob("*.parquet.partial")), "half-written tables are removed"
    before = {path.name: path.stat().st_mtime_ns for path in (out / "parts").glob("*")}
    assert (stage == "finish") or before, "finished parts are kept"
    built = []
    with monkeypatch.context() as patch:
        patch.setattr(build, "save_file", lambda *args: (built.append(args[1]), original_save(*args)))
        run(out)
    assert len(built) == (len(store.store.shards) - 2 if stage == "part" else 0)
    assert data(out) == data(tmp_path / "whole")


original_save = build.save_file


def test_a_second_run_opens_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = make_store(tmp_path / "acts", make_clips())
    freud.index(store, None, tmp_path / "index", corpus=make_corpus(6), progress=False)
    monkeypatch.setattr(build, "merge", None)
    assert freud.index(store, None, tmp_path / "index").features == WIDTH  # not even the corpus is needed


def test_a_damaged_part_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = make_store(tmp_path / "acts", make_clips(), 20)
    with monkeypatch.context() as patch:
        patch.setattr(build, "merge", lambda *args: (_ for _ in ()).throw(Interruption))
        with pytest.raises(Interruption):
            freud.index(store, None, tmp_path / "index", corpus=make_corpus(6), progress=False)
    part = tmp_path / "index" / "parts" / "00001.safetensors"
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(FreudError, match=r"00001\.safetensors: damaged .*delete it and run the same command again"):
        freud.index(store, None, tmp_path / "index", corpus=make_corpus(6), progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"site": "encoder.blocks.1"}, r"SAE of encoder\.blocks\.1: these are activations of encoder\.blocks\.2"),
        ({"model_fingerprint": "4567", "model": "tiny"}, r"SAE of model tiny \(4567\): .* toy \(0123\)"),
        (None, r"SAE of width 6: encoder\.blocks\.2 has width 5"),
    ],
)
def test_an_sae_of_something_else_is_refused_in_one_line(tmp_path: Path, change: dict | None, message: str):
    store = make_store(tmp_path / "acts", make_clips())
    sae = make_sae(WIDTH if change else WIDTH + 1, LATENTS, k=3)
    sae.metadata |= change or {}
    with pytest.raises(FreudError, match=message) as caught:
        freud.index(store, sae, tmp_path / "index", corpus=make_corpus(6))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "index").exists()


def test_another_sae_is_another_index(tmp_path: Path):
    store = make_store(tmp_path / "acts", make_clips())
    corpus = make_corpus(6)
    freud.index(store, make_sae(WIDTH, LATENTS, k=3), tmp_path / "index", corpus=corpus, progress=False)
    for sae in (make_sae(WIDTH, LATENTS, k=3, seed=1), make_sae(WIDTH, LATENTS, k=2), None):
        with pytest.raises(FreudError, match=r"was written with other settings \(.*sae.*\); choose another --out"):
            freud.index(store, sae, tmp_path / "index", corpus=corpus, progress=False)


def test_the_corpus_must_be_the_one_that_was_collected(tmp_path: Path):
    store = make_store(tmp_path / "acts", make_clips())
    with pytest.raises(FreudError, match=r"nowhere: is another corpus; give the corpus that .* as --corpus"):
        freud.index(store, None, tmp_path / "index", corpus=make_corpus(6, fingerprint="other"))


def test_a_corpus_that_moved_is_said_and_can_be_given(tmp_path: Path, tone_folder: Path):
    corpus = freud.corpus.import_corpus(tone_folder, tmp_path / "corpus")
    clips = make_clips()[: len(corpus)]
    store = make_store(tmp_path / "acts", clips, fingerprint=corpus.fingerprint)
    shutil.move(tmp_path / "corpus", tmp_path / "elsewhere")
    with pytest.raises(FreudError, match=r"nowhere: no such corpus; give the corpus that .* as --corpus"):
        freud.index(store, None, tmp_path / "index")
    index = freud.index(store, None, tmp_path / "index", corpus=tmp_path / "elsewhere", progress=False)
    assert [row[0] for row in index.sql("SELECT id FROM clips ORDER BY clip")] == [clip.id for clip in corpus]
    shutil.move(tmp_path / "elsewhere", tmp_path / "corpus")  # beside the activations, where it was
    freud.index(store, None, tmp_path / "second", progress=False)


def test_clips_and_segments_say_what_the_corpus_says(tmp_path: Path):
    clips = make_clips()
    index = freud.index(
        make_store(tmp_path / "acts", clips, 10), None, tmp_path / "index", corpus=make_corpus(6), progress=False
    )
    assert table(index, "clips") == [
        (i, f"c{i}", f"größe {i}.wav", f'say "{i}" isn\'t' if i % 2 else None, f"class {i % 3}", None, LENGTHS[i])
        for i in range(6)
    ]
    assert table(index, "segments") == [(i, "words", 0.1, 0.3, f"w{i}") for i in range(6)]
    assert index.frames_per_second == RATE
