"""The section of the replication page on ESC-10: best latent and best neuron of every class of sound, five-fold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import groups
import numpy as np
from page import Point, Report
from phones import LATENTS, kept
from sites import NEURONS, SAE_SITES, SITES

import freud
from freud import activations
from freud.activations import SiteActivations
from freud.corpus import Corpus
from freud.features import FeatureIndex
from freud.naming import statistics
from freud.naming.examples import ExampleBank, Split
from freud.naming.labels import LabelBank
from freud.naming.scoring import score
from freud.naming.sources import Latents, Neurons, Source

FOLDS = 5
FOUND = 0.5  # F1 from which a class counts as having a feature


def sounds(report: Report, work: Path, clips: Corpus) -> Point:
    """For each class, basis and fold the feature, of any site, with the best F1 on the other folds."""
    rows = kept(work / "folds.parquet", lambda: _measure(work, clips))
    whole = kept(work / "clips.parquet", lambda: _measure_clips(work, clips))
    report.say("## Sound classes of ESC-10, five-fold")
    report.say(
        f"{len(clips)} clips, {60 * clips.hours:.1f} minutes; clips cut from one recording are in one fold. For each "
        "class the feature, its site and its threshold are chosen by F1 over frames on four folds and scored on the "
        "fifth; the silence that many clips end in counts against all. Whole clips are told by the highest value of a "
        "feature in them. The SAE was trained on the same clips, without labels."
    )
    chosen, peaks = _best(rows), _best(whole)
    table = []
    for name, basis in dict.fromkeys(key[:2] for key in sorted(chosen)):
        folds, of_clips = ([row for key, row in found.items() if key[:2] == (name, basis)] for found in (chosen, peaks))
        means = {n: float(np.mean([row[n] for row in folds])) for n in ("F1", "AUC", "AP", "null F1", "null AUC")}
        sites = sorted({row["site"].removeprefix("encoder.") for row in folds})
        table.append(
            {
                "class": name, "features": basis, **means, "sites": ", ".join(sites), "folds": len(folds),
                "F1 of clips": float(np.mean([row["F1"] for row in of_clips])),
                "null F1 of clips": float(np.nanmean([row["null F1"] for row in of_clips])),
                "N frames": sum(row["N frames"] for row in folds), "N clips": sum(row["N clips"] for row in of_clips),
                "split": "clips",
            }
        )  # fmt: skip
    report.table("sounds", table, hide=("null AUC", "split"))
    report.export("sounds-folds", rows)
    report.export("sounds-clips", whole)
    mean = {
        (basis, name): float(np.mean([row[name] for row in table if row["features"] == basis]))
        for basis in (LATENTS, NEURONS)
        for name in ("F1", "F1 of clips")
    }
    null = {name: float(np.mean([row[name] for row in table])) for name in ("null F1", "null F1 of clips")}
    classes = {row["class"] for row in table}
    good = {row["class"] for row in table if row["F1"] >= FOUND}
    return Point(
        "There are features of sound classes",
        "yes" if len(good) > len(classes) / 2 else "in part" if good else "no",
        f"best latent a class: mean F1 {mean[LATENTS, 'F1']:.2f} over frames, {mean[LATENTS, 'F1 of clips']:.2f} over "
        f"clips; best neuron {mean[NEURONS, 'F1']:.2f}, {mean[NEURONS, 'F1 of clips']:.2f}; null "
        f"{null['null F1']:.2f}, {null['null F1 of clips']:.2f}; over frames, {len(good)} of {len(classes)} classes "
        f"have one at {FOUND} or more",
    )


def _best(rows: list[dict[str, Any]]) -> dict[tuple[str, str, int], dict[str, Any]]:
    """For each class, basis and fold the row, of any site, with the best F1 on the other folds."""
    found: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in rows:
        key = row["class"], row["features"], row["fold"]
        if key not in found or row["fit F1"] > found[key]["fit F1"]:
            found[key] = row
    return found


def _measure(work: Path, clips: Corpus) -> Iterator[dict[str, Any]]:
    store = activations.read(work / "activations")
    latents = [freud.features.read(work / "latents" / site) for site in SAE_SITES["sounds"]]
    sources: list[tuple[str, str, Source]] = [(index.site, LATENTS, Latents(index)) for index in latents]
    sources += [(site, NEURONS, Neurons(store[site])) for site in SITES[NEURONS]]
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


def _measure_clips(work: Path, clips: Corpus) -> Iterator[dict[str, Any]]:
    """The same for whole clips, by the highest value of a feature in each; the null deals the classes anew."""
    store = activations.read(work / "activations")
    sources = [(site, LATENTS, freud.features.read(work / "latents" / site)) for site in SAE_SITES["sounds"]]
    sources += [(site, NEURONS, store[site]) for site in SITES[NEURONS]]
    fold, classes = _folds(clips), np.array(clips.table["class"].to_pylist())
    shuffled = np.random.default_rng(0).permutation(classes)
    for site, basis, source in sources:
        x = _peaks(source, clips)
        for name, held in product(np.unique(classes), range(FOLDS)):
            fit = fold != held
            if not (classes[~fit] == name).any():
                continue
            feature, threshold, score = groups.best_feature(x[fit], classes[fit] == name)
            null, null_threshold, _ = groups.best_feature(x[fit], shuffled[fit] == name)
            yield {
                "site": site, "features": basis, "fold": held, "class": str(name), "feature": feature, "fit F1": score,
                "F1": _f1(x[~fit, feature] >= threshold, classes[~fit] == name),
                "null F1": _f1(x[~fit, null] >= null_threshold, shuffled[~fit] == name),
                "N clips": int((~fit).sum()),
            }  # fmt: skip


def _f1(active: np.ndarray, label: np.ndarray) -> float:
    return float(statistics.f1_at((active & label).sum(), active.sum(), label.sum()))


def _peaks(source: FeatureIndex | SiteActivations, clips: Corpus) -> np.ndarray:
    """Highest value of every feature in every clip, [clips, features]."""
    if isinstance(source, SiteActivations):
        return np.stack([source.clip(clip.id).amax(0).float().numpy() for clip in clips])
    found = np.zeros((len(clips), source.features), np.float32)
    rows = source.sql("SELECT clip, feature, max(value) FROM postings GROUP BY clip, feature")
    clip, feature, value = (np.array(column) for column in zip(*rows, strict=True))
    found[clip, feature] = value
    return found


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
