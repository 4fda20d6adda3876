"""`freud collect`: run a model over a corpus and store the activations of many sites in one pass."""

from __future__ import annotations

from pathlib import Path

import tyro

from freud.cli.options import Computation, Dtype, Json, Maybe, Sites
from freud.cli.output import print_json, print_table, say_problems


def main(
    corpus: tyro.conf.Positional[Path],
    model: str,
    sites: Sites,
    out: Path,
    computation: Computation,
    store_dtype: Maybe[Dtype] = None,
    batch_size: int = 8,
    json: Json = False,
) -> None:
    """Run a model over a corpus and store the valid frames of the given sites.

    Args:
        corpus: A corpus written by `freud corpus`, or a folder of audio.
        model: Name of a model (see `freud models`).
        sites: A site, alias or glob; give it several times for many. Quote globs.
        out: Folder to write.
        computation: Where the model computes, and in what numbers.
        store_dtype: What frames are stored as (default: as --dtype if that is given, or float16).
        batch_size: Windows a batch.
        json: Print JSON.
    """
    import freud

    store = freud.collect(
        computation.load(model), corpus, sites, out,
        dtype=store_dtype or computation.dtype or "float16", batch_size=batch_size, progress=not json,
    )  # fmt: skip
    if json:
        print_json({"path": store.path, **store.manifest})
        return
    say_problems([{"path": problem["clip"], "reason": problem["reason"]} for problem in store.manifest["problems"]])
    print(f"{store.frames} frames of {store.manifest['clips']} clips in {store.path}")
    rows = []
    for name in store.sites:
        norm = store[name].norm
        rows.append(
            [
                name,
                store[name].width,
                norm["median"],
                norm["max"],
                norm["massive_frames"],
                len(norm["massive_coordinates"]),
            ]
        )
    print_table(["site", "width", "median norm", "max norm", "massive frames", "massive coordinates"], rows)
