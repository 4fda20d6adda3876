"""The section of the replication page on ESC-10: best latent and best neuron of every class of sound, five-fold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from page import Point, Report, verdict
from phones import LATENTS, NEURONS, kept
from prepare import NEURONS as NEURON_SITES
from prepare import SAE_SITES

import freud
from freud import activations
from freud.corpus import Corpus
from freud.naming.examples import ExampleBank, Split
from freud.naming.labels import LabelBank
from freud.naming.scoring import score
from freud.naming.sources import Latents, Neurons, Source

FOLDS = 5
FOUND = 0.5  # F1 from which a class counts as having a feature


def sounds(report: Report, work: Path, clips: Corpus) -> Point:
    """For each class, basis and fold the feature, of any site, with the best F1 on the other folds."""
    rows = kept(work / "folds.parquet", lambda: _measure(work, clips))
    report.say("## Sound classes of ESC-10, five-fold")
    report.say(
        f"{len(clips)} clips, {60 * clips.hours:.1f} minutes; clips cut from one recording are in one fold. For each "
        "class the feature, its site and its threshold are chosen by F1 over frames on four folds and scored on the "
        "fifth. The SAE was trained on the same clips, without labels."
    )
    chosen: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in rows:
        key = row["class"], row["features"], row["fold"]
        if key not in chosen or row["fit F1"] > chosen[key]["fit F1"]:
            chosen[key] = row
    table = []
    for name, basis in dict.fromkeys(key[:2] for key in sorted(chosen)):
        folds = [chosen[name, basis, fold] for fold in range(FOLDS) if (name, basis, fold) in chosen]
        means = {n: float(np.mean([row[n] for row in folds])) for n in ("F1", "AUC", "AP", "null F1", "null AUC")}
        sites = sorted({row["site"].removeprefix("encoder.") for row in folds})
        table.append(
            {
                "class": name, "features": basis, **means, "sites": ", ".join(sites), "folds": len(folds),
                "N frames": sum(row["N frames"] for row in folds), "split": "clips",
            }
        )  # fmt: skip
    report.table("sounds", table)
    report.export("sounds-folds", rows)
    mean = {b: float(np.mean([row["F1"] for row in table if row["features"] == b])) for b in (LATENTS, NEURONS)}
    classes = {row["class"] for row in table}
    good = {row["class"] for row in table if row["F1"] >= FOUND}
    return Point(
        "There are features of sound classes",
        verdict(len(good) > len(classes) / 2),
        f"best latent a class: mean F1 {mean[LATENTS]:.2f}, best neuron {mean[NEURONS]:.2f}, null "
        f"{np.mean([row['null F1'] for row in table]):.2f}; {len(good)} of {len(classes)} classes at {FOUND} or more",
    )


def _measure(work: Path, clips: Corpus) -> Iterator[dict[str, Any]]:
    store = activations.read(work / "activations")
    latents = [freud.features.read(work / "latents" / site) for site in SAE_SITES["sounds"]]
    sources: list[tuple[str, str, Source]] = [(index.site, LATENTS, Latents(index)) for index in latents]
    sources += [(site, NEURONS, Neurons(store[site])) for site in NEURON_SITES]
    fold = _folds(clips)
    bank = LabelBank(clips, latents[0].frames_per_second, kinds=("sound",))
    for held in range(FOLDS):
        sides = Split("clip", fold != held, fold == held, np.arange(len(clips)) % 20, 20, "clip")
        examples = ExampleBank(bank, sources[0][2].pieces(), sides)
        for site, basis, source in sources:
            scores = score(source, examples, bank.rate, kept=0, progress=False)
            for label, by, rank, pair in scores.best:
                if rank == 1 and by == "f1":
                    of = {name: float(column[pair]) for name, column in scores.columns.items()}
                    yield {
                        "site": site, "features": basis, "fold": held, "class": examples.labels[label].text,
                        "feature": int(scores.pairs.feature[pair]), "side": "+-"[int(scores.pairs.side[pair])],
                        "fit F1": of["fit_f1"], "F1": of["f1"], "AUC": of["auc"], "AP": of["average_precision"],
                        "null F1": of["null"], "null AUC": of["null_auc"], "N frames": int(of["frames"]),
                    }  # fmt: skip


def _folds(clips: Corpus) -> np.ndarray:
    """A fold for each clip: clips cut from one recording stay together, and classes are spread evenly.

    Names of ESC-10 are CLASS_FOLD-RECORDING-TAKE; its own folds are only two here.
    """
    classes = clips.table["class"].to_pylist()
    recordings = [Path(path).stem.split("-")[1] for path in clips.table["path"].to_pylist()]
    fold = np.zeros(len(clips), int)
    for name in sorted(set(classes)):
        members = [i for i, each in enumerate(classes) if each == name]
        order = np.random.default_rng(0).permutation(sorted({recordings[i] for i in members})).tolist()
        for i in members:
            fold[i] = order.index(recordings[i]) % FOLDS
    return fold
