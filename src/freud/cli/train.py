"""`freud train`: train a sparse autoencoder on a site of stored activations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from freud.cli.options import Json, Switch, Training
from freud.cli.output import print_json, print_table


def main(
    activations: tyro.conf.Positional[Path],
    site: str,
    out: Path,
    training: Training,
    architecture: Literal["topk", "l1"] = "topk",
    tensorboard: Switch = False,
    json: Json = False,
) -> None:
    """Train a sparse autoencoder on one site and write it in SAELens's layout.

    Args:
        activations: A folder written by `freud collect`.
        site: The site.
        out: Folder to write.
        training: How to train.
        architecture: Kind of SAE.
        tensorboard: Write TensorBoard events too.
        json: Print JSON.
    """
    import freud
    from freud import artifacts
    from freud.activations import read

    chosen = training.architecture(architecture)
    freud.train(
        read(activations)[site],
        chosen,
        out,
        options=training.options(),
        tensorboard=tensorboard,
        progress=not json,
    )
    manifest = artifacts.read(out, "train").manifest
    if json:
        print_json({"path": out, **manifest})
        return
    results = manifest["results"]
    parts = [part for part in ("train", "validation") if results[part]]
    print(f"{out}: {architecture}, {results['steps']} steps, {results['bad_batches']} batches skipped as not finite")
    header = ["frames", "fvu", "l0", "dead", "cosine"]
    print_table(["clips", *header], [[part, *(results[part][key] for key in header)] for part in parts])
