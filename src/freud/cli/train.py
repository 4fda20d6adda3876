"""`freud train`: train sparse autoencoders on stored activations, or straight from a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from freud.cli.options import Computation, Json, Kind, Maybe, Switch, Training, refuse
from freud.cli.output import print_json, print_table, say_problems
from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.saes import Recipe
    from freud.saes.training import Frames

COLUMNS = ("frames", "fvu", "l0", "dead", "cosine")


def main(
    out: Path,
    training: Training,
    computation: Computation,
    activations: tyro.conf.Positional[Maybe[Path]] = None,
    site: Maybe[str] = None,
    architecture: Maybe[Kind] = None,
    recipe: Maybe[Path] = None,
    model: Maybe[str] = None,
    corpus: Maybe[Path] = None,
    keep: Maybe[float] = None,
    tensorboard: Switch = False,
    wandb: Switch = False,
    trackio: Switch = False,
    json: Json = False,
) -> None:
    """Train a sparse autoencoder, or all those of a recipe, and write them in SAELens's layout.

    Args:
        out: Folder to write; with --recipe, there is a folder in it for each run.
        training: How to train.
        computation: Where to train, and where and in what numbers --model computes.
        activations: A folder written by `freud collect`; or give --model and --corpus.
        site: The site to train on.
        architecture: Kind of SAE (default: topk).
        recipe: A TOML or JSON file of runs; options of training given beside it count for all of them.
        model: Train straight from this model (see `freud models`), with nothing stored.
        corpus: Audio to run --model on: a corpus written by `freud corpus`, or a folder.
        keep: With --model, GiB of the newest frames to keep on disk while training (default: 0).
        tensorboard: Write TensorBoard events too.
        wandb: Log to Weights & Biases too.
        trackio: Log to trackio too.
        json: Print JSON.
    """
    from freud import artifacts, saes

    plan = _plan(recipe, site, architecture, training)
    kept = out.with_name(f"{out.name}.kept")
    frames = _frames(plan, activations, model, corpus, keep, kept, computation)
    saes.sweep(
        frames, plan.runs, out,
        device=computation.device, tensorboard=tensorboard, wandb=wandb, trackio=trackio, progress=not json,
    )  # fmt: skip
    artifacts.discard(kept)
    folders = [out / run.name for run in plan.runs]
    manifests = [artifacts.read(folder, "train").manifest for folder in folders]
    if json:
        listed = [{"path": folder, **manifest} for folder, manifest in zip(folders, manifests, strict=True)]
        print_json({"path": out, "runs": listed} if recipe else listed[0])
        return
    rows = []
    for folder, run, manifest in zip(folders, plan.runs, manifests, strict=True):
        results = manifest["results"]
        rows += [
            [str(folder), run.architecture.name, results["steps"], part, *(results[part][key] for key in COLUMNS)]
            for part in ("train", "validation")
            if results[part]
        ]
        if results["bad_batches"]:
            print(f"{folder}: {results['bad_batches']} of {results['steps']} batches skipped as not finite")
    problems = manifests[0]["results"]["problems"]
    say_problems([{"path": problem["clip"], "reason": problem["reason"]} for problem in problems])
    print_table(["sae", "architecture", "steps", "clips", *COLUMNS], rows)


def _plan(recipe: Path | None, site: str | None, architecture: Kind | None, training: Training) -> Recipe:
    """The runs that the command line asks for."""
    from freud.saes import Recipe, Run, read_recipe

    if recipe is None:
        if site is None:
            raise FreudError("--site: missing; say which site to train on, or give a --recipe")
        run = Run(
            name="",
            site=site,
            architecture=training.architecture(architecture or "topk"),
            options=training.options(),
        )
        return Recipe(runs=(run,))
    if architecture or training.settings():
        flag = "architecture" if architecture else next(iter(training.settings()))
        raise FreudError(f"--{flag.replace('_', '-')}: is for one SAE; with --recipe, say it in {recipe}")
    return read_recipe(recipe, **training.given(), **({"site": site} if site else {}))


def _frames(
    plan: Recipe,
    activations: Path | None,
    model: str | None,
    corpus: Path | None,
    keep: float | None,
    kept: Path,
    computation: Computation,
) -> Frames:
    """Where frames come from: what the command line says, else what the recipe does."""
    import freud
    from freud.activations import ModelFrames, read

    if activations is None and model is None and corpus is None and plan.activations:
        activations = Path(plan.activations)
    if activations is not None:
        refuse("with stored activations", model=model, corpus=corpus, keep=keep, dtype=computation.dtype)
        return read(activations)
    model = model or plan.model
    corpus = corpus or (Path(plan.corpus) if plan.corpus else None)
    if model is None or corpus is None:
        raise FreudError("give a folder of activations, or --model and --corpus")
    keep = keep or 0.0
    if not 0 <= keep < float("inf"):
        raise FreudError(f"--keep {keep}: expected 0 or more GiB")
    loaded = computation.load(model)
    sources = ModelFrames.of_sites(loaded, freud.corpus.read(corpus), plan.sites, keep=round(keep * 2**30), folder=kept)
    by_name = {source.site.name: source for source in sources}
    return {site: by_name[loaded.site(site).name] for site in plan.sites}  # a recipe may use aliases
