"""Recipes: lists are sweeps, and whatever is wrong is named."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freud.errors import FreudError
from freud.saes import L1, Gated, Matryoshka, Options, TopK, read_recipe
from freud.saes.recipe import parse_recipe

EXAMPLE = """
about = "text for people"
model = "tiny"
site = "encoder.blocks.2"
batch_size = 4096
steps = 20_000

[[run]]
architecture = "topk"
k = [16, 32]
expansion = 8
seed = [0, 1]

[[run]]
architecture = ["l1", "gated"]
coefficient = 1

[[run]]
name = "nested"
architecture = "matryoshka"
prefixes = [0.5, 1.0]
site = ["encoder.blocks.0", "encoder.blocks.1"]
lr = 1e-3
"""


def test_lists_are_swept(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(EXAMPLE.replace('name = "nested"\n', ""))
    found = read_recipe(path)
    assert (found.model, found.corpus, found.activations) == ("tiny", None, None)
    assert found.sites == ["encoder.blocks.2", "encoder.blocks.0", "encoder.blocks.1"]
    options = Options(batch_size=4096, steps=20_000)
    assert {run.name: (run.site, run.architecture) for run in found.runs} == {
        "topk-k16-seed0": ("encoder.blocks.2", TopK(k=16, expansion=8)),
        "topk-k16-seed1": ("encoder.blocks.2", TopK(k=16, expansion=8)),
        "topk-k32-seed0": ("encoder.blocks.2", TopK(k=32, expansion=8)),
        "topk-k32-seed1": ("encoder.blocks.2", TopK(k=32, expansion=8)),
        "l1": ("encoder.blocks.2", L1(coefficient=1.0)),
        "gated": ("encoder.blocks.2", Gated(coefficient=1.0)),
        "encoder.blocks.0/matryoshka": ("encoder.blocks.0", Matryoshka(prefixes=(0.5, 1.0))),
        "encoder.blocks.1/matryoshka": ("encoder.blocks.1", Matryoshka(prefixes=(0.5, 1.0))),
    }
    assert [run.options.seed for run in found.runs] == [0, 1, 0, 1, 0, 0, 0, 0]
    assert {(run.options.batch_size, run.options.steps) for run in found.runs} == {(4096, 20_000)}
    assert found.runs[0].options == options
    assert found.runs[-1].options.lr == 1e-3


def test_json_says_the_same(tmp_path: Path) -> None:
    import tomllib

    (tmp_path / "a.toml").write_text(EXAMPLE.replace('name = "nested"\n', ""))
    (tmp_path / "a.json").write_text(json.dumps(tomllib.loads((tmp_path / "a.toml").read_text())))
    assert read_recipe(tmp_path / "a.json") == read_recipe(tmp_path / "a.toml")


def test_overrides_count_for_every_run(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[[run]]\nsite = "a"\nsteps = 5\n[[run]]\nname = "b"\n')
    found = read_recipe(path, steps=7, site="c")
    assert [(run.name, run.site, run.options.steps) for run in found.runs] == [("topk", "c", 7), ("b", "c", 7)]


def test_a_table_of_settings_alone_is_one_run() -> None:
    (run,) = parse_recipe({"site": "a", "architecture": "l1"}).runs
    assert (run.name, run.site, run.architecture, run.options) == ("l1", "a", L1(), Options())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"site": "a", "kk": 3}, r"kk: topk has no such setting; did you mean k\?"),
        ({"site": "a", "architecture": "l1", "k": 3}, r"k: l1 has no such setting"),
        ({"site": "a", "architecture": "top"}, r"architecture 'top': expected topk, batchtopk, .*l1"),
        ({"site": "a", "architecture": ["topk", 3]}, r"architecture 3: expected"),
        ({"k": 3}, r"site: missing; say which site to train on"),
        ({"site": "a", "k": "many"}, r"k 'many': expected a whole number"),
        ({"site": "a", "k": 1.5}, r"k 1.5: expected a whole number"),
        ({"site": "a", "k": True}, r"k True: expected a whole number"),
        ({"site": "a", "lr": "fast"}, r"lr 'fast': expected a number"),
        ({"site": "a", "lr": [0.1, "fast"]}, r"lr 'fast': expected a number"),
        ({"site": "a", "multi_topk": 1}, r"multi_topk 1: expected true or false"),
        ({"site": 3}, r"site 3: expected text"),
        ({"site": "a", "k": None}, r"k null: expected a value"),
        ({"site": "a", "architecture": "matryoshka", "prefixes": 0.5}, r"prefixes 0.5: expected a list of numbers"),
        ({"site": "a", "run": []}, r"run: expected one or more tables \[\[run\]\]"),
        ({"site": "a", "run": 3}, r"run: expected one or more tables"),
        ({"site": "a", "run": [{}, {}]}, r"run: two runs are called 'topk'; give one of them a name"),
        ({"site": "a", "run": [{"name": "x", "k": [1, 2]}]}, r"run: two runs are called 'x'"),
        ({"site": "a", "model": 3}, r"model 3: expected text"),
        ({"site": "a", "name": "../x"}, r"name '../x': expected"),
        ({"site": "a", "name": "/x"}, r"name '/x': expected"),
        ({"site": "a", "k": []}, r"run: nothing to train, as a list of values is empty"),
        ({"site": "a", "name": ""}, r"name '': expected"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, table: dict[str, Any], message: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(table))
    with pytest.raises(FreudError, match=message) as error:
        read_recipe(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"[", b"\xff\xfe", b"k = ", b'"a"', b"[1]", b"null"])
@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_file_that_is_no_recipe_is_one_line(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"recipe.{suffix}"
    path.write_bytes(content)
    with pytest.raises(FreudError) as error:
        read_recipe(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    with pytest.raises(FreudError, match="cannot read the recipe: No such file"):
        read_recipe(tmp_path / "none.toml")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["site", "run", "k", "lr", "architecture", "prefixes", "name", "schedule", "model", "x"])


@given(st.dictionaries(keys, anything | st.sampled_from(["topk", "matryoshka"]), max_size=6))
def test_any_table_is_a_recipe_or_a_clear_error(table: dict[str, Any]) -> None:
    with contextlib.suppress(FreudError):
        assert parse_recipe(table).runs
