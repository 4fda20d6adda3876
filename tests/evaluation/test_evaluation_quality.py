"""The report: which frames it measures, what it writes, how it comes back, and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

import freud
from freud import artifacts
from freud.activations import Activations, StoredFrames, split_clips
from freud.cli import main
from freud.errors import DamagedFileError, FreudError
from freud.evaluation import quality
from freud.saes import SAE, Options, TopK, load, reconstruction, save

SITE = "encoder.blocks.2"
OPTIONS = Options(steps=30, batch_size=128, validation=0.3)


@pytest.fixture(scope="module")
def trained(store: Activations, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders of small TopK SAEs by seed, trained on the store."""
    folder = tmp_path_factory.mktemp("trained")

    def make(seed: int = 0) -> Path:
        options = replace(OPTIONS, seed=seed)
        freud.train(store[SITE], TopK(k=8, expansion=1), folder / str(seed), options=options, progress=False)
        return folder / str(seed)

    return make


def change_metadata(source: Path, folder: Path, **changes: Any) -> Path:
    """The SAE again, as a plain folder, with other metadata; None removes."""
    sae = load(source)
    sae.metadata = {key: value for key, value in {**sae.metadata, **changes}.items() if value is not None}
    folder.mkdir()
    save(sae, folder)
    return folder


def test_it_measures_the_clips_held_out(store: Activations, trained: Any, tmp_path: Path) -> None:
    found = freud.evaluate(trained(), store, tmp_path / "out", progress=False)
    every = StoredFrames(store[SITE])
    kept, held = split_clips(every.clips, 0.3, 0)
    sae = load(trained())
    assert found.reconstruction == reconstruction(sae, every.only(held).ordered())
    assert found.measured.clips == len(held)
    assert f"{len(held)} of {len(every.clips)} clips, held out" in found.measured.why
    recorded = artifacts.read(trained(), "train").manifest["results"]["validation"]
    assert found.reconstruction.fvu == pytest.approx(recorded["fvu"], abs=1e-6)  # and training says the same
    other = freud.evaluate(trained(), store, tmp_path / "train", split="train", progress=False)
    assert other.reconstruction == reconstruction(sae, every.only(kept).ordered())
    whole = freud.evaluate(trained(), store, tmp_path / "all", split="all", progress=False)
    assert whole.reconstruction.frames == every.frames == found.measured.frames + other.measured.frames


def test_numbers_hang_together(store: Activations, trained: Any, tmp_path: Path) -> None:
    found = freud.evaluate(trained(), store, tmp_path / "out", against=trained(1), progress=False)
    sae = load(trained())
    assert found.activity.alive == round((1 - found.activity.dead) * sae.d_sae) == found.geometry.latents
    assert found.activity.l0["mean"] == found.reconstruction.l0 <= 8
    assert found.activity.l0["5%"] <= found.activity.l0["50%"] <= found.activity.l0["100%"] <= 8
    assert found.stability is not None
    assert found.stability.latents == found.activity.alive
    assert 0 <= found.stability.matched <= 1
    assert 0 < found.pca_fvu < 1
    itself = freud.evaluate(trained(), store, tmp_path / "itself", against=trained(), progress=False)
    assert itself.stability is not None
    assert itself.stability.matched == 1.0
    assert itself.stability.mean_cosine == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"training": None}, "does not say what it was trained on"),
        ({"training": {"data": "elsewhere", "options": {"validation": 0.3, "seed": 0}}}, "on other activations"),
    ],
)
def test_an_sae_from_elsewhere_is_measured_on_all_clips(
    store: Activations, trained: Any, tmp_path: Path, changes: Any, why: str
) -> None:
    folder = change_metadata(trained(), tmp_path / "sae", **changes)
    found = freud.evaluate(folder, store, tmp_path / "out", progress=False)
    assert why in found.measured.why
    assert found.measured.frames == store.frames


def test_an_sae_trained_straight_from_the_model_has_the_same_clips_held_out(
    store: Activations, trained: Any, tmp_path: Path
) -> None:
    training = load(trained()).metadata["training"]
    corpus = store.manifest["corpus"]["fingerprint"]  # what such a training records
    folder = change_metadata(trained(), tmp_path / "sae", training={**training, "data": corpus})
    found = freud.evaluate(folder, store, tmp_path / "out", progress=False)
    assert "held out of its training" in found.measured.why


def test_frames_left_out_of_training_are_left_out(store: Activations, trained: Any, tmp_path: Path) -> None:
    training = load(trained()).metadata["training"]
    options = {**training["options"], "largest_norm": 1.1}
    folder = change_metadata(trained(), tmp_path / "sae", training={**training, "options": options})
    found = freud.evaluate(folder, store, tmp_path / "out", split="all", progress=False)
    norms = torch.cat(list(StoredFrames(store[SITE]).ordered())).norm(dim=1)
    limit = 1.1 * store[SITE].norm["median"]
    assert found.measured.largest_norm == pytest.approx(limit)
    assert found.measured.frames == int((norms <= limit).sum())
    assert found.measured.left_out == int((norms > limit).sum()) > 0


class Fetches(HTMLParser):
    """What a page would fetch, and which tags it has."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [
            v or "" for k, v in attrs if k in {"src", "href", "xlink:href"} and not (v or "").startswith("#")
        ]


def test_the_page_stands_alone(store: Activations, trained: Any, tmp_path: Path) -> None:
    freud.evaluate(trained(), store, tmp_path / "out", against=trained(1), progress=False)
    text = (tmp_path / "out" / "report.html").read_text()
    page = Fetches()
    page.feed(text)
    assert page.found == []
    assert page.tags.count("svg") == 5  # frames, density, cosines, partners, training
    assert {"script", "link", "img"}.isdisjoint(page.tags)
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    used = set(re.findall(r"var\(--(\w+)\)", text))
    assert used <= set(re.findall(r"--(\w+):", text))
    assert not re.search(r"#0[1-7]0[1-7]0[1-7]", text)  # every color follows light and dark


def test_the_folder_is_an_artifact(store: Activations, trained: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = freud.evaluate(trained(), store, out, progress=False)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert sorted(before) == ["manifest.json", "quality.json", "report.html"]
    assert freud.evaluate(trained(), store, out, progress=False) == first == freud.evaluation.read(out)
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before
    json.loads((out / "quality.json").read_text(), parse_constant=lambda name: pytest.fail(name))  # no NaN
    checked = [check.detail for check in freud.doctor(out) if check.name == str(out)]
    assert checked == ["evaluate: 2 files as they were written"]
    with pytest.raises(FreudError, match="other settings"):
        freud.evaluate(trained(1), store, out, progress=False)
    (out / "quality.json").write_text("{}")
    with pytest.raises(DamagedFileError, match=r"quality\.json"):
        freud.evaluation.read(out)


def test_nothing_is_written_before_it_is_whole(
    store: Activations, trained: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quality, "measure", stop)
    with pytest.raises(KeyboardInterrupt):
        freud.evaluate(trained(), store, tmp_path / "out", progress=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["unfinished.json"]
    monkeypatch.undo()
    assert freud.evaluate(trained(), store, tmp_path / "out", progress=False).reconstruction.frames


def test_what_cannot_be_measured_is_one_line(store: Activations, trained: Any, tmp_path: Path) -> None:
    def message(sae: Path | str, **options: Any) -> str:
        with pytest.raises(FreudError) as caught:
            freud.evaluate(sae, store, tmp_path / "never", progress=False, **options)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "never").exists()
        return str(caught.value)

    assert "no such file or folder" in message(tmp_path / "absent")
    assert "expected one of held-out, train, all" in message(trained(), split="half")
    assert "transcoder" in message(change_metadata(trained(), tmp_path / "transcoder", transcoder=True))
    nameless = change_metadata(trained(), tmp_path / "nameless", site=None, hook_name=None)
    assert "give --site" in message(nameless)
    assert "has no site" in message(nameless, site="encoder.blocks.9")
    assert "width 768" in message(nameless, site="encoder.blocks.2.mlp.1")
    assert "says that its site is encoder.blocks.2, not encoder.blocks.1" in message(trained(), site="encoder.blocks.1")
    foreign = change_metadata(trained(), tmp_path / "foreign", model_fingerprint="0" * 16)
    assert "SAE of model" in message(foreign)
    assert "SAE of model" in message(trained(), against=foreign)


def test_without_matplotlib_it_says_what_to_install(
    store: Activations, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(FreudError, match=r"freud-audio\[report\]"):
        freud.evaluate(trained(), store, tmp_path / "out", progress=False)


def test_the_verb(store: Activations, trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", str(trained()), "--activations", str(store.path), "--out", str(tmp_path / "out")]
    main([*arguments, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["quality"]["reconstruction"]["fvu"] == freud.evaluation.read(tmp_path / "out").reconstruction.fvu
    main(arguments)
    said = capsys.readouterr().out
    assert "held out of its training" in said
    assert re.search(r"^dead +[\d.]+ +of 192 latents", said, re.MULTILINE)
    assert "report.html" in said


def test_memory_does_not_grow_with_the_frames(trained: Any) -> None:
    """The largest tensor made is that of a chunk, whatever comes in."""
    sae: SAE = load(trained())
    seen: list[int] = []
    encode = sae.to_sparse

    def watched(x: torch.Tensor) -> Any:
        seen.append(len(x))
        return encode(x)

    sae.to_sparse = watched  # pyright: ignore[reportAttributeAccessIssue]
    reconstruction(sae, [torch.randn(10_000, sae.d_in)])
    assert max(seen) <= 2048
    assert sum(seen) == 10_000
