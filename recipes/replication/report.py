"""Stage two of the replication page: names on the prepared activations, tables, plots, and the page itself.

    python recipes/replication/report.py WORK [--docs docs] [--sites GLOB ...]

Reads what `prepare.py` left in WORK and writes `docs/replication.md`, its plots as SVG and its tables as CSV and
Parquet under `docs/replication/`. What is not in WORK is left out of the page, and the page says so. Names are kept in
WORK and not made twice.
"""

from __future__ import annotations

import argparse
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import groups
import matplotlib
import numpy as np
import pyarrow as pa
from prepare import CORPORA, ROOT, corpus

import freud
from freud import naming
from freud.corpus import Corpus
from freud.naming import Names, tables
from freud.naming.blocks import Pieces
from freud.naming.examples import ExampleBank, Split, split
from freud.naming.labels import LabelBank
from freud.naming.scoring import score
from freud.naming.sources import Latents, Neurons

matplotlib.use("svg")
from matplotlib import pyplot as plt

STRUCTURE = (
    *("boundary:word onset", "boundary:speech start", "silence:pause before speech", "silence:pause after speech"),
    *("silence:silence", "place:clip start", "place:clip end"),
)
FOLDS = 5


class Report:
    """The page while it grows: paragraphs, tables beside it, plots."""

    def __init__(self, docs: Path) -> None:
        self.docs, self.folder = docs, docs / "replication"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parts: list[str] = []

    def say(self, *text: str) -> None:
        """Add paragraphs."""
        self.parts += text

    def table(self, name: str, rows: list[dict[str, Any]], *, show: int = 60) -> None:
        """Add a table, and export all of it as CSV and Parquet."""
        exported = pa.Table.from_pylist(rows)
        tables.export(exported, self.folder / f"{name}.csv")
        tables.export(exported, self.folder / f"{name}.parquet")
        names = list(rows[0])
        lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        lines += ["| " + " | ".join(_cell(row[n]) for n in names) + " |" for row in rows[:show]]
        links = f"[CSV](replication/{name}.csv), [Parquet](replication/{name}.parquet)"
        self.parts += ["\n".join(lines), f"{len(rows)} rows: {links}"]

    def plot(self, name: str, title: str) -> None:
        """Add the current figure."""
        plt.tight_layout()
        plt.savefig(self.folder / f"{name}.svg")
        plt.close()
        self.parts.append(f"![{title}](replication/{name}.svg)")

    def write(self) -> None:
        """Write the page."""
        (self.docs / "replication.md").write_text("\n\n".join(self.parts) + "\n", encoding="utf-8")


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def already(work: Path) -> dict[tuple[str, str], Names]:
    """The names that are finished in WORK, and no others."""
    return {(names.site, names.basis): names for names in naming.read_all(work)}


def named(work: Path, clips: Corpus, wanted: list[str]) -> dict[tuple[str, str], Names]:
    """Names of every prepared index of speech whose site matches: phones for neurons, everything for latents."""
    found = {}
    folders = [*sorted((work / "latents").glob("*")), *sorted((work / "neurons").glob("*"))]
    for folder in folders:
        if not (folder / "manifest.json").is_file() or not any(fnmatchcase(folder.name, glob) for glob in wanted):
            continue
        latents = folder.parent.name == "latents"
        index = freud.features.read(folder)
        kinds = None if latents else ("phone",)
        out = work / "names" / folder.name / folder.parent.name
        sound = work / "names" / "sound"
        options = {"corpus": clips, "kinds": kinds, "by": "speaker", "controls": latents, "sound": sound}
        found[folder.name, folder.parent.name] = naming.name(index, out, **options)  # type: ignore[arg-type]
    return found


def phones(names: Names, by: str = "auc") -> list[dict[str, Any]]:
    """The feature chosen for each phone."""
    rows = [row for row in names.table("best").to_pylist() if row["rank"] == 1 and row["by"] == by]
    return [row for row in rows if row["kind"] == "phone"]


def depth(report: Report, found: dict[tuple[str, str], Names]) -> None:
    """MLP neurons are phonetic, and where."""
    rows = []
    for (site, basis), names in found.items():
        best = phones(names)
        if not best:
            continue
        for by in ("auc", "f1"):
            chosen = phones(names, by)
            rows.append(
                {
                    "site": site, "basis": basis, "chosen by": by, "phones": len(chosen),
                    "mean AUC": float(np.mean([r["auc"] for r in chosen])),
                    "AUC >= 0.9": sum(r["auc"] >= 0.9 for r in chosen),
                    "mean F1": float(np.mean([r["f1"] for r in chosen])),
                    "mean AP": float(np.mean([r["average_precision"] for r in chosen])),
                    "null AUC": float(np.mean([r["null_auc"] for r in chosen])),
                    "null F1": float(np.mean([r["null"] for r in chosen])),
                    "N frames": chosen[0]["frames"], "split": "speakers",
                }
            )  # fmt: skip
    report.say("## Phones: the best single feature of every site")
    report.say(
        "For each phone one feature (neurons on either side), its lag within 100 ms and its threshold are chosen on "
        "the speakers of the one side; every number is of the other speakers."
    )
    report.table("phones-by-site", rows)
    union = _union(found)
    report.say(
        "Best of all these sites, chosen on the one side: mean held-out AUC "
        f"**{np.mean([r['AUC'] for r in union]):.3f}**,"
        f" **{sum(r['AUC'] >= 0.9 for r in union)}** of {len(union)} phones at 0.9 or more (null: "
        f"{np.mean([r['null AUC'] for r in union]):.3f}). The aim was a mean of 0.90 and 20 phones."
    )
    report.table("phones-best", union)
    neurons = [row for row in rows if row["chosen by"] == "auc" and ".mlp.1" in row["site"]]
    if len(neurons) > 1:
        plt.figure(figsize=(5, 3))
        plt.plot([int(row["site"].split(".")[2]) for row in neurons], [row["mean AUC"] for row in neurons], "o-")
        plt.axhline(float(np.mean([row["null AUC"] for row in neurons])), linestyle="--", color="gray", label="null")
        plt.xlabel("block")
        plt.ylabel("mean held-out AUC of the best neuron a phone")
        plt.legend()
        report.plot("depth", "Held-out AUC of the best MLP neuron of each phone, by block, and of shuffled labels")


def _union(found: dict[tuple[str, str], Names]) -> list[dict[str, Any]]:
    every: dict[str, dict[str, Any]] = {}
    for (site, basis), names in found.items():
        for row in phones(names):
            if row["label"] not in every or row["fit_auc"] > every[row["label"]]["fit AUC"]:
                every[row["label"]] = {
                    "phone": row["text"], "site": site, "basis": basis, "feature": row["feature"], "side": row["side"],
                    "lag ms": row["lag_ms"], "AUC": row["auc"], "low": row["auc_low"], "high": row["auc_high"],
                    "F1": row["f1"], "AP": row["average_precision"], "null AUC": row["null_auc"],
                    "fit AUC": row["fit_auc"], "positives": row["positives"], "clips": row["clips"],
                    "split": "speakers",
                }  # fmt: skip
    return sorted(every.values(), key=lambda row: -row["AUC"])


def signs(report: Report, found: dict[tuple[str, str], Names]) -> None:
    """Do the lowest values of a neuron select the same phones as its highest?"""
    rows = []
    for (site, basis), names in found.items():
        if basis != "neurons":
            continue
        label: dict[str, dict[int, str]] = {"+": {}, "-": {}}
        for row in names.table("names").to_pylist():
            if not row["unnamed"]:
                label[row["side"]][row["feature"]] = row["label"]
        both = sorted(label["+"].keys() & label["-"].keys())
        if len(both) < 20:
            continue
        plus, minus = (np.array([label[side][f] for f in both]) for side in "+-")
        rng = np.random.default_rng(0)
        null = np.mean([(plus == rng.permutation(minus)).mean() for _ in range(200)])
        rows.append(
            {
                "site": site, "neurons named on both sides": len(both), "same phone": float((plus == minus).mean()),
                "same phone, sides paired at random": float(null), "of neurons": len(label["+"] | label["-"]),
                "split": "speakers",
            }
        )  # fmt: skip
    report.say("## Negative activations of a neuron")
    report.say(
        "Published: clips with the most negative activations of a neuron hold the same phones as those with the most "
        "positive ones. Here both sides of a neuron are named apart, and compared with sides paired at random."
    )
    if rows:
        report.table("signs", rows)


def levels(report: Report, found: dict[tuple[str, str], Names]) -> None:
    """Polysemanticity over activation levels."""
    rows = []
    for (site, basis), names in found.items():
        known = [row for row in names.table("names").to_pylist() if row["top_label"]]
        if len(known) < 20:
            continue
        rows.append(
            {
                "site": site, "basis": basis, "named": len(known),
                "polysemous": sum(row["polysemous"] for row in known) / len(known),
                "share of the top decile that is its phone": float(np.mean([row["top_share"] for row in known])),
                "share of the middle that is its phone": float(np.mean([row["middle_share"] for row in known])),
                "split": "speakers",
            }
        )  # fmt: skip
    report.say("## Polysemanticity over activation levels")
    report.say(
        "A feature is polysemous here if another phone stands out in deciles 4 to 6 of its active frames than in the "
        "top decile, and is more common there than at the top by two standard errors. A neuron's active frames are the "
        "highest 20 % of its side."
    )
    if rows:
        report.table("levels", rows)


def latents(report: Report, found: dict[tuple[str, str], Names]) -> None:
    """Latents against coordinates, PCA, a frozen random decoder and a probe."""
    for (site, basis), names in found.items():
        if basis != "latents":
            continue
        report.say(f"## Latents of {site} against controls")
        rows = []
        for by in ("auc", "f1"):
            sets = {"SAE latents": phones(names, by)}
            for row in names.table("controls").to_pylist():
                if row["rank"] == 1 and row["by"] == by and row["kind"] == "phone":
                    sets.setdefault(row["control"], []).append(row)
            for name, chosen in sets.items():
                rows.append(
                    {
                        "features": name, "chosen by": by, "phones": len(chosen),
                        **{
                            shown: float(np.mean([r[column] for r in chosen]))
                            for shown, column in (
                                ("mean AUC", "auc"), ("mean F1", "f1"), ("mean AP", "average_precision"),
                                ("null AUC", "null_auc"), ("null F1", "null"),
                            )
                        },
                        "AUC >= 0.9": sum(r["auc"] >= 0.9 for r in chosen),
                        "N frames": chosen[0]["frames"], "split": "speakers",
                    }
                )  # fmt: skip
        report.table(f"controls-{site}", rows)
        structure = [
            {
                "label": row["text"], "feature": row["feature"], "F1": row["f1"], "low": row["f1_low"],
                "high": row["f1_high"], "AUC": row["auc"], "lag ms": row["lag_ms"], "null F1": row["null"],
                "q": row["q"], "positives": row["positives"], "clips": row["clips"], "split": "speakers",
            }
            for row in names.table("best").to_pylist()
            if row["rank"] == 1 and row["by"] == "f1" and row["label"] in STRUCTURE
        ]  # fmt: skip
        report.say(f"### Structure: words, pauses, the start of speech and of the recording ({site})")
        if not structure:
            report.say("Not in this run: only phones were named.")
        else:
            report.table(f"structure-{site}", structure)


def small_groups(report: Report, work: Path, clips: Corpus, site: str) -> None:
    """Groups of 1, 2 and 5 latents, and all of them."""
    index = freud.features.read(work / "latents" / site)
    bank = LabelBank(clips, kinds=("phone",))
    pieces = index.activations.store.pieces
    counts = np.bincount(pieces.clip, pieces.rows, len(clips)).astype(np.int64)
    sides = split(clips, counts, "speaker")
    examples = ExampleBank(bank, Pieces(pieces.clip, pieces.first_frame, pieces.rows), sides)
    chosen = [np.flatnonzero(side) for side in (sides.fit, sides.held)]
    y = tuple(groups.labels(examples, side) for side in chosen)
    rows = []
    for basis in ("latents", "neurons"):
        source = freud.features.read(work / basis / site)
        x = tuple(groups.matrix(source, side) for side in chosen)
        found = groups.detectors(x, y, sizes=(1, 2, 5))  # type: ignore[arg-type]
        for size in (1, 2, 5, 0):
            some = [row for row in found if row["size"] == size]
            rows.append(
                {
                    "features": "SAE latents" if basis == "latents" else "coordinates (all: the dense probe)",
                    "group": size or "all", "phones": len(some),
                    "mean AUC": float(np.mean([r["auc"] for r in some])),
                    "AUC >= 0.9": sum(r["auc"] >= 0.9 for r in some),
                    "mean F1": float(np.mean([r["f1"] for r in some])),
                    "mean AP": float(np.mean([r["average_precision"] for r in some])),
                    "N frames": some[0]["n"], "split": "speakers",
                }
            )  # fmt: skip
    report.say(f"## Small groups of features ({site}, no lag)")
    report.say("Groups grow by forward selection; their values are combined by ridge regression on the one side.")
    report.table(f"groups-{site}", rows)


def sounds(report: Report, work: Path, clips: Corpus) -> None:
    """Best latent and best neuron of every class of sound, five-fold."""
    classes = np.array(clips.table["class"].to_pylist())
    order = np.random.default_rng(0).permutation(len(clips))
    fold = np.empty(len(clips), int)
    for name in np.unique(classes):
        members = order[classes[order] == name]
        fold[members] = np.arange(len(members)) % FOLDS
    rows = []
    for folder in [*sorted((work / "latents").glob("*")), *sorted((work / "neurons").glob("*.mlp.1"))]:
        index = freud.features.read(folder)
        bank = LabelBank(clips, index.frames_per_second, kinds=("sound",))
        source = Latents(index) if index.basis == "latents" else Neurons(index.activations)
        for held in range(FOLDS):
            sides = Split("clip", fold != held, fold == held, np.arange(len(clips)) % 20, 20, "clip")
            examples = ExampleBank(bank, source.pieces(), sides)
            scores = score(source, examples, index.frames_per_second, kept=0, progress=False)
            for label, by, rank, pair in scores.best:
                if rank == 1 and by == "f1":
                    values = {name: float(column[pair]) for name, column in scores.columns.items()}
                    rows.append({"site": folder.name, "basis": folder.parent.name, "fold": held,
                                 "class": examples.labels[label].text, "feature": int(scores.pairs.feature[pair]),
                                 "F1": values["f1"], "AUC": values["auc"], "AP": values["average_precision"],
                                 "null F1": values["null"], "N frames": values["frames"]})  # fmt: skip
    report.say("## Sound classes of ESC-10, five-fold")
    summary = []
    for key in dict.fromkeys((row["site"], row["basis"], row["class"]) for row in rows):
        some = [row for row in rows if (row["site"], row["basis"], row["class"]) == key]
        means = {name: float(np.mean([row[name] for row in some])) for name in ("F1", "AUC", "AP", "null F1")}
        summary.append(
            {"site": key[0], "basis": key[1], "class": key[2], **means, "folds": len(some), "split": "clips"}
        )
    report.table("sounds", summary)
    tables.export(pa.Table.from_pylist(rows), report.folder / "sounds-folds.csv")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--audio", type=Path, default=ROOT / "data" / "real-audio")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--sites", nargs="*", default=["*"])
    parser.add_argument("--quick", action="store_true", help="only what is named in WORK already, and no groups")
    arguments = parser.parse_args()
    report = Report(arguments.docs)
    speech = corpus(arguments.work, arguments.audio, "speech")
    work = arguments.work / "speech"
    found = already(work) if arguments.quick else named(work, speech, arguments.sites)
    facts = next(iter(found.values())).artifact.manifest
    report.say("# Replication")
    if arguments.quick:
        report.say(
            '!!! warning "A partial run"\n    Only what had been named already is here; the rest is in the scripts.'
        )
    report.say(
        "Published findings about Whisper's encoder, each tried on the encoder of whisper-base with real speech. "
        "All of it was measured by `recipes/replication/prepare.py` and `report.py`; the second writes this page.",
        f"Speech: {len(speech)} utterances ({60 * speech.hours:.1f} minutes) of {', '.join(CORPORA['speech'])}, with "
        f"automatically aligned phones. Chosen on the speakers {', '.join(facts['split']['fit_speakers'])}, scored on "
        f"{', '.join(facts['split']['held_out_speakers'])} ({facts['split']['held_out_frames']} frames). The SAEs are "
        "small and were trained on these few minutes alone. Sites on this page: "
        + ", ".join(f"{site} ({basis})" for site, basis in found) + ".",
    )  # fmt: skip
    depth(report, found)
    signs(report, found)
    levels(report, found)
    latents(report, found)
    if arguments.quick:
        report.say("## Small groups of features", "Not in this run (`--quick`).")
    for site in sorted({site for site, basis in found if basis == "latents"} if not arguments.quick else ()):
        small_groups(report, work, speech, site)
    if any((arguments.work / "sounds" / "latents").glob("*/manifest.json")):
        sounds(report, arguments.work / "sounds", corpus(arguments.work, arguments.audio, "sounds"))
    else:
        report.say("## Sound classes of ESC-10", "Not in this run: `prepare.py` had not collected them.")
    report.write()


if __name__ == "__main__":
    main()
