"""`freud export site`: pages of features, with sound, that need no server."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from freud.cli.options import Basis, Computation, Json, Maybe, refuse
from freud.cli.output import print_json


def main(
    what: tyro.conf.Positional[Literal["site"]],
    result: tyro.conf.Positional[Path],
    out: Path,
    computation: Computation,
    features: tuple[int, ...] = (),
    top: Maybe[int] = None,
    site: Maybe[str] = None,
    basis: Maybe[Basis] = None,
    clips: int = 10,
    title: Maybe[str] = None,
    model: Maybe[str] = None,
    json: Json = False,
) -> None:
    """Write a folder of pages about features, with their sounds, to publish or to open from the disk.

    Args:
        what: site: static pages.
        result: A folder written by `freud discover` or `freud index`.
        out: Folder to write.
        computation: Where the model computes, and in what numbers.
        features: Numbers of the features.
        top: Without --features, so many with the largest values (default: 20).
        site: The site, where the result has several.
        basis: Neurons or latents; latents where there are any.
        clips: How many clips of each feature.
        title: Title of the pages.
        model: Name or folder of the model, if it is not where it was.
        json: Print JSON.
    """
    from freud.results import open_index
    from freud.server import export_site

    if features:
        refuse("with --features", top=top)
    else:
        top = 20 if top is None else top
        features = tuple(row["feature"] for row in open_index(result, site, basis).table(sort="max", n=top))
    settings = computation.settings()
    page = export_site(
        result, features, out, site=site, basis=basis, clips=clips, title=title, model=model,
        device=settings["device"], dtype=settings["dtype"], progress=not json,
    )  # fmt: skip
    if json:
        print_json({"page": page, "features": list(features)})
    else:
        print(f"{len(features)} features in {page}")
