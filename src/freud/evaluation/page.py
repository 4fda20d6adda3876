"""The quality report as one HTML file: no scripts, no fonts, nothing fetched, light or dark as the reader has it."""

from __future__ import annotations

import json
import math
from html import escape
from typing import TYPE_CHECKING, Any

from freud.evaluation import plots
from freud.evaluation.dictionary import DUPLICATE, MATCHED
from freud.saes.metrics import DENSE
from freud.version import __version__

if TYPE_CHECKING:
    from freud.evaluation.quality import Curves, Quality

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfb; --ink: #1c2024; --soft: #5b636b; --faint: #9aa1a8; --line: #e3e6e8;
        --bar: #2f6f8f; --mark: #b4501e; --third: #2e7d46; --fourth: #7a4fa3; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16191c; --ink: #e6e8ea; --soft: #a3abb3; --faint: #6c747c; --line: #2b3035; --bar: #6fb1d0;
          --mark: #ef9a63; --third: #7cc794; --fourth: #bd9be0; } }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
       font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; text-wrap: balance; }
h2 { font-size: 1rem; margin: 2.5rem 0 .5rem; }
p { margin: .25rem 0; max-width: 44rem; }
.soft, figcaption, td:last-child { color: var(--soft); }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1px; margin: 1.75rem 0 0;
           background: var(--line); border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
.numbers div { background: var(--paper); padding: .75rem 1rem; }
.numbers dt { color: var(--soft); font-size: .85rem; }
.numbers dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.numbers small { display: block; font-size: .8rem; color: var(--soft); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 2rem; }
figure { margin: 0; }
figure svg { width: 100%; height: auto; font-family: inherit; }
figcaption { font-size: .9rem; }
figcaption b { color: var(--ink); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .92rem; }
td { padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:nth-child(2) { white-space: nowrap; }
pre { overflow-x: auto; font-size: .85rem; color: var(--soft); }
@media print { body { max-width: none; } }
"""


def page(quality: Quality, curves: Curves) -> str:
    """The whole page."""
    sae, measured = quality.sae, quality.measured
    title = f"{sae['architecture']} SAE of {sae['site']}"
    lead = f"{sae['d_sae']} latents on width {sae['d_in']}" + (f", k = {sae['k']}" if "k" in sae else "")
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
<h1>{escape(title)}</h1>
<p class="soft">{escape(str(sae["model"] or "model unknown"))} · {escape(lead)}</p>
<p>Measured on {measured.frames:,} frames of {measured.clips:,} clips: {escape(measured.why)}.{_left_out(quality)}</p>
<dl class="numbers">{_numbers(quality)}</dl>
<h2>Distributions</h2>
<div class="plots">{_figures(quality, curves)}</div>
<h2>All numbers</h2>
<table>{_rows(quality)}</table>
<h2>Made with</h2>
<pre>{escape(json.dumps({"freud": __version__, "data": measured.data, **sae}, indent=2, ensure_ascii=False))}</pre>
</html>
"""


def _left_out(quality: Quality) -> str:
    measured = quality.measured
    if measured.largest_norm is None:
        return ""
    return f" {measured.left_out:,} frames of norm over {measured.largest_norm:.4g} are left out, as in training."


def _numbers(quality: Quality) -> str:
    found, activity, geometry = quality.reconstruction, quality.activity, quality.geometry
    cells = [
        ("FVU", _number(found.fvu), f"PCA with as many numbers a frame: {_number(quality.pca_fvu)}"),
        ("L0", f"{found.l0:.1f}", f"90 % of frames: {activity.l0['5%']}–{activity.l0['95%']}"),
        ("Dead", _share(activity.dead), f"silent on all {found.frames:,} frames"),
        ("Dense", _share(activity.dense), f"active on over {DENSE:.0%} of frames"),
        ("Duplicates", _share(geometry.duplicates), f"cosine over {DUPLICATE:g} with another"),
    ]
    if quality.stability is not None:
        cells.append(("Found again", _share(quality.stability.matched), f"in the other SAE, cosine over {MATCHED:g}"))
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd><small>{note}</small></div>" for name, value, note in cells)


def _figures(quality: Quality, curves: Curves) -> str:
    found = [
        (plots.l0(curves.firing), "Active latents a frame", "how many latents a frame needs"),
        (plots.density(curves.firing), "How often latents fire", f"alive latents only, N = {curves.firing.frames:,}"),
        (
            plots.duplicates(curves.nearest),
            "How alike latents are",
            f"random directions: {quality.geometry.random:.2f}",
        ),
    ]
    if curves.partner is not None and quality.stability is not None:
        note = f"random directions: at most {quality.stability.random:.2f} on average"
        found.append((plots.matches(curves.partner), "Which latents come back", note))
    if curves.training:
        found.append((plots.training(curves.training), "Training", "FVU of single batches, about their own mean"))
    return "".join(
        f"<figure>{svg}<figcaption><b>{escape(title)}</b>: {escape(note)}</figcaption></figure>"
        for svg, title, note in found
    )


def _rows(quality: Quality) -> str:
    found, activity, geometry = quality.reconstruction, quality.activity, quality.geometry
    rows = [
        ("FVU", _number(found.fvu), "sum of squared errors over that about the mean of all frames"),
        ("explained variance", _number(found.explained_variance), "1 − FVU"),
        ("FVU of PCA", _number(quality.pca_fvu), "control: as many principal components as a frame has active latents"),
        ("cosine", _number(found.cosine), "mean over frames, reconstruction with frame"),
        ("norm ratio", _number(found.norm_ratio), "mean over frames of |reconstruction| / |frame|"),
        *((f"L0, {name}", f"{value:.4g}", "active latents a frame") for name, value in activity.l0.items()),
        ("dead", _share(activity.dead), f"share of latents that fired on none of N = {found.frames:,} frames"),
        ("dense", _share(activity.dense), f"share of latents active on more than {DENSE:.0%} of frames"),
        ("alive", f"{activity.alive:,}", "latents that fired; the rows below are about them"),
        ("duplicates", _share(geometry.duplicates), f"have another with a decoder cosine over {DUPLICATE:g}"),
        ("coherence", _number(geometry.coherence), "largest cosine, by magnitude, of two decoder rows"),
        ("nearest", _number(geometry.nearest), f"mean largest cosine; random directions: {_number(geometry.random)}"),
    ]
    if (other := quality.stability) is not None:
        rows += [
            ("found again", _share(other.matched), f"partner under one-to-one matching has cosine over {MATCHED:g}"),
            ("matched cosine", _number(other.mean_cosine), f"mean of pairs; {other.others:,} alive in the other SAE"),
            ("by chance", _number(other.random), "mean largest cosine with random directions, an upper bound"),
        ]
    return "".join(f"<tr><td>{name}</td><td>{value}</td><td>{escape(note)}</td></tr>" for name, value, note in rows)


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"


def _share(value: Any) -> str:
    return f"{value:.2%}" if math.isfinite(value) else "–"
