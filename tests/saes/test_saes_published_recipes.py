"""Every recipe in the repository can be read, and those of published runs have the published settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from freud.saes import L1, BatchTopK, TopK
from freud.saes.recipe import Recipe, read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"
WIDTHS = {"tiny": 384, "small": 768, "large-v1": 1280, "large-v3": 1280, "nano": 192, None: 512}
FILES = sorted([*RECIPES.glob("published/*.toml"), *RECIPES.glob("scaled/*.toml")])


def published(name: str) -> Recipe:
    return read_recipe(RECIPES / "published" / f"{name}.toml")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_recipe_can_be_trained(path: Path) -> None:
    recipe = read_recipe(path)
    width = WIDTHS[recipe.model]
    for run in recipe.runs:
        run.architecture.check(width)
        assert run.options.checked(10**9, run.architecture.latents(width)).steps
        assert run.options.steps  # a recipe says how long
    if path.parent.name == "published":
        assert recipe.model
        assert recipe.corpus


def test_there_is_one_for_each_published_run() -> None:
    names = {"audiosae", "large-v1-topk-audioset", "large-v3-l1", "tiny-l1", "tiny-topk"}
    assert {path.stem for path in FILES if path.parent.name == "published"} == names


def test_the_published_settings() -> None:
    (run,) = published("tiny-l1").runs
    assert isinstance(run.architecture, L1)
    assert (run.architecture.latents(384), run.architecture.tied, run.site) == (200, True, "encoder.blocks.2")
    assert (run.options.lr, run.options.schedule, run.options.steps) == (4e-4, "cosine", 100_000)

    (run,) = published("tiny-topk").runs
    assert isinstance(run.architecture, TopK)
    assert (run.architecture.latents(384), run.architecture.k) == (16 * 384, 32)
    assert (run.architecture.aux_coefficient, run.architecture.dead_after) == (1 / 32, 1_000_000)
    assert (run.options.lr, run.options.schedule, run.options.steps) == (1e-4, "linear", 100_000)

    (run,) = published("large-v3-l1").runs
    assert isinstance(run.architecture, L1)
    assert (run.architecture.latents(1280), run.site) == (16 * 1280, "encoder.blocks.16")

    (run,) = published("large-v1-topk-audioset").runs
    assert isinstance(run.architecture, TopK)
    assert (run.architecture.latents(1280), run.architecture.k, run.site) == (16 * 1280, 32, "encoder.blocks.16")

    runs = published("audiosae").runs
    assert [run.site for run in runs] == [f"encoder.blocks.{number}" for number in range(12)]
    for run in runs:
        assert isinstance(run.architecture, BatchTopK)
        assert (run.architecture.latents(768), run.architecture.k, run.architecture.scaling) == (6144, 50, "frame")
        assert (run.options.lr, run.options.steps) == (2e-4, 200_000)
