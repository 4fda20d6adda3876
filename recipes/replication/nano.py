"""Phones of the bundled model's latents, on the bundled clips, whose tiers are exact.

    python recipes/replication/nano.py WORK

Prints, for the same held-out frames: how often the strongest latent stands for the frame's phone, how often any active
latent does, and how often a linear probe on the activations is right. Clips are split into halves, by clip.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import groups
import numpy as np

import freud
from freud.discovery import demo_folder
from freud.naming.examples import ExampleBank, split
from freud.naming.labels import LabelBank

SITE = "encoder.blocks.2"


def measure(work: Path, seed: int) -> dict[str, float]:
    """The numbers for one split."""
    corpus = freud.corpus.read(demo_folder())
    sae = Path(freud.__file__).parent / "bundled" / "sae"
    store = freud.collect("nano", corpus, [SITE], work / "acts", progress=False)
    latents = freud.index(store[SITE], sae, work / "latents", corpus=corpus, progress=False)
    neurons = freud.index(store[SITE], None, work / "neurons", corpus=corpus, progress=False)
    bank = LabelBank(corpus, kinds=("phone",))
    pieces = store.pieces
    frames = np.bincount(pieces.clip, pieces.rows, len(corpus)).astype(np.int64)
    spoken = np.array([clip.transcript is not None for clip in corpus])
    sides = split(corpus, frames * spoken, "clip", seed=seed)
    examples = ExampleBank(bank, _pieces(pieces), sides)
    x, dense, phone = [], [], []
    for side in (sides.fit, sides.held):
        clips = np.flatnonzero(side)
        truth = groups.labels(examples, clips)
        some = truth.any(1)
        phone.append(truth[some].argmax(1))
        x.append(groups.matrix(latents, clips)[some])
        dense.append(groups.matrix(neurons, clips)[some])
    return groups.strongest(tuple(x), tuple(phone), tuple(dense))


def _pieces(pieces):
    from freud.naming.blocks import Pieces

    return Pieces(pieces.clip, pieces.first_frame, pieces.rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--splits", type=int, default=5)
    arguments = parser.parse_args()
    found = [measure(arguments.work, seed) for seed in range(arguments.splits)]
    columns = {name: [each[name] for each in found] for name in found[0]}
    summary = {n: {"mean": round(float(np.mean(v)), 4), "sd": round(float(np.std(v)), 4)} for n, v in columns.items()}
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
