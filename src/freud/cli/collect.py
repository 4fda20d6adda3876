"""`freud collect`: run a model over a corpus and store the activations of many sites in one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from freud.cli.options import Json, Sites
from freud.cli.output import print_json, print_table, say_problems


def main(
    corpus: tyro.conf.Positional[Path],
    model: str,
    sites: Sites,
    out: Path,
    dtype: Literal["float16", "bfloat16", "float32"] = "float16",
    batch_size: int = 8,
    json: Json = False,
) -> None:
    """Run a model over a corpus and store the valid frames of the given sites.

    Args:
        corpus: A corpus written by `freud corpus`, or a folder of audio.
        model: Name of a model (see `freud models`).
        sites: A site, alias or glob; give it several times for many. Quote globs.
        out: Folder to write.
        dtype: What frames are stored as.
        batch_size: Windows a batch.
        json: Print JSON.
    """
    import freud

    store = freud.collect(model, corpus, sites, out, dtype=dtype, batch_size=batch_size, progress=not json)
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
