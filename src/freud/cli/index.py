"""`freud index`: index the neurons of a site, or the latents of an SAE."""

from __future__ import annotations

from pathlib import Path

import tyro

from freud.cli.options import Json, Maybe
from freud.cli.output import print_json, size


def main(
    activations: tyro.conf.Positional[Path],
    site: str,
    out: Path,
    sae: Maybe[Path] = None,
    corpus: Maybe[Path] = None,
    json: Json = False,
) -> None:
    """Index every neuron of a site, or every latent of an SAE on it, for `freud search` and `freud features`.

    Args:
        activations: A folder written by `freud collect`.
        site: The site.
        out: Folder to write.
        sae: Folder of an SAE trained on that site; without it, neurons are indexed.
        corpus: The corpus, or folder of audio, that was collected from, if it is not where it was.
        json: Print JSON.
    """
    import freud
    from freud.activations import read

    index = freud.index(read(activations)[site], sae, out, corpus=corpus, progress=not json)
    dead = index.count_dead()
    if json:
        facts = {"site": index.site, "basis": index.basis, "features": index.features, "frames": index.frames}
        print_json({"path": index.path, **facts, "dead": dead, "bytes": index.bytes})
    else:
        print(
            f"{index.path}: {index.features} {index.basis} of {index.site} over {index.frames} frames, "
            f"{dead} dead, {size(index.bytes)}"
        )
