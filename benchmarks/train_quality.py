"""FVU of TopK SAEs trained by this package, SAELens and sparsify: same frames in the same order, same k, same steps.

    PEERS/bin/python benchmarks/train_quality.py --out FOLDER [--activations STORE] [--only NAME]

Block 3 of the Whisper base encoder in ../shared on the LibriSpeech clips there; STORE is a store of them, collected
first if not given. A tenth of the clips is held out. Frames with over ten times the median norm are left out for
everyone, and all get frames of unit mean square. Each trainer runs with its own defaults and, as the peers' are made
for far longer runs, again with higher learning rates, warm-up and decay. What is finished is kept in FOLDER and not run
again; --only runs one contender.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import freud
from common import HERE, record, speech
from freud.activations import SiteActivations, StoredFrames, Stream, split_clips
from peers import steps as peers

SITE = "encoder.blocks.3"
K, EXPANSION, BATCH, STEPS = 32, 8, 2048, 150
LARGEST_NORM = 10.0  # times the median
RATES = (3e-3, 1e-2)
MODEL = HERE.parents[1] / "shared" / "models" / "whisper-base-encoder"


def contenders() -> dict[str, Callable[[Tensor, int], peers.Contender]]:
    """What makes each contender of a sample of frames and a number of latents, by name."""
    found: dict[str, Callable[[Tensor, int], peers.Contender]] = {}

    def add(name: str, make: Callable[..., peers.Contender], **options: object) -> None:
        found[name] = lambda sample, d_sae: make(sample, d_sae, K, **options)

    add("freud", partial(peers.freud, steps=STEPS))
    for lr in RATES:
        add(f"freud lr {lr:g}", partial(peers.freud, steps=STEPS), lr=lr)
    add("sparsify", peers.sparsify, optimizer="signum")
    for lr in RATES:
        add(f"sparsify adam lr {lr:g}", peers.sparsify, optimizer="adam", lr=lr, steps=STEPS)
    add("saelens", partial(peers.saelens, steps=STEPS))
    for lr in RATES:
        add(f"saelens lr {lr:g}", partial(peers.saelens, steps=STEPS), lr=lr)
    return found


class Frames:
    """The frames that everyone is trained and measured on, of unit mean square."""

    def __init__(self, site: SiteActivations) -> None:
        source = StoredFrames(site)
        kept, held = split_clips(source.clips, 0.1, 0)
        self.source = source.only(kept)
        train = torch.cat(list(self.source.ordered())).float()
        test = torch.cat(list(source.only(held).ordered())).float()
        self.most = LARGEST_NORM * float(train.norm(dim=1).median())
        train, test = (x[x.norm(dim=1) <= self.most] for x in (train, test))
        self.scale = train.square().mean().rsqrt()
        self.train, self.test = train * self.scale, test * self.scale


@torch.no_grad()
def fvu(contender: peers.Contender, x: Tensor) -> float:
    """FVU about the mean of all of x [frames, d_in]."""
    squared = sum(float((part - contender.reconstruct(part)).double().square().sum()) for part in x.split(2048))
    return squared / float((x - x.mean(0)).double().square().sum())


@torch.no_grad()
def dead_share(contender: peers.Contender, x: Tensor) -> float:
    """Share of the latents of ours that fire on none of the frames x."""
    assert contender.training is not None
    sae = contender.training.finish()
    fired = torch.zeros(sae.d_sae, dtype=torch.bool)
    for part in x.split(2048):
        fired[sae.to_sparse(part).latent] = True
    return 1 - float(fired.float().mean())


def run(make: Callable[[Tensor, int], peers.Contender], frames: Frames) -> dict[str, object]:
    """Train a contender, and measure it on the clips held out and on those it was trained on."""
    sample = frames.train[:: max(1, len(frames.train) // 16_384)]
    contender = make(sample, EXPANSION * sample.shape[1])
    batches = Stream(frames.source, BATCH, seed=0, largest_norm=frames.most).from_position()
    for _ in range(STEPS):
        contender.step(next(batches).frames * frames.scale)
    found: dict[str, object] = {
        "settings": contender.settings,
        "FVU, held-out clips": round(fvu(contender, frames.test), 5),
        "FVU, training clips": round(fvu(contender, frames.train), 5),
    }
    if contender.training is not None:
        found["dead, training clips"] = round(dead_share(contender, frames.train), 5)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--activations", type=Path)
    every = contenders()
    parser.add_argument("--only", choices=every)
    options = parser.parse_args()
    store = options.activations or options.out / "activations"
    if options.activations is None:
        freud.collect(str(MODEL), freud.corpus.read(speech()), [SITE], store)
    options.out.mkdir(parents=True, exist_ok=True)
    frames = Frames(freud.activations.read(store)[SITE])
    for name in [options.only] if options.only else every:
        path = options.out / f"{name}.json"
        if not path.is_file():
            path.write_text(json.dumps(run(every[name], frames)))
        print(name, path.read_text(), flush=True)
    facts = {"site": SITE, "frames": len(frames.train), "frames held out": len(frames.test), "steps": STEPS}
    facts |= {"batch": BATCH, "d_in": frames.train.shape[1], "d_sae": EXPANSION * frames.train.shape[1], "k": K}
    paths = {name: options.out / f"{name}.json" for name in every}
    record("train-quality", {**facts, **{name: json.loads(p.read_text()) for name, p in paths.items() if p.is_file()}})


if __name__ == "__main__":
    main()
