"""Which phones do single neurons and SAE latents of nano detect? Prints a table, a row a phone.

    python recipes/nano/phones.py

For each phone the best feature is chosen by its AUC on the frames of the demo clips of split "train" and scored on
those of split "test" (neither was trained on by the model or the SAE). The control does the same with the phones of
every clip shifted by half of its length, which keeps their rhythm and their number and breaks their place. A frame has
the phone that its middle lies in. Either sign of a neuron counts, as chosen on the first split.
"""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

import freud
from freud import discovery

SITES = [f"encoder.blocks.{block}.mlp.1" for block in range(4)]
SAE_SITE = "encoder.blocks.2"
FEWEST = 30  # frames of a phone in each split


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 of each column of values [frames, features], ties sharing their mean rank."""
    ranks = np.empty(values.shape, np.float64)
    for column in range(values.shape[1]):
        _, inverse, counts = np.unique(values[:, column], return_inverse=True, return_counts=True)
        ranks[:, column] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def auc(ranks: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of every feature for frames `positive` [frames] bool against the others."""
    n = positive.sum()
    return (ranks[positive].sum(0) - n * (n + 1) / 2) / (n * (len(positive) - n))


def labels(segments: list, frames: int, shifted: bool) -> np.ndarray:
    """The phone of every frame of a clip; "" where there is none."""
    found = np.full(frames, "", object)
    for segment in segments:
        found[int(np.ceil(50 * segment.start - 0.5)) : int(np.ceil(50 * segment.end - 0.5))] = segment.label
    return np.roll(found, frames // 2) if shifted else found


class Best(NamedTuple):
    """The feature chosen for a phone: its site and number, sign, AUC when chosen and when scored, scored frames."""

    feature: str
    sign: int
    chosen_at: float
    auc: float
    frames: int


def best_features(ranks: dict[str, dict[str, np.ndarray]], phones: dict[str, np.ndarray]) -> dict[str, Best]:
    """For each phone the feature with the most extreme AUC on split "train", and its AUC on split "test".

    Args:
        ranks: by site, then split: [frames, features].
        phones: by split: the phone of every frame.
    """
    best: dict[str, Best] = {}
    for phone in sorted(set(phones["train"]) - {""}):
        wanted = {split: labels == phone for split, labels in phones.items()}
        if min(mask.sum() for mask in wanted.values()) < FEWEST:
            continue
        for site, by_split in ranks.items():
            distance = auc(by_split["train"], wanted["train"]) - 0.5
            feature = int(np.abs(distance).argmax())
            sign = 1 if distance[feature] >= 0 else -1
            chosen_at = 0.5 + abs(distance[feature])
            if phone not in best or chosen_at > best[phone].chosen_at:
                scored = auc(by_split["test"][:, [feature]], wanted["test"])[0]
                held_out = 0.5 + sign * (scored - 0.5)
                best[phone] = Best(f"{site} {feature}", sign, chosen_at, held_out, int(wanted["test"].sum()))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sae", type=Path, default=Path(freud.__file__).parent / "bundled" / "sae")
    arguments = parser.parse_args()
    model = freud.models.load("nano")
    corpus = freud.corpus.read(discovery.demo_folder())
    with tempfile.TemporaryDirectory() as work:
        acts = freud.collect(model, corpus, [*SITES, SAE_SITE], Path(work) / "acts", progress=False)
        ranks: dict[str, dict[str, np.ndarray]] = {}
        phones: dict[bool, dict[str, np.ndarray]] = {False: {}, True: {}}
        for split in ("train", "test"):
            spoken = [clip for clip in corpus if clip.transcript and clip.split == split]
            for shifted in phones:
                phones[shifted][split] = np.concatenate(
                    [
                        labels(corpus.segments(clip.id, "phones"), len(acts[SAE_SITE].clip(clip.id)), shifted)
                        for clip in spoken
                    ]
                )
            for site in SITES:
                values = torch.cat([acts[site].clip(clip.id) for clip in spoken])
                ranks.setdefault(site, {})[split] = midranks(values.numpy())
            if arguments.sae.is_dir():
                sae = freud.saes.load(arguments.sae)
                sae.check_site(acts[SAE_SITE].origin, acts[SAE_SITE].width)
                values = torch.cat([sae.encode(acts[SAE_SITE].clip(clip.id)) for clip in spoken])
                ranks.setdefault(f"{SAE_SITE} latent", {})[split] = midranks(values.numpy())
    best, control = best_features(ranks, phones[False]), best_features(ranks, phones[True])
    print(f"{'phone':<6}{'AUC':>7}{'control':>9}{'frames':>8}  best feature")
    for phone, found in sorted(best.items(), key=lambda item: -item[1].auc):
        sign = "" if found.sign > 0 else " (negative)"
        print(f"{phone:<6}{found.auc:>7.3f}{control[phone].auc:>9.3f}{found.frames:>8}  {found.feature}{sign}")
    good = sum(found.auc >= 0.9 for found in best.values())
    mean = np.mean([control[phone].auc for phone in best])
    print(f"{good} of {len(best)} phones at 0.9 or more; mean control {mean:.3f}")


if __name__ == "__main__":
    main()
