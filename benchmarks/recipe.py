"""Trains what a recipe says and measures every SAE on its held-out clips: the tables and the plot of docs/results.md.

    freud collect SPEECH --model MODEL --site encoder.blocks.3 --out activations
    python benchmarks/recipe.py activations recipes/scaled/frontier.toml --out frontier [--plot docs/frontier.svg]

Runs are trained one after the other, and what is finished is not trained again, so it goes on where it was stopped.
Each is measured as `freud evaluate` does; a run NAME is compared with NAME-seed1 where the recipe has that. --only
measures what is trained already.
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
from freud.saes import sweep
from freud.saes.recipe import Run, read_recipe

SECOND = "-seed1"  # ends the name of a run that is there for stability
COLUMNS = {
    "run": "run",
    "l0": "L0",
    "fvu": "FVU",
    "pca": "FVU of PCA",
    "cosine": "cosine",
    "norm_ratio": "norm ratio",
    "dead_training": "dead, training clips",
    "dead_held_out": "dead, held-out",
    "dense": "dense",
    "duplicates": "duplicates",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("activations", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path, help="where to draw FVU against L0")
    parser.add_argument("--only", action="store_true", help="measure what is trained already")
    options = parser.parse_args()
    runs = read_recipe(options.recipe).runs
    if options.only:
        runs = tuple(run for run in runs if (options.out / "saes" / run.name / artifacts.MANIFEST).is_file())
    else:
        store = read(options.activations)
        for run in runs:
            sweep(store, [run], options.out / "saes")
    rows = []
    for run in runs:
        rows.append(measured(run, runs, options.out, options.activations))
        print(json.dumps(rows[-1]), flush=True)
    print(table(rows))
    if options.plot:
        series: dict[str, list[tuple[float, float]]] = {}
        for row in rows:
            if not str(row["run"]).endswith(SECOND):
                series.setdefault(str(row["architecture"]), []).append((float(str(row["l0"])), float(str(row["fvu"]))))
        options.plot.write_text(standalone(frontier(series)), encoding="utf-8")
    record(f"recipe-{options.recipe.stem}", {"recipe": options.recipe.name, "rows": rows})


def measured(run: Run, runs: tuple[Run, ...], out: Path, activations: Path) -> dict[str, object]:
    """One row: the SAE of a run on its held-out clips."""
    twin = f"{run.name}{SECOND}"
    second = out / "saes" / twin if any(other.name == twin for other in runs) else None
    report = out / "reports" / (f"{run.name}-stability" if second else run.name)
    found = evaluate(out / "saes" / run.name, activations, report, against=second, progress=False)
    trained = artifacts.read(out / "saes" / run.name, "train").manifest["results"]["train"]
    row: dict[str, object] = {
        "run": run.name,
        "architecture": run.architecture.name,
        "site": run.site,
        "d_sae": saes.load(out / "saes" / run.name).d_sae,
        "steps": run.options.steps,
        "l0": round(found.reconstruction.l0, 1),
        "fvu": round(found.reconstruction.fvu, 4),
        "pca": round(found.pca_fvu, 4),
        "cosine": round(found.reconstruction.cosine, 4),
        "norm_ratio": round(found.reconstruction.norm_ratio, 4),
        "dead_held_out": round(found.activity.dead, 4),
        "dead_training": round(trained["dead"], 4),
        "dense": round(found.activity.dense, 4),
        "duplicates": round(found.geometry.duplicates, 4),
        "frames": found.measured.frames,
        "frames_training": trained["frames"],
        "clips": found.measured.clips,
        "left_out": found.measured.left_out,
    }
    if found.stability:
        row["stability"] = asdict(found.stability)
    return row


def table(rows: list[dict[str, object]]) -> str:
    """The rows as Markdown."""
    lines = [f"| {' | '.join(COLUMNS.values())} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(str(row[name]) for name in COLUMNS)} |" for row in rows]
    return "\n".join(lines) + "\n"


def standalone(svg: str) -> str:
    """A file of its own, which brings the colors that a page would give."""
    style = (
        "<style>:root{--ink:#1c2024;--faint:#9aa1a8;--line:#e3e6e8;--bar:#2f6f8f;--mark:#b4501e;"
        "--third:#2e7d46;--fourth:#7a4fa3;font-family:sans-serif}"
        "@media(prefers-color-scheme:dark){:root{--ink:#e6e8ea;--faint:#6c747c;--line:#2b3035;--bar:#6fb1d0;"
        "--mark:#ef9a63;--third:#7cc794;--fourth:#bd9be0}}</style>"
    )
    end = svg.index(">") + 1
    return svg[:end] + style + svg[end:]


if __name__ == "__main__":
    main()
