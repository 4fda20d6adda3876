"""`freud evaluate`: measure an SAE on held-out clips."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import tyro

from freud.cli.options import Json, Maybe
from freud.cli.output import print_json, print_table


def main(
    sae: tyro.conf.Positional[Path],
    activations: Path,
    out: Path,
    against: Maybe[Path] = None,
    split: Literal["held-out", "train", "all"] = "held-out",
    site: Maybe[str] = None,
    json: Json = False,
) -> None:
    """Measure an SAE on clips held out of its training; write the numbers and a page with plots.

    Args:
        sae: A folder written by `freud train` or `freud sae import`, or another tool's.
        activations: A folder written by `freud collect` that holds the site.
        out: Folder to write: quality.json and report.html.
        against: Another SAE of the same site, to see which latents come back in it.
        split: Clips held out of the training, those trained on, or all.
        site: The site, where the SAE does not say it.
        json: Print JSON.
    """
    import freud

    quality = freud.evaluate(sae, activations, out, against=against, split=split, site=site, progress=not json)
    if json:
        print_json({"path": out, "quality": quality})
        return
    found, activity, geometry = quality.reconstruction, quality.activity, quality.geometry
    print(f"{found.frames} frames of {quality.measured.clips} clips: {quality.measured.why}")
    if quality.measured.largest_norm is not None:
        print(f"{quality.measured.left_out} frames of norm over {quality.measured.largest_norm:.4g} are left out")
    rows: list[tuple[str, float, str]] = [
        ("FVU", found.fvu, f"PCA with as many numbers a frame: {quality.pca_fvu:.4g}"),
        ("explained variance", found.explained_variance, ""),
        ("cosine", found.cosine, ""),
        ("norm ratio", found.norm_ratio, ""),
        ("L0", found.l0, f"90 % of frames: {activity.l0['5%']} to {activity.l0['95%']}"),
        ("dead", activity.dead, f"of {quality.sae['d_sae']} latents, on {found.frames} frames"),
        ("dense", activity.dense, "active on more than 10 % of frames"),
        ("duplicates", geometry.duplicates, "decoder cosine over 0.9 with another latent"),
        ("coherence", geometry.coherence, "largest decoder cosine, by magnitude"),
    ]
    if quality.stability is not None:
        rows += [
            ("found again", quality.stability.matched, "of the alive latents, in the other SAE with cosine over 0.7"),
            ("matched cosine", quality.stability.mean_cosine, f"random directions: {quality.stability.random:.3g}"),
        ]
    print_table(["measure", "value", ""], rows)
    print(f"page: {out / 'report.html'}")
