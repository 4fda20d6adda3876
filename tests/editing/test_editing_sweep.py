"""Sweeps: their numbers against single edits, controls, resuming, and what they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from freud import artifacts, corpus
from freud.corpus import Clip, Corpus
from freud.editing import EFFECTS, curves, edit, neuron, percentile, sweep_clip, sweep_corpus
from freud.editing import sweep as sweeping
from freud.editing.causal import detectors, word_effects, words_with
from freud.errors import FreudError
from freud.models import AudioModel
from freud.saes import SAE

SITE = "encoder.blocks.2"


def test_rows_are_single_edits(
    nano: AudioModel, sae: SAE, demo: Corpus, clip: Clip, busiest: list[int], samples: np.ndarray
) -> None:
    features = [sae[index] for index in busiest[:2]]
    table = sweep_clip(nano, samples, features, [-4.0, 1.0], segments=demo.segments(clip.id), controls=3)
    assert table.schema == EFFECTS
    rows = table.to_pylist()
    assert len(rows) == 2 * (1 + 3) * 2
    for row in rows:
        told = edit(nano, samples, [sae[row["feature"]].scale(row["factor"])])
        assert told.plain is not None
        assert told.edited is not None
        assert row["text"] == told.edited.text
        assert row["words"] == len(told.plain.words)
        assert row["word_errors"] == round((told.wer or 0) * len(told.plain.words))
        assert row["active_frames"] == (told.traces[0].before > 0).sum()
        assert row["log_probability"] == pytest.approx(sum(w.change for w in told.plain.words), abs=1e-4)
        assert row["words_inside"] + row["words_outside"] <= row["words"]
        if row["factor"] == 1.0:
            assert row["log_probability"] == row["word_errors"] == row["changed_words"] == 0
        else:
            assert row["log_probability"] != 0
    for asked in busiest[:2]:
        controls = {row["feature"] for row in rows if row["control_for"] == asked}
        assert len(controls) == 3
        assert not controls & set(busiest[:2])
    curve = curves(table).to_pylist()
    assert [(row["feature"], row["factor"]) for row in curve] == sorted(
        (f, x) for f in busiest[:2] for x in (-4.0, 1.0)
    )
    strongest = next(row for row in rows if row["control_for"] is None and row["factor"] == -4.0)
    at = next(row for row in curve if row["feature"] == strongest["feature"] and row["factor"] == -4.0)
    assert at["wer"] == strongest["word_errors"] / strongest["words"]
    assert at["log_probability_inside"] == strongest["log_probability_inside"] / strongest["words_inside"]


def test_words_are_timed_by_their_tier(demo: Corpus, clip: Clip) -> None:
    segments = demo.segments(clip.id)
    spoken = [s for s in segments if s.tier == "words" and s.label.strip()]
    heard = [f"{s.label.upper()}," for s in spoken]
    assert sweeping._times(heard, segments) == [(s.start, s.end) for s in spoken]
    misheard = ["wrong", *heard[1:]]
    assert sweeping._times(misheard, segments) == [None, *((s.start, s.end) for s in spoken[1:])]
    assert sweeping._times(heard, []) is None


@pytest.fixture
def three(demo: Corpus, tmp_path: Path) -> Corpus:
    """Three short clips with their tiers, and a file that is no audio by the time it is read."""
    folder = tmp_path / "clips"
    folder.mkdir()
    short = sorted((c for c in demo if c.transcript), key=lambda c: c.duration)[:4]
    for each in short:
        path = demo.audio_path(each)
        for file in path.parent.glob(f"{path.stem}.*"):
            shutil.copy(file, folder)
    imported = corpus.import_corpus(folder, tmp_path / "corpus")
    imported.audio_path(imported.clips[1]).write_bytes(b"no audio")
    return imported


def test_a_corpus_sweep_resumes_with_the_same_rows(
    nano: AudioModel, sae: SAE, three: Corpus, busiest: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "PART", 1)
    features, factors = [sae[busiest[0]]], [0.0, -3.0]
    whole = sweep_corpus(nano, three, features, factors, tmp_path / "whole", progress=False)
    assert whole.manifest["clips"] == 4
    assert [p["clip"] for p in whole.manifest["problems"]] == [three.clips[1].id]
    assert sorted(p.name for p in whole.path.iterdir()) == ["curves.parquet", "effects.parquet", "manifest.json"]
    effects = pq.read_table(whole.file("effects.parquet"))
    assert effects.num_rows == 3 * 2 * 2
    assert effects["words_inside"].null_count == 0
    assert pq.read_table(whole.file("curves.parquet")).equals(curves(effects))

    real, calls = sweeping._effects, []

    def stop_at_third(model: AudioModel, clip: str, *rest: Any) -> Any:
        calls.append(clip)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(model, clip, *rest)

    monkeypatch.setattr(sweeping, "_effects", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        sweep_corpus(nano, three, features, factors, tmp_path / "cut", progress=False)
    again = sweep_corpus(nano, three, features, factors, tmp_path / "cut", progress=False)
    assert calls == [three.clips[0].id, three.clips[2].id, three.clips[3].id, three.clips[3].id]
    assert pq.read_table(again.file("effects.parquet")).equals(effects)
    assert again.manifest["problems"] == whole.manifest["problems"]
    with pytest.raises(FreudError, match="other settings \\(factors\\)"):
        sweep_corpus(nano, three, features, [2.0], tmp_path / "cut", progress=False)
    assert artifacts.read(again.path, "edit").verify() == []


def test_what_a_sweep_refuses(nano: AudioModel, sae: SAE, samples: np.ndarray) -> None:
    for features, factors, says in (
        ([], [0.0], "at least one feature"),
        ([sae[1]], [], "at least one feature and one factor"),
        ([sae[1], neuron(SITE, 2)], [0.0], "several sites or SAEs"),
        ([neuron("decoder.blocks.0", 2)], [0.0], "needs an encoder site"),
        ([sae[1]], [float("nan")], "factor nan"),
        ([sae[4000]], [0.0], "feature 4000"),
    ):
        with pytest.raises(FreudError, match=says):
            sweep_clip(nano, samples, features, factors)


def test_a_unit_is_the_features_own_percentile(
    nano: AudioModel, sae: SAE, samples: np.ndarray, busiest: list[int]
) -> None:
    trace = edit(nano, samples, [sae[busiest[0]].scale(1)]).traces[0].before
    unit = percentile(nano, sae[busiest[0]], [samples, samples])
    assert unit == pytest.approx(np.percentile(np.concatenate([trace, trace])[np.tile(trace, 2) > 0], 99), rel=1e-5)
    told = edit(nano, samples, [sae[busiest[0]].add(2, unit=unit)]).traces[0]
    np.testing.assert_allclose(told.after, told.before + 2 * unit, rtol=1e-5)
    with pytest.raises(FreudError, match="never active"):
        percentile(nano, neuron(SITE, 5), [])


def test_detectors_find_what_they_say(nano: AudioModel, sae: SAE, demo: Corpus) -> None:
    clips = [clip for clip in demo if clip.transcript and clip.split == "train"][:6]
    found = detectors(nano, sae, demo, clips, "phones", ignore=["pau"], fewest=20)
    assert found[0].f1 == max(each.f1 for each in found) > 0.5
    assert all(each.label != "pau" and each.control != each.latent for each in found)
    best = found[0]
    there = [clip for clip in clips if words_with(demo, clip, "phones", best.label)][:2]
    own, nothing = word_effects(nano, demo, there, "phones", best.label, [sae[best.latent], sae[best.control]], 1.0)
    assert (own.clips, own.changed, own.only_there) == (len(there), 0, 0) == (nothing.clips, nothing.changed, 0)
