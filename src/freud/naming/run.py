"""`name`: from an index to its names, as a finished folder.

Memory holds one range of features at a time; a second range means a second pass over the frames.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from freud import artifacts
from freud.activations import Activations
from freud.corpus import Corpus
from freud.features import FeatureIndex
from freud.naming import names, tables
from freud.naming.controls import controls as make_controls
from freud.naming.examples import ExampleBank, labels_table, split
from freud.naming.labels import LabelBank
from freud.naming.query import Names
from freud.naming.scoring import NULLS, Scores, score
from freud.naming.sound import measure
from freud.naming.sources import Latents, Neurons, Source
from freud.version import __version__

RANGE = 8192  # features scored together
FAMILIES = ("phone", "sound")  # kinds whose labels exclude each other
CONTROL_BEST = 3  # features of a control that are written for a label


def name(
    index: FeatureIndex,
    out: Path | str,
    *,
    corpus: Corpus | Path | str | None = None,
    kinds: tuple[str, ...] | None = None,
    words: int = 20,
    by: Literal["auto", "speaker", "clip"] = "auto",
    controls: bool = True,
    seed: int = 0,
    sound: Path | str | None = None,
    progress: bool = True,
) -> Names:
    """Name every feature of an index after the label that it responds to, with held-out scores and controls.

    Args:
        index: neurons of a site, or latents of an SAE.
        out: folder to write; a finished one with the same parameters is opened.
        corpus: the corpus, if it is not where it was when the activations were collected.
        kinds: only labels of these kinds (`naming.labels.KINDS`); all if not given.
        words: how many of the most frequent words are labels.
        by: what is held out as a whole; "auto" is speakers where every clip has one and there are at least four.
        controls: also score raw coordinates, PCA directions, a frozen random decoder and a linear probe.
        seed: of the split, the shuffles and the intervals.
        sound: folder for what is measured on the audio, shared by all indexes of a corpus; beside `out` if not given.
        progress: show progress bars on a terminal.

    Raises:
        FreudError: the corpus or the activations are gone or others, there is too little to split, or no label.
    """
    out = Path(out)
    parameters = {
        "site": index.site,
        "basis": index.basis,
        "model": index.model,
        "index": index.artifact.manifest["fingerprint"],
        "kinds": None if kinds is None else sorted(kinds),
        "words": words,
        "by": by,
        "controls": controls,
        "seed": seed,
    }
    if done := artifacts.begin(out, tables.KIND, parameters):
        return Names(done)
    store = index.activations.store
    clips = store.open_corpus(corpus, new_labels=True)
    rate = index.frames_per_second
    bank = LabelBank(clips, rate, window_frames=_window_frames(store), words=words, kinds=kinds)
    reader = None
    if bank.needs_sound:
        reader = measure(clips, Path(sound) if sound else out.parent / "sound", progress=progress)
    pieces = _source(index, slice(None)).pieces()
    frames = np.bincount(pieces.clip, pieces.rows, len(clips)).astype(np.int64) * bank.usable
    sides = split(clips, frames, by, seed=seed)
    examples = ExampleBank(bank, pieces, sides, reader, seed=seed)
    labels = examples.labels
    family = _family(examples)

    scores = _merged(
        [
            (first, score(
                _source(index, slice(first, min(first + RANGE, index.features))), examples, rate,
                family=family, progress=progress,
            ))
            for first in range(0, index.features, RANGE)
        ]
    )  # fmt: skip
    facts = index.sql("SELECT density, dead FROM features ORDER BY feature")
    density, dead = (np.array(column) for column in zip(*facts, strict=True))
    sparse = index.basis == "latents"
    name_rows = names.name_columns(scores, labels, "+" if sparse else "+-", density, dead, sparse)
    written = {
        "names": tables.table(tables.NAMES, name_rows),
        "scores": tables.table(tables.SCORES, names.score_columns(scores, labels, names.by_feature(scores))),
        "labels": tables.table(tables.LABELS, labels_table(examples)),
        "best": tables.table(tables.BEST, names.best_columns(scores, labels)),
        "controls": _controls(index, examples, rate, progress) if controls else tables.CONTROLS.empty_table(),
        "matrix": tables.table(tables.MATRIX, names.matrix_columns(scores, labels)),
    }
    used = np.flatnonzero(sides.fit | sides.held)
    clip_rows = {"clip": used, "id": [bank.clip_ids[i] for i in used], "held_out": sides.held[used]}
    written["split"] = tables.table(tables.SPLIT, clip_rows)
    for table, rows in written.items():
        tables.write(out / f"{table}.parquet", rows)
    files = [f"{table}.parquet" for table in written]
    return Names(artifacts.finish(out, tables.KIND, parameters, files, **_facts(index, clips, examples, name_rows)))


def _facts(index: FeatureIndex, corpus: Corpus, examples: ExampleBank, rows: dict[str, Any]) -> dict[str, Any]:
    sides = examples.sides
    speakers = np.array([s or "" for s in corpus.table["speaker"].to_pylist()], object)
    return {
        "versions": {"freud": __version__, "model": index.artifact.manifest["parameters"].get("model_fingerprint")},
        "corpus": {"fingerprint": corpus.fingerprint, "clips": len(corpus)},
        "split": {
            "by": sides.by,
            "fit_clips": int(sides.fit.sum()),
            "held_out_clips": int(sides.held.sum()),
            "fit_speakers": sorted(set(speakers[sides.fit]) - {""}),
            "held_out_speakers": sorted(set(speakers[sides.held]) - {""}),
            "held_out_frames": int(examples.frames[sides.held].sum()),
            "intervals_over": f"{sides.groups} groups of {sides.unit}s",
        },
        "null": {"shuffles": NULLS, "false_discovery_rate": names.RATE},
        "labels": len(examples.labels),
        "named": sum(not (u or d) for u, d in zip(rows["unnamed"], rows["dead"], strict=True)),
        "unnamed": sum(rows["unnamed"]),
        "dead": sum(rows["dead"]),
    }


def _window_frames(store: Activations) -> int | None:
    """Frames of a window of the model, from the first clip that has two windows; None if none has."""
    for shard in range(len(store.shards)):
        windows = json.loads(store.open_shard(shard).metadata()["freud"])["windows"]
        later = {clip for clip, window, _ in windows if window == 1}
        for clip, window, valid in windows:
            if window == 0 and clip in later:
                return int(valid)
    return None


def _source(index: FeatureIndex, features: slice) -> Source:
    if index.basis == "latents":
        return Latents(index, features)
    return Neurons(index.activations, features=features)


def _family(examples: ExampleBank) -> np.ndarray | None:
    """The labels of the first family that the corpus has, at least three of them."""
    for kind in FAMILIES:
        found = np.array([i for i, label in enumerate(examples.labels) if label.kind == kind], np.int64)
        if len(found) >= 3:
            return found
    return None


def _merged(parts: list[tuple[int, Scores]]) -> Scores:
    """The scores of several ranges of features as one; the best of each label are ranked over all of them."""
    if len(parts) == 1:
        return parts[0][1]
    found = parts[0][1]
    rows, best, rates = 0, [], []
    pairs = {name: [] for name in ("feature", "side", "label", "lag")}
    for first, part in parts:
        for name_, values in pairs.items():
            values.append(getattr(part.pairs, name_) + (first if name_ == "feature" else 0))
        best += [(label, by, row + rows) for label, by, _, row in part.best]
        rates += [(label, pair + rows, rate, count) for label, pair, rate, count in part.rates]
        rows += len(part.pairs)
    columns = {n: np.concatenate([part.columns[n] for _, part in parts]) for n in found.columns}
    agreement = np.concatenate([part.fit_agreement for _, part in parts])
    by_value = {"auc": columns["fit_auc"], "f1": columns["fit_f1"], "spearman": agreement}
    kept = {}
    for label, by, row in sorted(best, key=lambda entry: -by_value[entry[1]][entry[2]]):
        kept.setdefault((label, by), []).append(row)
    most = max(rank for _, _, rank, _ in found.best)
    ranked = [
        (label, by, rank, row) for (label, by), found_rows in sorted(kept.items())
        for rank, row in enumerate(found_rows[:most], 1)
    ]  # fmt: skip
    first_of = {label: rows_[0] for (label, by), rows_ in kept.items() if by == "f1"}
    levels = {(f + first, s): level for first, part in parts for (f, s), level in part.levels.items()}
    joined = type(found.pairs)(*(np.concatenate(values) for values in pairs.values()))
    threshold = np.concatenate([part.threshold for _, part in parts])
    chosen = set(first_of.values())
    return Scores(joined, threshold, agreement, columns, ranked, levels, [rate for rate in rates if rate[1] in chosen])


def _controls(index: FeatureIndex, examples: ExampleBank, rate: float, progress: bool) -> pa.Table:
    """The best features of every control for every label."""
    found = []
    for control, source in make_controls(index, examples).items():
        scores = score(source, examples, rate, kept=0, progress=progress, name=control)
        scores.best = [entry for entry in scores.best if entry[2] <= CONTROL_BEST]
        columns = names.best_columns(scores, examples.labels)
        found.append(tables.table(tables.CONTROLS, {"control": [control] * len(scores.best), **columns}))
    return pa.concat_tables(found)
