"""`discover` from a folder of audio to features, step by step, and finding one's way in what it wrote."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import freud
from freud import FreudError, UnknownNameError, artifacts, pipeline
from freud.models import AudioModel
from freud.pipeline import Discovery, open_index
from freud.saes import Options, TopK

RESIDUAL, NEURONS = "encoder.blocks.0", "encoder.blocks.0.mlp.1"


@pytest.fixture(autouse=True)
def loaded(nano: AudioModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.models, "load", lambda name: nano)


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
        monkeypatch.setattr(pipeline, stage, None)
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
        (pipeline.corpus, "import_corpus"),
        (pipeline.activations, "collect"),
        (pipeline.features, "index"),
        (pipeline.saes, "train"),
        (pipeline, "_summary"),
        (pipeline.artifacts, "finish"),
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


# ---- finding an index


def test_open_index_chooses_latents_where_there_are_any(result: Path):
    assert open_index(result, RESIDUAL).basis == "latents"
    assert open_index(result, RESIDUAL, "neurons").basis == "neurons"
    assert open_index(str(result), NEURONS).basis == "neurons"
    assert open_index(result / "features" / NEURONS / "neurons").site == NEURONS
    assert open_index(result / "features" / NEURONS / "neurons", NEURONS, "neurons").site == NEURONS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None), rf"give a site; it has {RESIDUAL}, {NEURONS}$"),
        (("encoder.blocks.9", None), rf"no site 'encoder\.blocks\.9'; it has {RESIDUAL}, {NEURONS}$"),
        ((NEURONS, "latents"), rf"{NEURONS} has no latents; it has neurons$"),
    ],
)
def test_open_index_says_what_there_is(result: Path, arguments: tuple, message: str):
    with pytest.raises(UnknownNameError, match=message):
        open_index(result, *arguments)


def test_open_index_of_one_index_checks_what_is_asked(result: Path):
    folder = result / "features" / NEURONS / "neurons"
    for arguments in ((RESIDUAL, None), (None, "latents")):
        with pytest.raises(UnknownNameError, match=rf"is an index of the neurons of {NEURONS}"):
            open_index(folder, *arguments)


def test_a_site_need_not_be_given_where_there_is_one(result: Path, tmp_path: Path):
    shutil.copytree(result / "features" / NEURONS, tmp_path / "features" / NEURONS)
    assert open_index(tmp_path).site == NEURONS


def test_open_index_of_what_is_none(result: Path, tmp_path: Path):
    with pytest.raises(FreudError, match="no such folder; expected one written by `freud discover`"):
        open_index(tmp_path / "absent")
    with pytest.raises(FreudError, match=r"has no manifest\.json; expected a folder written by `freud index`"):
        open_index(tmp_path)
    with pytest.raises(FreudError, match="was written by `freud collect`; expected one written by `freud index`"):
        open_index(result / "activations")
    (tmp_path / "features").mkdir()
    with pytest.raises(FreudError, match="no index in it is finished"):
        open_index(tmp_path)


# ---- doctor


def test_doctor_finds_nothing_wrong_with_a_good_result(result: Path):
    checks = {check.name: check for check in freud.doctor(result)}
    assert all(check.ok for name, check in checks.items() if name != "disk")
    for folder in (".", "corpus", "activations", f"saes/{RESIDUAL}", f"features/{RESIDUAL}/latents"):
        assert "as they were written" in checks[str(result / folder)].detail
    machine = [check.name for check in freud.doctor()]
    assert machine == ["freud", "torch", "gpu", "transformers", "audio", "duckdb", "disk"]


def test_doctor_names_every_damage_and_every_unfinished_folder(result: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(result, copy)
    shard = next((copy / "activations").glob("frames-*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    peaks = copy / "features" / NEURONS / "neurons" / "peaks.parquet"
    peaks.unlink()
    (copy / "corpus" / "manifest.json").write_text('{"kind": "corpus", "par')
    unfinished = copy / "features" / RESIDUAL / "latents"
    (unfinished / "manifest.json").rename(unfinished / "x")
    (unfinished / "unfinished.json").write_text('{"kind": "index", "parameters": {}}')
    (copy / "saes" / RESIDUAL / "unfinished.json").write_text('{"kind": "train"}')  # beside a manifest: no harm
    (copy / "web").mkdir()
    (copy / "web" / "manifest.json").write_text('{"name": "some other program"}')
    wrong = {Path(check.name): check.detail for check in freud.doctor(copy) if not check.ok and check.name != "disk"}
    assert set(wrong) == {shard.parent, peaks.parent, copy / "corpus", unfinished}
    assert f"{shard}: its content has changed" in wrong[shard.parent]
    assert f"{peaks}: missing" in wrong[peaks.parent]
    assert "not valid JSON" in wrong[copy / "corpus"]
    assert "run the same `freud index` command again" in wrong[unfinished]


def test_doctor_of_no_folder(tmp_path: Path):
    with pytest.raises(FreudError, match="no such folder"):
        freud.doctor(tmp_path / "absent")
