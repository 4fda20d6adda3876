"""How to train an SAE, whatever its architecture."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from freud.saes.architecture import require

Schedule = Literal["cosine", "linear", "constant"]
Precision = Literal["float32", "bfloat16"]
CHOICES = {"schedule": get_args(Schedule), "precision": get_args(Precision)}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to train, whatever the architecture.

    Attributes:
        steps: optimizer steps; None takes about 50 passes over the frames, between 1 and 50 million frames in all.
        batch_size: frames a step, over all processes.
        lr: peak learning rate of Adam; None takes 2e-4 / sqrt(d_sae / 16384) as Gao et al. 2024 scale it, times 8
            because runs here are short, and 3e-3 at most.
        schedule: how the learning rate falls to zero after the warm-up.
        warmup: share of the steps over which the learning rate rises.
        validation: share of the clips held out; no frame of them is trained on.
        largest_norm: frames whose norm is more than this many times the median are not trained on; None, or infinity,
            keeps them all.
        clip_norm: largest norm of the gradient.
        ema: the SAE that is written has the exponential moving average of the weights with this memory; None the last.
        precision: "bfloat16" runs the products under autocast; weights and optimizer stay float32.
        seed: of the initial weights.
        data_seed: of the split and of the order of frames.
    """

    steps: int | None = None
    batch_size: int = 2048
    lr: float | None = None
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    validation: float = 0.1
    largest_norm: float | None = 10.0
    clip_norm: float = 1.0
    ema: float | None = None
    precision: Precision = "float32"
    seed: int = 0
    data_seed: int = 0

    def checked(self, frames: int, d_sae: int) -> Options:
        """The same options with steps and lr filled in, or a FreudError that names the field."""
        require("batch_size", self.batch_size, self.batch_size >= 2, "at least 2 frames")
        steps = self.steps
        if steps is None:
            steps = math.ceil(min(max(50 * frames, 1_000_000), 50_000_000) / self.batch_size)
        lr = self.lr if self.lr is not None else min(1.6e-3 / math.sqrt(d_sae / 16384), 3e-3)
        require("steps", steps, steps >= 1, "at least 1")
        require("lr", lr, 0 < lr < math.inf, "a number above 0")
        require("warmup", self.warmup, 0 <= self.warmup < 1, "a share from 0 up to, not including, 1")
        require("largest_norm", self.largest_norm, self.largest_norm is None or self.largest_norm > 1, "more than 1")
        require("clip_norm", self.clip_norm, self.clip_norm > 0, "a number above 0")
        require("ema", self.ema, self.ema is None or 0 < self.ema < 1, "a share between 0 and 1")
        for name in ("seed", "data_seed"):
            require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name, choices in CHOICES.items():
            require(name, getattr(self, name), getattr(self, name) in choices, f"one of {', '.join(choices)}")
        largest_norm = None if self.largest_norm == math.inf else self.largest_norm
        return Options(**{**asdict(self), "steps": steps, "lr": lr, "largest_norm": largest_norm})
