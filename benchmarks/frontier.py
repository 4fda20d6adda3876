"""FVU against L0 on held-out clips for every architecture, dead latents, and what a second seed finds again.

    freud collect SPEECH --model MODEL --site encoder.blocks.3 --out activations
    python benchmarks/frontier.py activations --out frontier [--docs docs]

trains what recipes/scaled/frontier.toml says (one run after the other; what is finished is not trained again), measures
each SAE as `freud evaluate` does, and writes a table and the plot. With --docs the plot goes into the documentation.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from common import record
from freud import artifacts, saes
from freud.activations import read
from freud.evaluation import evaluate
from freud.evaluation.plots import frontier
from freud.saes.recipe import Run, read_recipe
from freud.saes.train import sweep

RECIPE = Path(__file__).parents[1] / "recipes" / "scaled" / "frontier.toml"
SECOND = "-seed1"  # ends the name of a run that is there for stability


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("activations", type=Path)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    store, runs = read(options.activations), read_recipe(options.recipe).runs
    rows = []
    for run in runs:
        sweep(store, [run], options.out / "saes")
        rows.append(measured(run, runs, options.out, options.activations))
        print(json.dumps(rows[-1]))
    (options.out / "frontier.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if not row["run"].endswith(SECOND):
            series.setdefault(row["architecture"], []).append((row["l0"], row["fvu"]))
    svg = standalone(frontier(series))
    for folder in [options.out, *([options.docs] if options.docs else [])]:
        (folder / "frontier.svg").write_text(svg, encoding="utf-8")
    record("frontier", {"recipe": options.recipe.name, "rows": rows})


def measured(run: Run, runs: tuple[Run, ...], out: Path, activations: Path) -> dict[str, object]:
    """One row: the SAE of a run on its held-out clips, against the run with another seed if there is one."""
    twin = out / "saes" / f"{run.name}{SECOND}"
    second = twin if any(other.name == twin.name for other in runs) and (twin / artifacts.MANIFEST).is_file() else None
    report = out / "reports" / (f"{run.name}-stability" if second else run.name)
    found = evaluate(out / "saes" / run.name, activations, report, against=second)
    trained = artifacts.read(out / "saes" / run.name, "train").manifest["results"]["train"]
    row: dict[str, object] = {
        "run": run.name,
        "architecture": run.architecture.name,
        "d_sae": saes.load(out / "saes" / run.name).d_sae,
        "steps": run.options.steps,
        "l0": round(found.reconstruction.l0, 2),
        "fvu": round(found.reconstruction.fvu, 4),
        "pca": round(found.pca_fvu, 4),
        "cosine": round(found.reconstruction.cosine, 4),
        "norm_ratio": round(found.reconstruction.norm_ratio, 4),
        "dead_held_out": round(found.activity.dead, 4),
        "dead_training": round(trained["dead"], 4),
        "dense": round(found.activity.dense, 4),
        "duplicates": round(found.geometry.duplicates, 4),
        "frames": found.measured.frames,
        "clips": found.measured.clips,
        "left_out": found.measured.left_out,
    }
    if found.stability:
        row["stability"] = asdict(found.stability)
    return row


def table(rows: list[dict[str, object]]) -> str:
    """The rows as Markdown."""
    names = {
        "run": "run",
        "l0": "L0",
        "fvu": "FVU",
        "pca": "FVU of PCA",
        "cosine": "cosine",
        "norm_ratio": "norm ratio",
        "dead_training": "dead, training",
        "dense": "dense",
        "duplicates": "duplicates",
    }
    lines = [f"| {' | '.join(names.values())} |", "|---" * len(names) + "|"]
    lines += [f"| {' | '.join(str(row[name]) for name in names)} |" for row in rows]
    return "\n".join(lines) + "\n"


def standalone(svg: str) -> str:
    """A file of its own, which brings the colors that a page would give."""
    style = (
        "<style>:root{--ink:#1c2024;--faint:#9aa1a8;--line:#e3e6e8;--bar:#2f6f8f;--mark:#b4501e;font-family:sans-serif}"
        "@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--faint:#6c747c;--line:#2b3035;--bar:#6fb1d0;"
        "--mark:#ef9a63}}</style>"
    )
    end = svg.index(">") + 1
    return svg[:end] + style + svg[end:]


if __name__ == "__main__":
    main()
