"""Phones on every site and basis, cross-validated over speakers: what is measured and how it is summed up.

A basis is a set of features of one site: its coordinates (see `sites.py`), the latents of an SAE, and the controls: as
many random directions, the leading directions of PCA, and a linear probe on all coordinates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import crossed
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sites import COORDINATES, SITES
from tqdm import tqdm

from freud import activations, saes
from freud.corpus import Corpus
from freud.naming import statistics, tables
from freud.naming.controls import pca

LATENTS = "SAE latents"
BEFORE = "SAE pre-activations"  # of the same latents, before all but the k largest are set to zero
PCA, RANDOM, PROBE = "PCA directions", "random directions", "linear probe"  # the controls

BATCH = 2048  # frames

Rows = list[dict[str, Any]]


def sources(work: Path, site: str) -> Iterator[tuple[str, torch.Tensor, str]]:
    """The bases of a site, [frames, features] each, and the sides on which its features count."""
    x = crossed.values(activations.read(work / "speech" / "activations"), site)
    yield basis_of(site), x, "+-"
    yield PROBE, x, ""
    training = activations.read(work / "training" / "activations")[site]
    yield PCA, x.float() @ torch.from_numpy(pca(training)), "+-"
    folder = work / "speech" / "saes" / site
    if (folder / "manifest.json").is_file():
        sae = saes.load(folder)
        pre = torch.cat([sae.pre_activations(part.float()).half() for part in x.split(BATCH)])
        yield LATENTS, torch.cat([sae.activate(part.float()).half() for part in pre.split(BATCH)]), "+"
        yield BEFORE, pre, "+-"
        directions = torch.randn(sae.d_in, sae.d_sae, generator=torch.Generator().manual_seed(0))
        yield RANDOM, (x.float() - x.float().mean(0)) @ directions, "+-"


def basis_of(site: str) -> str:
    """What the coordinates of a site are called on the page."""
    return next(basis for basis, sites in SITES.items() if site in sites)


@torch.inference_mode()
def measure(work: Path, corpus: Corpus, sites: Sequence[str]) -> Rows:
    """Rows of every basis of some sites of speech; they are kept in WORK, and not measured twice."""
    known = crossed.frames(activations.read(work / "speech" / "activations"), corpus)

    def of(site: str) -> Iterator[dict[str, Any]]:
        for basis, x, sides in sources(work, site):
            source = {"site": site, "basis": basis, "features": x.shape[1]}
            yield from crossed.search(known, x, sides, **source) if sides else crossed.probes(known, x, **source)

    bar = tqdm(sites, desc="cross-validation", disable=None)
    return [row for site in bar for row in kept(work / "speech" / "crossed" / f"{site}.parquet", lambda: of(site))]  # noqa: B023


@torch.inference_mode()
def measure_groups(work: Path, corpus: Corpus, site: str, sizes: tuple[int, ...] = (1, 2, 5)) -> Rows:
    """Rows of small groups of latents, and of coordinates, of a site with an SAE; kept likewise."""
    known = crossed.frames(activations.read(work / "speech" / "activations"), corpus)

    def found() -> Iterator[dict[str, Any]]:
        for basis, x, _ in sources(work, site):
            if basis in {COORDINATES, LATENTS}:
                yield from crossed.grouped(known, x, sizes, site=site, basis=basis, features=x.shape[1])

    return kept(work / "speech" / "crossed" / f"{site}-groups.parquet", found)


def kept(path: Path, make: Callable[[], Iterable[dict[str, Any]]]) -> Rows:
    """The rows of a Parquet file; if there is none, they are made and written. Every row has all columns."""
    if not path.is_file():
        path.parent.mkdir(exist_ok=True)
        rows = list(make())
        columns = dict.fromkeys(name for row in rows for name in row)
        tables.export(pa.Table.from_pylist([{name: row.get(name) for name in columns} for row in rows]), path)
    return pq.read_table(path).to_pylist()


def union(rows: Rows, caution: float | None = None) -> Rows:
    """Of the choices of several sources the best in each fold by the speakers to fit on; so of shuffled labels.

    Args:
        rows: of `crossed.search`, trials among them, or of `crossed.probes`.
        caution: one of `crossed.CAUTIONS` for all folds. By default it is for each fold the one by which the speakers
            to fit on, each left out in turn, have the larger mean AUC.
    """
    tried: dict[tuple[str, float], list[float]] = defaultdict(list)
    for row in _best([row for row in rows if row.get("trial")], "fit", ("phone", "speaker", "trial", "caution")):
        tried[row["speaker"], row["caution"]].append(row["auc"])
    of = {speaker: max(crossed.CAUTIONS, key=lambda c: np.mean(tried[speaker, c])) for speaker, _ in tried}
    fold = [row for row in rows if not row.get("trial")]
    if tried:
        fold = [row for row in fold if row["caution"] == (of[row["speaker"]] if caution is None else caution)]
    best = _best(fold, "fit", ("phone", "speaker"))
    if not tried:
        return best
    chance = {(row["phone"], row["speaker"]): row for row in _best(fold, "null_fit", ("phone", "speaker"))}
    return [{**row, "null_auc": chance[row["phone"], row["speaker"]]["null_auc"]} for row in best]


def _best(rows: Rows, column: str, key: tuple[str, ...]) -> Rows:
    """The rows with the largest value in a column, one for each key."""
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        of = tuple(row[name] for name in key)
        if of not in best or row[column] > best[of][column]:
            best[of] = row
    return list(best.values())


def pooled(rows: Rows) -> dict[str, dict[str, Any]]:
    """Folds as one score a phone: AUC and average precision weighted by positives, F1 of the counts together."""
    found = {}
    for phone in sorted({row["phone"] for row in rows}):
        folds = [row for row in rows if row["phone"] == phone]
        total = {name: sum(row[name] for row in folds) for name in ("true", "active", "positives", "frames")}
        found[phone] = {
            "AUC": _mean(folds, "auc"), "worst speaker": min(row["auc"] for row in folds),
            "F1": float(statistics.f1_at(total["true"], total["active"], total["positives"])),
            "AP": _mean(folds, "average_precision"), "null AUC": _mean(folds, "null_auc"),
            "positives": total["positives"], "frames": total["frames"], "speakers": len(folds),
        }  # fmt: skip
    return found


def _mean(folds: Rows, column: str) -> float:
    """Weighted by positives; NaN where a basis has no such column."""
    some = [row for row in folds if row.get(column) is not None]
    if not some:
        return float("nan")
    return float(np.average([row[column] for row in some], weights=[row["positives"] for row in some]))


def speakers(rows: Rows) -> list[float]:
    """Mean AUC over phones on each speaker left out."""
    return [
        float(np.mean([row["auc"] for row in rows if row["speaker"] == speaker]))
        for speaker in sorted({row["speaker"] for row in rows})
    ]


def summary(rows: Rows) -> dict[str, Any]:
    """Means over phones."""
    phones = list(pooled(rows).values())

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in phones]))

    return {
        "phones": len(phones), "mean AUC": mean("AUC"), "AUC >= 0.9": sum(row["AUC"] >= 0.9 for row in phones),
        "mean F1": mean("F1"), "mean AP": mean("AP"), "null AUC": mean("null AUC"),
        "N frames": max(row["frames"] for row in phones), "split": f"{max(r['speakers'] for r in phones)} speakers",
    }  # fmt: skip
