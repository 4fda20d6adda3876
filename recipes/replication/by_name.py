"""The sections of the replication page that rest on `freud name`: half of the speakers to choose on, half to score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from page import Point, Report, verdict
from phones import LATENTS
from sites import COORDINATES, NEURONS

import freud
from freud import naming
from freud.corpus import Corpus
from freud.naming import Names

STRUCTURE = {
    "boundary:word onset": "a word begins",
    "boundary:speech start": "speech begins",
    "silence:pause before speech": "pause before speech",
    "silence:pause after speech": "pause after speech",
    "silence:silence": "silence",
    "place:clip start": "the recording begins",
    "place:clip end": "the recording ends",
}
POLYSEMANTIC = 0.1  # share of neurons
PRESENT = 0.2  # F1 corrected for chance from which a feature of structure counts as found

Found = dict[tuple[str, str], Names]


def named(work: Path, clips: Corpus) -> Found:
    """Names of every prepared index of speech: phones for neurons and coordinates, everything for latents."""
    found = {}
    folders = [*sorted((work / "latents").glob("*")), *sorted((work / "neurons").glob("*"))]
    for folder in folders:
        if not (folder / "manifest.json").is_file():
            continue
        latents = folder.parent.name == "latents"
        index = freud.features.read(folder)
        kinds = None if latents else ("phone",)
        out = work / "names" / folder.name / folder.parent.name
        sound = work / "names" / "sound"
        options = {"corpus": clips, "kinds": kinds, "by": "speaker", "controls": latents, "sound": sound}
        found[folder.name, folder.parent.name] = naming.name(index, out, **options)  # type: ignore[arg-type]
    return found


def phones(names: Names, by: str) -> list[dict[str, Any]]:
    """The feature chosen for each phone."""
    rows = [row for row in names.table("best").to_pylist() if row["rank"] == 1 and row["by"] == by]
    return [row for row in rows if row["kind"] == "phone"]


def basis_of(site: str, basis: str) -> str:
    """What the features are called on the page."""
    return LATENTS if basis == "latents" else NEURONS if ".mlp." in site else COORDINATES


def by_site(report: Report, found: Found) -> None:
    """The best feature of each site by AUC and by F1."""
    rows = []
    for (site, basis), names in found.items():
        for by in ("auc", "f1"):
            chosen = phones(names, by)
            if chosen:
                rows.append({"site": site, "features": basis_of(site, basis), "chosen by": by, **means(chosen)})
    facts = next(iter(found.values())).artifact.manifest["split"]
    report.say("## The same with `freud name`")
    report.say(
        f"Below, features are chosen on {', '.join(facts['fit_speakers'])} and scored on "
        f"{', '.join(facts['held_out_speakers'])}. Three speakers are few to choose on: compare the table above. "
        "Choosing by F1 finds other features than choosing by AUC."
    )
    report.table("names-by-site", rows, hide=("phones",))


def means(chosen: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over phones of the features chosen for them."""
    shown = {
        "auc": "mean AUC",
        "f1": "mean F1",
        "average_precision": "mean AP",
        "null_auc": "null AUC",
        "null": "null F1",
    }
    return {
        "phones": len(chosen), "AUC >= 0.9": sum(row["auc"] >= 0.9 for row in chosen),
        **{name: float(np.mean([row[column] for row in chosen])) for column, name in shown.items()},
        "N frames": chosen[0]["frames"], "split": "speakers",
    }  # fmt: skip


def levels(report: Report, found: Found) -> Point:
    """Polysemanticity over activation levels."""
    rows = []
    for (site, basis), names in found.items():
        known = [row for row in names.table("names").to_pylist() if row["top_label"]]
        if len(known) < 20:
            continue
        rows.append(
            {
                "site": site, "features": basis_of(site, basis), "named": len(known),
                "polysemous": sum(row["polysemous"] for row in known) / len(known),
                "phone of the top decile, its share there": float(np.mean([row["top_share"] for row in known])),
                "phone of the middle, its share there": float(np.mean([row["middle_share"] for row in known])),
                "N frames": known[0]["frames"], "split": "speakers",
            }
        )  # fmt: skip
    report.say("## Polysemanticity over activation levels")
    report.say(
        "A feature is polysemous here if another phone stands out in deciles 4 to 6 of its active frames than in the "
        "top decile, and is more common there than at the top by two standard errors. A neuron's active frames are the "
        "highest 20 % of its side."
    )
    report.table("levels", rows)
    share = {
        basis: float(np.mean([row["polysemous"] for row in rows if row["features"] == basis]))
        for basis in (NEURONS, COORDINATES, LATENTS)
    }
    return Point(
        "Neurons are polysemantic: other phones at middle activations than at the highest",
        verdict(share[NEURONS] > POLYSEMANTIC),
        "mean over sites: " + ", ".join(f"{value:.0%} of {basis}" for basis, value in share.items()),
    )


def against_controls(report: Report, found: Found) -> None:
    """Latents against coordinates, PCA, a frozen random decoder and a probe."""
    rows = []
    for (site, basis), names in found.items():
        if basis != "latents":
            continue
        controls = [r for r in names.table("controls").to_pylist() if r["rank"] == 1 and r["kind"] == "phone"]
        for by in ("auc", "f1"):
            sets = {LATENTS: phones(names, by)}
            for row in controls:
                if row["by"] == by:
                    sets.setdefault(f"control: {row['control']}", []).append(row)
            rows += [{"site": site, "features": name, "chosen by": by, **means(some)} for name, some in sets.items()]
    report.say("## SAE latents against the controls of `freud name`")
    report.say(
        "The frozen random decoder has the latents' number and L0; only its encoder is trained. The probe is a ridge "
        "regression on the same three speakers."
    )
    report.table("controls", rows, hide=("phones",))


def structure(report: Report, found: Found) -> Point:
    """Words, pauses, the start of speech and of the recording: the best latent of each site."""
    rows = [
        {
            "what": STRUCTURE[row["label"]], "site": site, "latent": row["feature"], "F1": row["f1"],
            "low": row["f1_low"], "high": row["f1_high"], "AUC": row["auc"], "agreement": row["agreement"],
            "lag ms": row["lag_ms"], "null F1": row["null"], "q": row["q"], "N frames": row["frames"],
            "positives": row["positives"], "clips": row["clips"], "split": "speakers",
        }
        for (site, basis), names in found.items() if basis == "latents"
        for row in names.table("best").to_pylist()
        if row["rank"] == 1 and row["by"] == "f1" and row["label"] in STRUCTURE
    ]  # fmt: skip
    rows.sort(key=lambda row: list(STRUCTURE.values()).index(row["what"]))
    best = {row["what"]: row for row in sorted(rows, key=lambda row: row["agreement"])}  # the last one stays
    known = [what for what in STRUCTURE.values() if what in best]
    report.say("## Structure: words, pauses, the start of speech and of the recording")
    report.say(
        "The best latent of each SAE, chosen by F1 and scored on the other speakers; agreement is F1 corrected for "
        "chance. What is not listed has too few frames on one side (20, in two clips)."
    )
    report.table("structure", rows)
    return Point(
        "Features of structure: word boundary, pause, start of speech, start of recording",
        verdict(all(best[what]["agreement"] >= PRESENT for what in known)),
        "; ".join(f"{what}: F1 {best[what]['F1']:.2f} (null {best[what]['null F1']:.2f})" for what in known),
    )
