"""`freud name`: name every feature after the label that it responds to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from freud.cli.names import print_all
from freud.cli.options import Basis, Json, Maybe, Switch


def main(
    result: tyro.conf.Positional[Path],
    site: Maybe[str] = None,
    basis: Maybe[Basis] = None,
    kind: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    words: int = 20,
    by: Literal["auto", "speaker", "clip"] = "auto",
    no_controls: Switch = False,
    seed: int = 0,
    corpus: Maybe[Path] = None,
    out: Maybe[Path] = None,
    top: int = 20,
    json: Json = False,
) -> None:
    """Name every feature after the label that it responds to, with held-out scores and controls.

    `freud names` shows, searches, changes and exports them afterwards.

    Args:
        result: A folder written by `freud discover` or `freud index`.
        site: Only this site.
        basis: Only neurons, or only latents.
        kind: Only labels of this kind (phone, class, word, boundary, silence, sound, ...); give it several times.
        words: How many of the most frequent words are labels.
        by: What is held out as a whole; auto is speakers where every clip has one and there are at least four.
        no_controls: Leave out raw coordinates, PCA, the frozen random decoder and the linear probe.
        seed: Of the split, the shuffles and the intervals.
        corpus: The corpus, if it is not where it was.
        out: Folder of the names (default: names/ in the result).
        top: How many to print.
        json: Print JSON.
    """
    import freud

    named = freud.name(
        result, site=site, basis=basis, out=out, corpus=corpus, kinds=kind or None, words=words, by=by,
        controls=not no_controls, seed=seed, progress=not json,
    )  # fmt: skip
    print_all(named, top, json=json)
