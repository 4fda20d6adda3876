"""`freud export site`: pages of features, with sound, that need no server."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from freud.cli.options import Json, Maybe
from freud.cli.output import print_json


def main(
    what: tyro.conf.Positional[Literal["site"]],
    result: tyro.conf.Positional[Path],
    out: Path,
    features: tuple[int, ...] = (),
    top: int = 20,
    site: Maybe[str] = None,
    basis: Maybe[Literal["neurons", "latents"]] = None,
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
        features: Numbers of the features.
        top: Without --features, so many with the largest values.
        site: The site, where the result has several.
        basis: Neurons or latents; latents where there are any.
        clips: How many clips of each feature.
        title: Title of the pages.
        model: Name or folder of the model, if it is not where it was.
        json: Print JSON.
    """
    from freud.results import open_index
    from freud.server import export_site

    if not features:
        features = tuple(row["feature"] for row in open_index(result, site, basis).table(sort="max", n=top))
    page = export_site(
        result, features, out, site=site, basis=basis, clips=clips, title=title, model=model, progress=not json
    )
    if json:
        print_json({"page": page, "features": list(features)})
    else:
        print(f"{len(features)} features in {page}")
