"""Train nano's decoder alone: it hears well before it spells well. Stop it whenever, and repeat the command.

    torchrun --nproc-per-node 2 recipes/nano/spell.py WORK --weights src/freud/bundled/nano

The encoder stands still, so what it makes of a batch can be used again: each process keeps a pool of encoded batches,
of which one is made anew every few steps. WORK/spelled.pt is the checkpoint, which export.py and `train.py --weights`
take; WORK/spelling.jsonl is the log.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from data import IGNORE, Batch, LogMel, Noise, Speech, make_batch
from model import build_processor, decode, encode
from optimizer import Average, Optimizer
from torch import Tensor
from torch.nn import functional as F
from train import load_start
from transformers import WhisperForConditionalGeneration

LENGTHS = (3, 4, 4, 6)  # seconds of the windows
SECONDS = 120  # of audio in a batch, a process
SAVE_EVERY = 200


@dataclass(frozen=True)
class Encoded:
    """What the decoder sees of a batch, states [batch, positions, width] in bfloat16, and what it is to write."""

    states: Tensor
    batch: Batch


class Pool:
    """Encoded batches, each used about `reuse` times before a new one takes its place."""

    def __init__(self, model: WhisperForConditionalGeneration, speech: Path, size: int, reuse: int, seed: int) -> None:
        self.model, self.folder, self.size, self.reuse = model, speech, size, reuse
        self.speech, self.noise = Speech(speech), Noise()
        self.mel = LogMel(build_processor().feature_extractor.mel_filters)
        self.rng = np.random.default_rng(seed)
        self.made, self.drawn = 0, 0
        self.pool: list[Encoded] = []

    @torch.no_grad()
    def encoded(self) -> Encoded:
        seconds = LENGTHS[self.made % len(LENGTHS)]
        seed = (int(self.rng.integers(2**31)), self.made)
        self.made += 1
        if self.made % 100 == 0:
            self.speech = Speech(self.folder)  # synthesis may go on
        batch = make_batch(self.speech, self.noise, seed, SECONDS // seconds, seconds, seconds, 0.6 * seconds)
        mel = self.mel(batch.samples, torch.Generator().manual_seed(seed[0]))
        with torch.autocast("cpu", torch.bfloat16):
            return Encoded(encode(self.model, mel).bfloat16(), batch)

    def draw(self) -> Encoded:
        """One at random; while the pool is young every third draw is new."""
        self.drawn += 1
        if len(self.pool) < self.size:
            if self.drawn % 3 == 1:
                self.pool.append(self.encoded())
                return self.pool[-1]
        elif self.drawn % self.reuse == 0:
            self.pool[self.made % self.size] = self.encoded()
        return self.pool[self.rng.integers(len(self.pool))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the folder for data and checkpoints")
    parser.add_argument("--weights", type=Path, required=True, help="a model folder, or a checkpoint of train.py")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--cooldown", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--pool", type=int, default=300)
    parser.add_argument("--reuse", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    model = load_start(args.weights)
    model.model.encoder.requires_grad_(False)
    optimizer, average, step = Optimizer(model), Average(model), 0
    path = args.work / "spelled.pt"
    if path.exists():
        state = torch.load(path, weights_only=True)
        step = state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.weights = state["average"]
    pool = Pool(model, args.work / "speech", args.pool, args.reuse, seed=1000 * rank + step)
    log = (args.work / "spelling.jsonl").open("a")
    began, losses = time.monotonic(), []
    while step < args.steps:
        drawn = pool.draw()
        with torch.autocast("cpu", torch.bfloat16):
            logits = decode(model, drawn.states, drawn.batch.tokens).logits
        loss = F.cross_entropy(logits.float().flatten(0, 1), drawn.batch.labels.flatten(), ignore_index=IGNORE)
        loss.backward()
        rate = args.rate * min(1.0, (step + 1) / 100, (args.steps - step) / args.cooldown)
        optimizer.step(rate)
        losses.append(loss.item())
        step += 1
        average.update(model, step)
        if rank == 0 and step % 20 == 0:
            row = {"step": step, "text": round(sum(losses) / len(losses), 4), "rate": rate, "made": pool.made}
            row |= {"shards": pool.speech.shards, "s/step": round((time.monotonic() - began) / len(losses), 3)}
            log.write(json.dumps(row) + "\n")
            log.flush()
            began, losses = time.monotonic(), []
        if rank == 0 and (step % SAVE_EVERY == 0 or step == args.steps):
            state = {"step": step, "model": model.state_dict(), "average": average.weights}
            torch.save(state | {"optimizer": optimizer.state_dict()}, path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)


if __name__ == "__main__":
    main()
