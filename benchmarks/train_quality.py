"""FVU of TopK SAEs trained by this package, SAELens and sparsify: same frames in the same order, same k, same steps.

    PEERS/bin/python benchmarks/train_quality.py [--activations STORE] [--steps 300]

Block 3 of the Whisper base encoder in ../shared on the LibriSpeech clips there; STORE is a store of them, collected
first if not given. A tenth of the clips is held out. All get frames of unit mean square. Each trainer runs with its own
defaults and, as these are made for far longer runs, again with a learning rate of 1e-3, warm-up and decay where it has
them; the better of the two counts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from torch import Tensor

import freud
from common import HERE, record, speech
from freud.activations import StoredFrames, Stream, split_clips
from peers import steps as peers

SITE = "encoder.blocks.3"
K, EXPANSION, BATCH = 32, 8, 2048
MODEL = HERE.parents[1] / "shared" / "models" / "whisper-base-encoder"


@torch.no_grad()
def measured(contender: peers.Contender, x: Tensor) -> float:
    """FVU about the mean of all of x [frames, d_in], held-out frames in unit mean square."""
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--activations", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    steps: int = arguments.steps
    with tempfile.TemporaryDirectory(prefix="freud-bench-") as temporary:
        store = arguments.activations
        if store is None:
            store = Path(temporary) / "acts"
            freud.collect(str(MODEL), freud.corpus.read(speech()), [SITE], store)
        source = StoredFrames(freud.activations.read(store)[SITE])
        kept, held = split_clips(source.clips, 0.1, 0)
        train, test = source.only(kept), torch.cat(list(source.only(held).ordered())).float()
        everything = torch.cat(list(train.ordered())).float()
        scale = everything.square().mean().rsqrt()
        test, everything = test * scale, everything * scale
        d_in = train.width
        d_sae = EXPANSION * d_in
        sample = everything[:: max(1, len(everything) // 16_384)]
        every = {
            "freud float32": peers.freud(sample, d_sae, K, steps),
            "freud bfloat16": peers.freud(sample, d_sae, K, steps, precision="bfloat16"),
            "sparsify default": peers.sparsify(sample, d_sae, K, optimizer="signum"),
            "sparsify tuned": peers.sparsify(sample, d_sae, K, optimizer="adam", lr=1e-3, steps=steps),
            "saelens default": peers.saelens(sample, d_sae, K, steps),
            "saelens tuned": peers.saelens(sample, d_sae, K, steps, lr=1e-3),
        }
        results: dict[str, object] = {"site": SITE, "frames": len(everything), "held-out frames": len(test)}
        results |= {"steps": steps, "batch": BATCH, "d_in": d_in, "d_sae": d_sae, "k": K}
        for name, contender in every.items():
            batches = Stream(train, BATCH, seed=0).from_position()
            for _ in range(steps):
                contender.step(next(batches).frames * scale)
            results[f"{name}: FVU on held-out clips"] = round(measured(contender, test), 5)
            results[f"{name}: FVU on training clips"] = round(measured(contender, everything), 5)
            if contender.training is not None:
                results[f"{name}: dead on training clips (target <= 0.02)"] = dead_share(contender, everything)
            print(name, {key: value for key, value in results.items() if key.startswith(name)}, flush=True)
        results["settings"] = {name: contender.settings for name, contender in every.items()}
        record("train-quality", results)


if __name__ == "__main__":
    main()
