"""Train nano. Stop it whenever, and repeat the command to go on from the last checkpoint.

    torchrun --nproc-per-node 2 recipes/nano/train.py WORK

One process a core: they exchange gradients once a step, which other work on the machine disturbs less than
threads. On a GPU, one process: `train.py WORK --device cuda --workers 12`, where workers prepare the batches.

WORK/speech holds the shards (see synthesize.py), which may still be growing; WORK/checkpoint.pt is written
every 500 steps and WORK/training.jsonl is the log. The rate is constant after a warm-up and falls to zero
over the last `--cooldown` steps, so a run can be made longer at any time before those.

The first `--guided` steps have two more losses, whose weights fall linearly to zero: a frame-level phone
classifier on the encoder's output (its head is thrown away), and a reward for half of the cross-attention
heads looking at the word being written. Both only shorten the search for the alignment.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from data import IGNORE, PHONES, Batch, LogMel, Noise, Speech, make_batch
from model import WINDOW, build_model, build_processor, decode, encode, load_start
from optimizer import Average, Optimizer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from transformers import WhisperForConditionalGeneration

SAVE_EVERY = 500


@dataclass(frozen=True)
class Plan:
    """What happens at which step."""

    steps: int
    cooldown: int
    guided: int
    rate: float
    batch_seconds: float
    warmup: int = 200

    def learning_rate(self, step: int) -> float:
        return self.rate * min(1.0, (step + 1) / self.warmup, (self.steps - step) / self.cooldown)

    def guidance(self, step: int) -> float:
        return 1 - step / self.guided if step < self.guided else 0.0

    def batch(self, speech: Speech, noise: Noise, step: int) -> Batch:
        """Short windows at first; in the cooldown one in four is the full window, filled as it comes."""
        share, seed = self.batch_seconds / dist.get_world_size(), (step, dist.get_rank())
        if step >= self.steps - self.cooldown and step % 4 == 1:
            return make_batch(speech, noise, seed, round(share / WINDOW), WINDOW, WINDOW, 1.0)
        lengths = (3, 4, 6, 10) if step >= self.guided else (2, 3) if step < 800 else (2, 3, 4, 6)
        seconds = lengths[step // 2 % len(lengths)]
        return make_batch(speech, noise, seed, int(share / seconds), seconds, seconds, 0.5 * seconds)


class Trainee(nn.Module):
    """The model and the head that is thrown away."""

    def __init__(self, whisper: WhisperForConditionalGeneration, dtype: torch.dtype) -> None:
        super().__init__()
        self.whisper, self.dtype = whisper, dtype
        self.phone_head = nn.Linear(self.whisper.config.d_model, len(PHONES))

    def forward(self, mel: Tensor, batch: Batch, guidance: float) -> dict[str, Tensor]:
        """Losses by name; `loss` is their weighted sum."""
        with torch.autocast(mel.device.type, self.dtype, enabled=self.dtype != torch.float32):
            states = encode(self.whisper, mel)
            out = decode(self.whisper, states, batch.tokens, with_attention=guidance > 0)
            phones = self.phone_head(states) if guidance > 0 else None
        text = F.cross_entropy(out.logits.float().flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORE)
        if phones is None:
            return {"loss": text, "text": text.detach()}
        phone = F.cross_entropy(phones.float().flatten(0, 1), batch.phones.flatten())
        attention = attention_loss(out.attention, batch)
        total = text + guidance * (phone + 0.3 * attention)
        return {
            "loss": total,
            "text": text.detach(),
            "phone": phone.detach(),
            "attention": attention.detach(),
        }


def attention_loss(attention: Tensor, batch: Batch) -> Tensor:
    """Minus the log of the attention [batch, layers, heads, tokens, positions] paid to where each label is
    spoken, in the mean over the first half of the heads.
    """
    attention = attention[:, :, : attention.shape[2] // 2].float().mean(2)
    position = torch.arange(attention.shape[-1], device=attention.device) + 0.5
    spoken = ~batch.times.isnan()
    near = (position - batch.times[..., None]).abs() <= batch.reach[..., None]  # False where times is NaN
    mass = (attention * near[:, None]).sum(-1)
    return -(mass + 1e-3).log().mean(1)[spoken].mean()


class Training:
    """Everything that a checkpoint holds."""

    def __init__(self, plan: Plan, start: Path | None, dtype: torch.dtype, device: torch.device) -> None:
        torch.manual_seed(0)
        self.plan, self.step, self.shards = plan, 0, 0
        self.trainee = Trainee(build_model() if start is None else load_start(start), dtype).to(device)
        self.optimizer = Optimizer(self.trainee)
        self.average = Average(self.trainee.whisper)

    def save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "shards": self.shards,
            "trainee": self.trainee.state_dict(),
            "average": self.average.weights,
            "optimizer": self.optimizer.state_dict(),
        }
        partial = path.with_suffix(".part")
        torch.save(state, partial)
        partial.rename(path)

    def load(self, path: Path, device: torch.device) -> None:
        state = torch.load(path, weights_only=True, map_location=device)
        self.step, self.shards, self.average.weights = state["step"], state["shards"], state["average"]
        self.trainee.load_state_dict(state["trainee"])
        self.optimizer.load_state_dict(state["optimizer"])

    def update(self, mel: Tensor, batch: Batch) -> dict[str, Tensor]:
        losses = self.trainee(mel, batch, self.plan.guidance(self.step))
        losses["loss"].backward()
        losses["norm"] = self.optimizer.step(self.plan.learning_rate(self.step))
        self.step += 1
        self.average.update(self.trainee.whisper, self.step)
        return losses


class Batches(Dataset):
    """The batch of each step and how many shards it was drawn from, which are counted again at each checkpoint.

    Resuming repeats the same batches: exactly, once synthesis is over.
    """

    def __init__(self, speech: Path, plan: Plan, start: int, shards: int) -> None:
        self.folder, self.plan, self.noise = speech, plan, Noise()
        self.block, self.speech = start // SAVE_EVERY, Speech(speech, shards or None)

    def __getitem__(self, step: int) -> tuple[Batch, int]:
        if step // SAVE_EVERY != self.block:
            self.block, self.speech = step // SAVE_EVERY, Speech(self.folder)
        return self.plan.batch(self.speech, self.noise, step), self.speech.shards


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the folder for data and checkpoints")
    parser.add_argument("--steps", type=int, default=9600)
    parser.add_argument("--cooldown", type=int, default=2200)
    parser.add_argument("--guided", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch-seconds", type=float, default=80)
    parser.add_argument("--weights", type=Path, help="a model folder or a checkpoint to begin with")
    parser.add_argument("--float32", action="store_true", help="for processors whose products in bfloat16 are slower")
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that prepare batches")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if "RANK" in os.environ:  # started by torchrun
        dist.init_process_group("gloo")
    else:
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    rank, processes = dist.get_rank(), dist.get_world_size()
    plan = Plan(args.steps, args.cooldown, args.guided, args.rate, args.batch_seconds)
    training = Training(plan, args.weights, torch.float32 if args.float32 else torch.bfloat16, args.device)
    checkpoint = args.work / "checkpoint.pt"
    if checkpoint.exists():
        training.load(checkpoint, args.device)
    mel = LogMel(build_processor().feature_extractor.mel_filters, args.device)
    log = (args.work / "training.jsonl").open("a")
    start, began, done = training.step, time.monotonic(), 0
    loader = DataLoader(
        Batches(args.work / "speech", plan, start, training.shards),
        batch_size=None,
        sampler=range(start, plan.steps),
        num_workers=args.workers,
        pin_memory=args.device.type == "cuda",
    )
    for made, shards in loader:
        training.shards = shards  # what the next steps draw from
        if rank == 0 and training.step > start and training.step % SAVE_EVERY == 0:
            training.save(checkpoint)
        batch = made.to(args.device)
        generator = torch.Generator().manual_seed(training.step * processes + rank)
        features = mel(batch.samples, generator)
        losses = training.update(features, batch)
        done += 1
        if rank == 0 and training.step % 20 == 0:
            row = {"step": training.step, **{k: round(v.item(), 4) for k, v in losses.items()}}
            row |= {"window": features.shape[-1] / 100, "shards": shards, "rate": plan.learning_rate(training.step)}
            row |= {"s/step": round((time.monotonic() - began) / done, 4)}
            log.write(json.dumps(row) + "\n")
            log.flush()
            began, done = time.monotonic(), 0
    if rank == 0:
        training.save(checkpoint)


if __name__ == "__main__":
    main()
