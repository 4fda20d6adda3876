"""`freud edit` and `freud sweep`: what they print, and their errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import freud.models
from freud.cli import main
from freud.corpus import Clip, Corpus
from freud.editing import edit
from freud.models import AudioModel
from freud.saes import SAE


@pytest.fixture(autouse=True)
def loaded(nano: AudioModel, monkeypatch: pytest.MonkeyPatch) -> None:
    load = freud.models.load

    def load_once(name: str, *, device: str = "cpu", dtype: str = "float32") -> AudioModel:
        return nano if (device, dtype) == ("cpu", "float32") else load(name, device=device, dtype=dtype)

    monkeypatch.setattr(freud.models, "load", load_once)


def run(capsys: pytest.CaptureFixture[str], *arguments: Any, verb: str = "edit") -> str:
    main([verb, *map(str, arguments)])
    return capsys.readouterr().out


def fails(capsys: pytest.CaptureFixture[str], *arguments: Any, verb: str = "edit") -> str:
    with pytest.raises(SystemExit) as stop:
        main([verb, *map(str, arguments)])
    error = capsys.readouterr().err
    assert stop.value.code in {1, 2}
    assert error.startswith("freud: ")
    assert error.count("\n") == 1
    return error


def test_prints_three_transcripts_and_the_difference(
    capsys: pytest.CaptureFixture[str], nano: AudioModel, sae: SAE, demo: Corpus, clip: Clip, busiest: list[int]
) -> None:
    flags = [flag for index in busiest for flag in ("--feature", index)]
    path = demo.audio_path(clip)
    told = edit(nano, path, [sae[index].scale(-3) for index in busiest])
    assert told.plain is not None
    assert told.edited is not None
    printed = run(capsys, path, "--model", "nano", "--sae", "bundled", *flags, "--scale", -3)
    assert f"as it is:       {told.plain.text}\n" in printed
    assert "reconstruction: " in printed
    assert f"edited:         {told.edited.text}\n" in printed
    assert "[-" in printed
    assert "{+" in printed
    as_json = json.loads(run(capsys, path, "--sae", "bundled", *flags, "--scale", -3, "--json"))
    assert as_json["edited"]["text"] == told.edited.text
    once = json.loads(
        run(capsys, path, "--sae", "bundled", "--feature", busiest[0], "--ablate", "--substitute", "--json")
    )
    assert once["substitute"]


def test_a_clip_of_a_result(capsys: pytest.CaptureFixture[str], result: Path, speech: Path, nano: AudioModel) -> None:
    clips = freud.corpus.read(result / "corpus")
    clip = next(clip for clip in clips if clip.transcript)
    told = json.loads(run(capsys, clip.id, "--result", result, "--feature", 3, "--add", 2, "--unit", "raw", "--json"))
    assert told["edits"][0] == told["edits"][0] | {"site": "encoder.blocks.0", "basis": "latents", "value": 2.0}
    phone = next(s.label for s in clips.segments(clip.id, "phones") if s.label != "pau")
    site = "encoder.blocks.0.mlp.1"
    arguments = (clip.id, "--result", result, "--site", site, "--feature", 3, "--clamp", -1, 0.5)
    told = json.loads(run(capsys, *arguments, "--during", "phones", phone, "--json"))
    assert told["edits"][0] == told["edits"][0] | {"site": site, "basis": "neurons", "min": -1.0, "max": 0.5}
    assert told["edits"][0]["spans"]
    index = freud.results.open_index(result, site, "neurons")
    usual = max(
        range(index.features), key=lambda feature: index.statistics(feature)["mean"]
    )  # above zero on many frames
    told = json.loads(
        run(capsys, clip.id, "--corpus", speech, "--site", site, "--feature", usual, "--add", 1, "--json")
    )
    measured = told["edits"][0]["value"]
    assert measured > 0
    arguments = (clips.audio_path(clip), "--result", result, "--site", site, "--feature", usual)
    indexed = json.loads(run(capsys, *arguments, "--add", 1, "--json"))["edits"][0]["value"]
    facts = index.statistics(usual)
    bins = (facts["histogram_high"] - facts["histogram_low"]) / len(facts["histogram"])
    assert abs(indexed - measured) <= bins  # the index has a histogram, to a bin


def test_sweeps(
    capsys: pytest.CaptureFixture[str], result: Path, demo: Corpus, clip: Clip, busiest: list[int], tmp_path: Path
) -> None:
    arguments = ("--sae", "bundled", "--feature", busiest[0], "--factors", -1, 1, "--json")
    rows = json.loads(run(capsys, demo.audio_path(clip), *arguments, verb="sweep"))
    assert [row["factor"] for row in rows] == [-1.0, 1.0]
    assert rows[1]["wer"] == 0
    assert "wer" in run(capsys, demo.audio_path(clip), *arguments[:-1], verb="sweep")
    over_the_corpus = ("--result", result, "--feature", 3, "--factors", 0, "--out", tmp_path / "s")
    rows = json.loads(run(capsys, *over_the_corpus, "--json", verb="sweep"))
    assert rows[0]["clips"] == 5
    assert (tmp_path / "s" / "effects.parquet").is_file()
    message = fails(capsys, *over_the_corpus, "--dtype", "bfloat16", verb="sweep")
    assert "was written with other settings (compute_dtype)" in message


def test_bfloat16_on_a_cpu(
    capsys: pytest.CaptureFixture[str], nano: AudioModel, sae: SAE, demo: Corpus, clip: Clip, busiest: list[int]
) -> None:
    path = demo.audio_path(clip)
    arguments = (path, "--sae", "bundled", "--feature", busiest[0], "--scale", -3, "--device", "cpu", "--json")
    exact = json.loads(run(capsys, *arguments))
    rounded = json.loads(run(capsys, *arguments, "--dtype", "bfloat16"))
    assert rounded["plain"]["text"] == exact["plain"]["text"]
    moved, about = rounded["changes"][0]["relative"], exact["changes"][0]["relative"]
    assert moved != about
    assert moved == pytest.approx(about, rel=0.1)
    model = freud.models.load("nano", dtype="bfloat16")
    assert edit(model, path, [sae[busiest[0]].scale(-3)]).as_json()["changes"] == rounded["changes"]


def test_what_does_not_apply_is_refused(capsys: pytest.CaptureFixture[str], demo: Corpus, clip: Clip) -> None:
    path = demo.audio_path(clip)
    latent, neuron = ("--sae", "bundled", "--feature", 3), ("--site", "encoder.blocks.1", "--feature", 3)
    assert "--unit: has no meaning without --add" in fails(capsys, path, *latent, "--scale", 0, "--unit", "raw")
    for verb, change in (("edit", "--scale"), ("sweep", "--factors")):
        message = fails(capsys, path, *neuron, change, 0, "--substitute", verb=verb)
        assert "--substitute: has no meaning with neurons" in message
        message = fails(capsys, path, *latent, change, 0, "--corpus", demo.root, verb=verb)
        assert "--corpus: has no meaning with an audio file" in message
        assert "device cuda:99: " in fails(capsys, path, *latent, change, 0, "--device", "cuda:99", verb=verb)
        assert "device gpu: unknown" in fails(capsys, path, *latent, change, 0, "--device", "gpu", verb=verb)
    message = fails(capsys, path, *latent, "--factors", 0, "--out", "there", verb="sweep")
    assert "--out: has no meaning with a clip" in message
    message = fails(capsys, path, *latent, "--sweep", 0)
    assert "unrecognized options: --sweep" in message
    assert "for --sweep use freud sweep; see freud edit --help" in message
    for flag in ("--scale", "--span", "--during", "--beams", "--probe", "--pad-frames"):  # once ignored in silence
        assert "unrecognized options" in fails(capsys, path, *latent, "--factors", 0, flag, 1, verb="sweep")


def test_errors(capsys: pytest.CaptureFixture[str], demo: Corpus, clip: Clip, tmp_path: Path) -> None:
    path, bundled = demo.audio_path(clip), ("--sae", "bundled")
    assert "--feature: give the number" in fails(capsys, path, *bundled, "--scale", 0)
    assert "give exactly one of --scale" in fails(capsys, path, *bundled, "--feature", 3)
    assert "2 were given" in fails(capsys, path, *bundled, "--feature", 3, "--scale", 0, "--ablate")
    assert "give a clip" in fails(capsys, *bundled, "--feature", 3, "--scale", 0)
    assert "give --sae for latents" in fails(capsys, path, "--feature", 3, "--scale", 0)
    assert "latents 0 to 3071" in fails(capsys, path, *bundled, "--feature", 9999, "--scale", 0)
    assert "factor nan" in fails(capsys, path, *bundled, "--feature", 3, "--scale", "nan")
    assert "outside the clip" in fails(capsys, path, *bundled, "--feature", 3, "--scale", 0, "--span", 1, 99)
    assert "needs --corpus or --result" in fails(capsys, path, *bundled, "--feature", 3, "--add", 1)
    assert "SAE of encoder.blocks.2" in fails(
        capsys, path, *bundled, "--site", "encoder.blocks.1", "--feature", 3, "--scale", 0
    )
    assert "read-only" in fails(capsys, path, "--site", "encoder.blocks.1.attn.pattern", "--feature", 0, "--scale", 0)
    assert "the folder to write" in fails(capsys, *bundled, "--feature", 3, "--factors", 0, verb="sweep")
    assert "missing: --factors" in fails(capsys, path, *bundled, "--feature", 3, verb="sweep")
    assert "--feature: give the number" in fails(capsys, path, *bundled, "--factors", 0, verb="sweep")
    assert "absent" in fails(capsys, tmp_path / "absent.wav", *bundled, "--feature", 3, "--scale", 0)
