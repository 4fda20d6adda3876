"""`freud search`: find the clips that drive a feature most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from freud.cli.options import Basis, Json, Maybe, Switch
from freud.cli.output import print_json, print_table, printable

if TYPE_CHECKING:
    from freud.features import Hit


def main(
    result: tyro.conf.Positional[Path],
    feature: int,
    site: Maybe[str] = None,
    basis: Maybe[Basis] = None,
    top: int = 10,
    min: Maybe[float] = None,
    max: Maybe[float] = None,
    absolute: Switch = False,
    json: Json = False,
) -> None:
    """Find the clips that drive a feature most, strongest first, with the time of the peak.

    If `freud name` has named the features, the name is printed above.

    Args:
        result: A folder written by `freud discover` or `freud index`.
        feature: Number of the neuron or latent.
        site: The site, where the folder has several.
        basis: Neurons or latents; latents where there are any.
        top: How many clips.
        min: Only values of at least this.
        max: Only values of at most this.
        absolute: Rank by magnitude; with --max 0, the strongest negative activations.
        json: Print JSON.
    """
    from freud.results import open_index, search

    index = open_index(result, site, basis)
    hits = search(index, feature, top=top, min=min, max=max, absolute=absolute)
    if json:
        print_json(hits)
        return
    if name := index.statistics(feature)["name"]:
        print(f"feature {feature}: {printable(name)}")
    if hits:
        print_hits(hits)
    else:
        print("no clip: the feature is never active within these limits")


def print_hits(hits: list[Hit]) -> None:
    """One line a hit; tiers that the corpus has are columns, with the label at the peak."""
    tiers = sorted({tier for hit in hits for tier in hit.tiers})
    print_table(
        ["rank", "value", "time", *tiers, "clip", "speaker", "transcript or label"],
        [
            [h.rank, h.value, f"{h.time:.2f} s", *map(h.tiers.get, tiers), h.name, h.speaker, h.transcript or h.label]
            for h in hits
        ],
    )
