"""`freud discover`: a folder of audio in, searchable features out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from freud.cli.options import Computation, Dtype, Json, Kind, Maybe, Sites, Training, refuse
from freud.cli.output import print_json, print_table, say_problems, size

if TYPE_CHECKING:
    from freud.discovery import Discovery


def main(
    audio: tyro.conf.Positional[Path],
    model: str,
    sites: Sites,
    out: Path,
    training: Training,
    computation: Computation,
    architecture: Kind | Literal["none"] = "topk",
    store_dtype: Maybe[Dtype] = None,
    batch_size: int = 8,
    json: Json = False,
) -> None:
    """Import, collect, train and index: from a folder of audio to searchable features.

    Args:
        audio: A folder of audio, or a corpus written by `freud corpus`.
        model: Name of a model (see `freud models`).
        sites: A site, alias or glob; give it several times for many. An SAE is trained on each residual-stream site.
        out: Folder to write; the same command resumes an interrupted run.
        training: How to train.
        computation: Where the model computes, and in what numbers.
        architecture: Kind of SAE, or none to look at neurons only.
        store_dtype: What activations are stored as (default: as --dtype if that is given, or float16).
        batch_size: Windows a batch of the model.
        json: Print JSON.
    """
    import freud

    if architecture == "none":
        refuse("with --architecture none", **vars(training))
    settings = computation.settings()
    result = freud.discover(
        audio, model, sites, out,
        architecture=None if architecture == "none" else training.architecture(architecture),
        options=training.options(), dtype=store_dtype or computation.dtype or "float16", batch_size=batch_size,
        device=computation.device, compute_dtype=settings["dtype"], progress=not json,
    )  # fmt: skip
    if json:
        print_json(result)
    else:
        show(result)


def show(result: Discovery) -> None:
    """Print the summary table, what was skipped, the time of each stage, and what to do next."""
    say_problems(result.problems)
    print(f"{result.path}: {result.clips} clips, {60 * result.hours:.1f} minutes, model {result.model}")
    print()
    print_table(
        ["site", "basis", "frames", "features", "dead", "FVU", "L0", "index"],
        [[s.site, s.basis, s.frames, s.features, s.dead, s.fvu, s.l0, size(s.index_bytes)] for s in result.sites],
    )
    print()
    print("seconds: " + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result.seconds.items()))
    print(f"next: freud search {shlex.quote(str(result.path))} --site {result.sites[0].site} --feature 0")
