"""The sections of the replication page on phones, each cross-validated over speakers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import crossed
import numpy as np
import phones
import torch
from page import Point, Report, plt, verdict
from phones import BEFORE, LATENTS, PCA, PROBE, RANDOM
from sites import ADDED, BLOCKS, COORDINATES, NEURONS, SAE_SITES, SITES

from freud import activations
from freud.corpus import Corpus

EXTREME = 100  # frames at either end of a neuron
SELECTIVE = 0.3  # share of them that one phone must have
AIM, AIM_PHONES = 0.9, 20

Rows = list[dict[str, Any]]


EVERY = "every site and the latents"
BOTH = "every site, latents before and after TopK"
PCA_POOL, PROBE_POOL = "control: PCA directions of every site", "ceiling: linear probes on every site"
POOLS = {
    "MLP neurons of all blocks": (NEURONS,),
    "residual coordinates of all blocks, ln_post": (COORDINATES,),
    "outputs of MLP and attention, heads, queries, keys, values": ADDED,
    "SAE latents of all SAEs": (LATENTS,),
    EVERY: (*SITES, LATENTS),
    "SAE latents before TopK": (BEFORE,),
    BOTH: (*SITES, LATENTS, BEFORE),
    PCA_POOL: (PCA,),
    "control: random directions": (RANDOM,),
    PROBE_POOL: (PROBE,),
}


def best_feature(report: Report, rows: Rows) -> list[Point]:
    """One feature a phone: of each basis, of each site, for each phone."""
    some = {name: [row for row in rows if row["basis"] in bases] for name, bases in POOLS.items()}
    table = []
    for name, found in some.items():
        best = phones.union(found)
        row = {"features": name, "of": _count(found), **phones.summary(best)}
        row |= {"worst speaker": min(phones.speakers(best)), "best speaker": max(phones.speakers(best))}
        for caution in crossed.CAUTIONS if any(each.get("trial") for each in found) else ():
            fixed = phones.summary(phones.union(found, caution))
            rule = "AUC by mean less deviation" if caution else "AUC by mean"
            row |= {rule: fixed["mean AUC"], f"{rule}, >= 0.9": fixed["AUC >= 0.9"]}
        table.append(row)
    report.say("## Phones: one feature each, chosen on five speakers, scored on the sixth")
    report.say(
        "For each phone, a feature, its side (highest or lowest values) and its lag within 100 ms are chosen on five "
        "speakers: those with the largest mean AUC within a speaker, or with the largest mean less its standard "
        "deviation over speakers. Which of the two is decided anew in each fold, for each row of the table, on the "
        "same five: each is left out in turn, features are chosen on the other four, and the rule with the larger mean "
        "AUC on those left out is taken. The sixth has no say in it and gives the score; that six times, and the mean "
        "over the six is weighted by frames of the phone. What either rule alone would have given is in the last "
        "columns. F1 is at a threshold fitted on the five. The null is the same search with labels shifted around "
        "within each clip.",
        "Latents are silent on most frames, which bounds their AUC (ties count half); before TopK they are linear "
        "functions of the residual stream as the random directions are, of which there are as many. "
        "PCA is of the 60 other speakers. A probe's site is chosen for each phone in the same way, by probes fitted on "
        "four of the five.",
    )
    report.table("phones-bases", table)
    sparse, whole, pca, probe = (_by(table, name) for name in (EVERY, BOTH, PCA_POOL, PROBE_POOL))
    by_mean, cautious = (
        f"{sparse[rule]:.3f} and {sparse[f'{rule}, >= 0.9']}" for rule in ("AUC by mean", "AUC by mean less deviation")
    )
    report.say(
        f"The aim was a mean of {AIM:.2f} and {AIM_PHONES} phones at 0.9 or more. Every site and the sparse latents "
        f"have **{sparse['mean AUC']:.3f}** and **{sparse['AUC >= 0.9']}** of {sparse['phones']}, which "
        f"{_reaches(sparse)}; by the mean alone they would have {by_mean}, by the mean less its deviation {cautious}. "
        f"On the six speakers the mean runs from {sparse['worst speaker']:.3f} to {sparse['best speaker']:.3f}. With "
        f"the same latents before TopK it is **{whole['mean AUC']:.3f}** and "
        f"**{whole['AUC >= 0.9']}**, which {_reaches(whole)}. A dense probe has {probe['mean AUC']:.3f}, and the null "
        f"{sparse['null AUC']:.3f}. The best directions of PCA over all sites, {pca['of']} in number, have "
        f"{pca['mean AUC']:.3f} and {pca['AUC >= 0.9']}: looking at many sites is much of it."
    )
    sites = _each_site(report, rows)
    _each_phone(report, rows)
    return _verdicts(table, sites)


def _each_site(report: Report, rows: Rows) -> Rows:
    """The best features of each basis of each site, beside the site's best directions of PCA and its probe."""
    of = {
        (site, basis): [row for row in rows if (row["site"], row["basis"]) == (site, basis)]
        for site, basis in dict.fromkeys((row["site"], row["basis"]) for row in rows)
    }
    means = {key: phones.summary(phones.union(found)) for key, found in of.items()}
    order = [*SITES, LATENTS, BEFORE, RANDOM]
    sites = [
        {
            "site": site, "features": basis, "of": _count(of[site, basis]), **means[site, basis],
            "AUC of PCA": means[site, PCA]["mean AUC"], "AUC of probe": means[site, PROBE]["mean AUC"],
        }
        for site, basis in sorted(of, key=lambda key: (order.index(key[1]) if key[1] in order else -1, key[0]))
        if basis in order
    ]  # fmt: skip
    _plot_depth(report, sites)
    report.say("### Each site")
    report.table("phones-by-site", sites)
    return sites


def _by(table: Rows, name: str) -> dict[str, Any]:
    return next(row for row in table if row["features"] == name)


def _reaches(row: dict[str, Any]) -> str:
    return "reaches it" if row["mean AUC"] >= AIM and row["AUC >= 0.9"] >= AIM_PHONES else "does not reach it"


def _count(rows: Rows) -> int:
    return sum({(row["site"], row["basis"]): row["features"] for row in rows}.values())


def _verdicts(table: Rows, sites: Rows) -> list[Point]:
    neurons, chance = (_by(table, name) for name in ("MLP neurons of all blocks", "control: random directions"))
    where = {name for site in SAE_SITES["speech"] for name in (site, f"{site}.mlp.1")}
    at = {
        basis: {
            name: float(np.mean([row[name] for row in sites if row["features"] == basis and row["site"] in where]))
            for name in ("mean AUC", "mean F1")
        }
        for basis in (NEURONS, COORDINATES, LATENTS, BEFORE, RANDOM)
    }

    def numbers(basis: str) -> str:
        return f"F1 {at[basis]['mean F1']:.2f}, AUC {at[basis]['mean AUC']:.2f}"

    above = at[COORDINATES]["mean F1"] > at[RANDOM]["mean F1"] + 0.02
    return [
        Point(
            "MLP neurons are phonetic",
            verdict(neurons["mean AUC"] > chance["mean AUC"] + 0.02),
            f"best neuron a phone: mean AUC {neurons['mean AUC']:.3f}, {neurons['AUC >= 0.9']} phones at 0.9; best of "
            f"{chance['of']} random directions {chance['mean AUC']:.3f}, {chance['AUC >= 0.9']}",
        ),
        Point(
            "Coordinates of the residual stream are not interpretable alone",
            verdict(not above),
            f"best coordinate a phone, in the blocks of the SAEs: {numbers(COORDINATES)}; best MLP neuron: "
            f"{numbers(NEURONS)}; best random direction: {numbers(RANDOM)}",
        ),
        Point(
            "SAE latents are",
            verdict(at[LATENTS]["mean F1"] > at[COORDINATES]["mean F1"] + 0.02),
            f"best latent a phone: {numbers(LATENTS)}; before TopK: {numbers(BEFORE)}",
        ),
    ]


def _plot_depth(report: Report, sites: Rows) -> None:
    _, axes = plt.subplots(figsize=(8, 4.2))
    axes.set_prop_cycle(color=plt.get_cmap("tab20").colors)
    depth = {name: block for block, name in enumerate([*BLOCKS, "encoder.ln_post"])}
    lines = {basis: [(row["site"], row["mean AUC"]) for row in sites if row["features"] == basis] for basis in SITES}
    lines |= {
        basis: [(row["site"], row["mean AUC"]) for row in sites if row["features"] == basis]
        for basis in (LATENTS, BEFORE, RANDOM)
    }
    lines |= {
        f"{name} of the residual stream": [
            (row["site"], row[f"AUC of {name}"]) for row in sites if row["features"] == COORDINATES
        ]
        for name in ("PCA", "probe")
    }
    for name, points in lines.items():
        at = sorted((depth[".".join(site.split(".")[:3])], auc) for site, auc in points)
        axes.plot(*zip(*at, strict=True), "o-", label=name, markersize=4)
    null = float(np.mean([row["null AUC"] for row in sites]))
    axes.axhline(null, linestyle=":", color="gray", label="shuffled labels")
    axes.set_xticks(list(depth.values()), [*map(str, range(len(BLOCKS))), "ln_post"])
    axes.set_xlabel("block")
    axes.set_ylabel("mean held-out AUC")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    report.plot("depth", "Held-out AUC of the best feature of each phone, by block and basis, and of shuffled labels")


def _each_phone(report: Report, rows: Rows) -> None:
    chosen = phones.union([row for row in rows if row["basis"] in POOLS[BOTH]])
    columns = {
        name: phones.pooled(phones.union([row for row in rows if row["basis"] == basis]))
        for name, basis in {"neuron": NEURONS, "latent": LATENTS, "PCA": PCA, "probe": PROBE}.items()
    }
    table = []
    for phone, score in phones.pooled(chosen).items():
        folds = [row for row in chosen if row["phone"] == phone]
        of = Counter(
            f"{row['site'].removeprefix('encoder.')} {row['basis'].removeprefix('SAE ')} {row['feature']}{row['side']} "
            f"{row['lag_ms']:+d} ms"
            for row in folds
        )
        name, times = of.most_common(1)[0]
        frames = score.pop("frames")
        table.append(
            {
                "phone": phone, **score, **{f"AUC of {what}": found[phone]["AUC"] for what, found in columns.items()},
                "chosen most often": name, "in folds": times, "N frames": frames, "split": "speakers",
            }
        )  # fmt: skip
    table.sort(key=lambda row: -row["AUC"])
    report.say("### Each phone")
    report.say(
        "AUC, F1, AP and null are of the best of all features; beside them the best neuron, latent and direction of "
        "PCA, and the probe. Alignments are automatic and not all right, which holds every number down."
    )
    report.table("phones-best", table, hide=("N frames", "split"))
    report.export("phones-folds", chosen)


def small_groups(report: Report, work: Path, clips: Corpus, rows: Rows) -> None:
    """Groups of 1, 2 and 5 latents or coordinates, and the probe."""
    table = []
    for site in SAE_SITES["speech"]:
        found = phones.measure_groups(work, clips, site)
        for basis, size in dict.fromkeys((row["basis"], row["size"]) for row in found):
            some = [row for row in found if (row["basis"], row["size"]) == (basis, size)]
            table.append({"site": site, "features": basis, "group": str(size), **phones.summary(some)})
        probe = phones.summary([row for row in rows if row["site"] == site and row["basis"] == PROBE])
        table.append({"site": site, "features": PROBE, "group": "all", **probe})
    report.say("## Small groups of features")
    report.say(
        "The same folds. Groups grow one by one by what correlates most with what is left unexplained (orthogonal "
        "matching pursuit), and are combined by ridge regression; no lag. A group of one is the feature that "
        "correlates most, not the one of largest AUC."
    )
    report.table("groups", table, hide=("null AUC",))


def signs(report: Report, work: Path, clips: Corpus) -> Point:
    """Do the lowest values of a neuron select the same phones as its highest?"""
    store = activations.read(work / "speech" / "activations")
    known = crossed.frames(store, clips)
    base = known.label.mean(0)
    rows, kept = [], []
    for site in [site for site in store.sites if site.endswith(".mlp.1")]:
        order = torch.randperm(store.frames, generator=torch.Generator().manual_seed(0))  # of frames that tie, any
        x = crossed.values(store, site)[order].T.float()
        ends = (order[x.topk(EXTREME, largest=largest).indices].numpy() for largest in (False, True))
        (low, low_share), (high, high_share) = (_outstanding(known.label[end].mean(1), base) for end in ends)
        both = (low_share >= SELECTIVE) & (high_share >= SELECTIVE)
        low, high = low[both], high[both]
        rng = np.random.default_rng(0)
        chance = np.mean([(high == rng.permutation(low)).mean() for _ in range(200)]) if both.any() else np.nan
        same = float((low == high).mean()) if both.any() else np.nan
        kept.append((same, float(chance), both.sum(), (high_share >= SELECTIVE).sum()))
        rows.append(
            {
                "site": site, "neurons": len(both), "top is a phone": int((high_share >= SELECTIVE).sum()),
                "bottom is a phone": int((low_share >= SELECTIVE).sum()), "both": int(both.sum()), "same phone": same,
                "same phone, paired at random": float(chance), "N frames": x.shape[1], "split": "none: all speakers",
            }
        )  # fmt: skip
    report.say("## Negative activations of a neuron")
    report.say(
        "Published: the most negative activations of a neuron select the same phones as the most positive ones. Here "
        f"the {EXTREME} frames with the lowest and the {EXTREME} with the highest values of each neuron are looked at: "
        f"a phone counts as selected if it stands out most and has at least {SELECTIVE:.0%} of them. After GELU the "
        "lowest values are about -0.17, from inputs a little below zero; inputs far below it come out as zero."
    )
    report.table("signs", rows)
    both, top = (sum(int(row[i]) for row in kept) for i in (2, 3))
    same, chance = (float(np.nansum([row[i] * row[2] for row in kept]) / max(both, 1)) for i in (0, 1))
    more = same > 2 * chance and same > 0.5
    return Point(
        "The most negative activations of a neuron select the same phones as the most positive",
        "no" if not more else "yes" if both > top / 2 else "in part",
        f"of {top} neurons whose highest values select a phone, the lowest select one in {both}; it is the same one in "
        f"{same:.0%} of those (ends paired at random: {chance:.0%})",
    )


def _outstanding(share: np.ndarray, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The phone that tells these frames most from all (largest term of the relative entropy), and its share.

    Args:
        share: [features, phones] of some frames of each feature.
        base: [phones] of all frames.
    """
    best = (share * np.log(np.maximum(share, 1e-12) / base)).argmax(1)
    return best, share[np.arange(len(best)), best]
