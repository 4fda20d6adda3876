"""`discover` from a folder of audio to features, step by step."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import freud
from freud import FreudError, artifacts, discovery
from freud.discovery import Discovery
from freud.models import AudioModel
from freud.results import open_index
from freud.saes import Options, TopK

RESIDUAL, NEURONS = "encoder.blocks.0", "encoder.blocks.0.mlp.1"


@pytest.fixture(autouse=True)
def loaded(nano: AudioModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery.models, "load", lambda name, **options: nano)


def discover(audio: Path, out: Path, **changes) -> Discovery:
    """The call that made the fixture `result`."""
    call = {
        "model": "nano",
        "sites": [RESIDUAL, NEURONS],
        "architecture": TopK(k=4, expansion=2),
        "options": Options(steps=12, batch_size=64),
        "progress": False,
    }
    return freud.discover(audio, out=out, **{**call, **changes})


def data(folder: Path) -> dict[str, str]:
    """SHA-256 of every data file by path, as the manifests have them; the log of the training has times in it."""
    return {
        str((path.parent / name).relative_to(folder)): facts["sha256"]
        for path in folder.rglob("manifest.json")
        for name, facts in json.loads(path.read_text())["files"].items()
        if name != "training.jsonl"
    }


def test_discover_makes_everything_and_sums_it_up(speech: Path, result: Path, nano: AudioModel):
    found = discover(speech, result)
    rows = {(row.site, row.basis): row for row in found.sites}
    assert list(rows) == [(NEURONS, "neurons"), (RESIDUAL, "neurons"), (RESIDUAL, "latents")]  # as the data flow
    width = nano.sites[RESIDUAL].width
    assert [row.features for row in found.sites] == [nano.sites[NEURONS].width, width, 2 * width]
    assert (found.clips, found.model, found.problems) == (5, "nano", [])
    assert {"load model", "corpus", "collect", "train", "index"} == set(found.seconds)
    store = freud.activations.read(result / "activations")
    assert found.hours == pytest.approx(store.frames / 50 / 3600, abs=1e-4)
    for row in found.sites:
        index = open_index(result, row.site, row.basis)
        assert row.frames == index.frames == store.frames
        assert row.dead == index.count_dead()
        assert row.index_bytes == sum(path.stat().st_size for path in index.path.glob("*.parquet"))
    latents = rows[RESIDUAL, "latents"]
    assert latents.fvu is not None
    assert latents.l0 is not None
    assert 0 < latents.l0 <= 4
    assert rows[RESIDUAL, "neurons"].fvu is rows[NEURONS, "neurons"].l0 is None
    hit = freud.search(result, 3, site=NEURONS, top=1)[0]
    assert hit.clip in store.clip_ids
    assert hit.transcript


def test_a_finished_discovery_is_returned_at_once(speech: Path, result: Path, monkeypatch: pytest.MonkeyPatch):
    first = discover(speech, result)
    for stage in ("models", "corpus", "activations", "saes", "features"):
        monkeypatch.setattr(discovery, stage, None)
    assert discover(speech, result) == first


def test_a_result_of_an_earlier_version_opens(speech: Path, result: Path, tmp_path: Path):
    """Its manifests say of the model whether its weights are random, which no model's are any more."""
    old = tmp_path / "old"
    shutil.copytree(result, old)
    for path in old.rglob("manifest.json"):
        manifest = json.loads(path.read_text())
        parameters = manifest["parameters"]
        owners = {"discover": manifest, "collect": manifest.get("model"), "train": parameters, "index": parameters}
        owners.get(manifest["kind"], {})["random_weights"] = False
        manifest["checksum"] = artifacts._checksum(manifest)
        path.write_text(json.dumps(manifest))
    assert discover(speech, old) == replace(discover(speech, result), path=old)
    (old / "manifest.json").rename(old / "unfinished.json")
    assert discover(speech, old).sites == discover(speech, result).sites  # every stage is taken as finished
    for site in (RESIDUAL, NEURONS):
        assert freud.search(old, 3, site=site) == freud.search(result, 3, site=site)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"sites": [RESIDUAL]}, "sites"),
        ({"model": "tiny"}, "model"),
        ({"architecture": None}, "architecture"),
        ({"options": None}, "options"),
    ],
)
def test_other_settings_need_another_folder(speech: Path, result: Path, change: dict, named: str):
    with pytest.raises(FreudError, match=rf"was written with other settings \({named}\); choose another --out"):
        discover(speech, result, **change)


class Interruption(BaseException):
    pass


def test_goes_on_after_an_interruption_in_every_stage(
    speech: Path, result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each attempt gets one stage further; a stage that is done is not done again."""
    out = tmp_path / "out"
    stages = [
        (discovery.corpus, "import_corpus"),
        (discovery.activations, "collect"),
        (discovery.features, "index"),
        (discovery.saes, "train"),
        (discovery, "_summary"),
        (discovery.artifacts, "finish"),
    ]

    def stop(*args, **kwargs):
        raise Interruption

    for owner, name in stages:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, stop)
            with pytest.raises(Interruption):
                discover(speech, out)
        assert not (out / "manifest.json").exists()
    with pytest.raises(FreudError, match="unfinished"):
        freud.artifacts.read(out, "discover")
    written = {path: path.stat().st_mtime_ns for path in out.rglob("frames-*.safetensors")}
    assert written
    discover(speech, out)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert data(out) == data(result)


def test_architecture_none_looks_at_neurons_only(speech: Path, tmp_path: Path):
    found = discover(speech, tmp_path / "out", architecture=None, sites=["encoder.blocks.0.attn", RESIDUAL])
    assert [(row.site, row.basis) for row in found.sites] == [
        ("encoder.blocks.0.attn", "neurons"),
        (RESIDUAL, "neurons"),
    ]
    assert not (tmp_path / "out" / "saes").exists()


def test_a_corpus_that_was_imported_before_is_used_as_it_is(speech: Path, tmp_path: Path):
    corpus = freud.corpus.import_corpus(speech, tmp_path / "corpus")
    found = discover(tmp_path / "corpus", tmp_path / "out", architecture=None, sites=[RESIDUAL])
    assert found.clips == len(corpus)
    assert not (tmp_path / "out" / "corpus").exists()


def test_what_cannot_be_read_is_listed_and_the_rest_done(speech: Path, tmp_path: Path):
    folder = tmp_path / "mixed größe"
    shutil.copytree(speech, folder)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("no audio at all")
    found = discover(folder, tmp_path / "out", architecture=None, sites=[RESIDUAL])
    assert found.clips == 5
    assert sorted(problem["path"] for problem in found.problems) == ["empty.wav", "text.wav"]
    assert all(problem["reason"] for problem in found.problems)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sites": ["encoder.blocks.77"]}, r"unknown site 'encoder\.blocks\.77': this model has encoder\.blocks\.0 to"),
        ({"audio": "absent"}, "no such file or folder"),
        ({"sites": ["decoder.blocks.0"]}, "collect stores encoder sites"),
    ],
)
def test_after_a_wrong_argument_the_right_one_works_in_the_same_folder(
    speech: Path, tmp_path: Path, change: dict, message: str
):
    wrong = {"audio": speech, "sites": [RESIDUAL], "out": tmp_path / "out", "architecture": None, **change}
    with pytest.raises(FreudError, match=message) as caught:
        discover(wrong.pop("audio"), **wrong)
    assert "\n" not in str(caught.value)
    assert discover(speech, tmp_path / "out", architecture=None, sites=[RESIDUAL]).clips == 5
