"""`freud sweep`: scale features by several factors, beside random controls, and see how much what is heard changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tyro

from freud.cli.opening import FeatureFlags, Opened
from freud.cli.options import Computation, Json, Maybe, Switch, refuse
from freud.cli.output import print_json, print_table
from freud.errors import FreudError


def main(
    features: FeatureFlags,
    factors: tuple[float, ...],
    computation: Computation,
    clip: tyro.conf.Positional[Maybe[str]] = None,
    controls: int = 1,
    substitute: Switch = False,
    out: Maybe[Path] = None,
    json: Json = False,
) -> None:
    """Scale each feature by each factor, beside random controls, on a clip or on a whole corpus.

    Args:
        features: Which features, of which model; of one site.
        factors: New value = factor times the value; -1 turns it around, 0 removes it, 1 changes nothing.
        computation: Where the model computes, and in what numbers.
        clip: An audio file; or, with --corpus or --result, the id of a clip. Without it, the whole corpus.
        controls: Random features of about the same density beside each feature.
        substitute: Replace activations by the bare reconstruction, as the original FREUD did.
        out: Over a corpus, the folder to write; the same command resumes.
        json: Print JSON.
    """
    if clip is not None:
        refuse("with a clip; it is the folder to write for a whole corpus", out=out)
        if Path(clip).is_file():
            refuse("with an audio file", corpus=features.corpus)
    elif out is None or (features.corpus is None and features.result is None):
        raise FreudError("give a clip; or a corpus (--corpus or --result) and the folder to write (--out)")
    opened = features.open(computation)
    if substitute and opened.features[0].sae is None:
        refuse("with neurons, which no SAE reconstructs", substitute=substitute)
    rows = _rows(opened, clip, out, factors, controls=controls, substitute=substitute)
    if json:
        print_json(rows)
    else:
        header = [name.replace("log_probability", "log p").replace("_", " ") for name in rows[0]]
        print_table(header, [list(row.values()) for row in rows])


def _rows(
    opened: Opened, clip: str | None, out: Path | None, factors: tuple[float, ...], **options: Any
) -> list[dict[str, Any]]:
    """Effect curves on one clip, or on every clip of the corpus, written to `out`."""
    from freud.editing import curves, sweep_clip, sweep_corpus

    if clip is not None:
        named = opened.clip(clip)
        effects = sweep_clip(
            opened.model, named["audio"], opened.features, factors, segments=named.get("segments", ()), **options
        )
        return curves(effects).to_pylist()
    import pyarrow.parquet as pq

    assert opened.clips is not None  # `main` has asked for them
    assert out is not None
    written = sweep_corpus(opened.model, opened.clips, opened.features, factors, out, **options)
    return pq.read_table(written.file("curves.parquet")).to_pylist()
