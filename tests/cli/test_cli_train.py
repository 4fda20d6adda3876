"""`freud train`: one SAE or a recipe of them, from a store or from a model, and what it says when it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from freud.activations import Activations
from freud.cli import main
from freud.corpus import Corpus

RECIPE = """
site = "encoder.blocks.2"
steps = 50
batch_size = 128
d_sae = 64

[[run]]
architecture = ["batchtopk", "topk"]
k = 4

[[run]]
architecture = "jumprelu"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    main(["train", *map(str, arguments)])
    return capsys.readouterr().out


def fail(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["train", *map(str, arguments)])
    assert stop.value.code == status
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_recipe_from_a_store(
    store: Activations, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [store.path, "--recipe", recipe, "--out", tmp_path / "saes", "--steps", "4"]
    lines = run(capsys, *arguments).splitlines()
    assert [line.split()[1:4] for line in lines[1:]] == [
        [name, "4", part] for name in ("batchtopk", "topk", "jumprelu") for part in ("train", "validation")
    ]
    told: dict[str, Any] = json.loads(run(capsys, *arguments, "--json"))
    assert [Path(each["path"]).name for each in told["runs"]] == ["batchtopk", "topk", "jumprelu"]
    for each in told["runs"]:
        assert each["parameters"]["options"]["steps"] == 4  # the command line's, not the recipe's
        assert each["parameters"]["d_sae"] == 64


def test_one_sae_from_the_model(few: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sae"
    told = json.loads(
        run(
            capsys,
            "--model",
            "nano",
            "--corpus",
            few.root,
            "--site",
            "encoder.blocks.2",
            "--out",
            out,
            "--architecture",
            "gated",
            "--d-sae",
            "64",
            "--steps",
            "3",
            "--train-batch-size",
            "128",
            "--keep",
            "0.1",
            "--scaling",
            "frame",
            "--json",
        )
    )
    assert told["parameters"]["architecture"] == "gated"
    assert told["parameters"]["scaling"] == "frame"
    assert json.loads((out / "cfg.json").read_text())["normalize_activations"] == "constant_norm_rescale"
    assert not out.with_name("sae.kept").exists()


def test_what_does_not_go_together_is_named(
    store: Activations, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "out")
    site = ("--site", "encoder.blocks.2")
    assert "--site: missing; say which site to train on, or give a --recipe" in fail(capsys, 1, store.path, *out)
    assert "give a folder of activations, or --model and --corpus" in fail(capsys, 1, *site, *out)
    assert "give a folder of activations, or --model" in fail(capsys, 1, *site, *out, "--model", "nano")
    said = fail(capsys, 1, store.path, *site, *out, "--keep", "0")
    assert "--keep: has no meaning with stored activations" in said
    said = fail(capsys, 1, store.path, *site, *out, "--model", "nano", "--dtype", "bfloat16")
    assert "--model, --dtype: have no meaning with stored activations" in said
    assert "--k: is for one SAE; with --recipe, say it in" in fail(
        capsys, 1, store.path, "--recipe", recipe, *out, "--k", "3"
    )
    assert "--architecture: is for one SAE" in fail(
        capsys, 1, store.path, "--recipe", recipe, *out, "--architecture", "l1"
    )
    said = fail(capsys, 1, store.path, *site, *out, "--architecture", "gated", "--k", "3")
    assert "--k: has no meaning with --architecture gated" in said
    assert "no-such.toml: cannot read the recipe" in fail(
        capsys, 1, store.path, "--recipe", tmp_path / "no-such.toml", *out
    )
    assert "k 65: expected between 1 and d_sae 64" in fail(
        capsys, 1, store.path, *site, *out, "--d-sae", "64", "--k", "65"
    )
    said = fail(capsys, 1, store.path, *site, *out, "--d-sae", "64", "--expansion", "2")
    assert "--expansion: has no meaning with --d-sae" in said
    assert not (tmp_path / "out").exists()
