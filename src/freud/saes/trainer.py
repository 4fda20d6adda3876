"""One SAE in training: its weights, optimizer, counters and checkpoint.

`Trainer.advance` makes a step and does not wait for the device: a batch that is not finite is skipped by the optimizer
itself and counted on the device, and `metrics` reads the counters when there is something to log.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from freud import artifacts
from freud.activations import Position
from freud.errors import DamagedFileError, FreudError
from freud.saes import parallel
from freud.saes.architecture import Loss, Training
from freud.saes.optimizer import Optimizer
from freud.saes.options import Options
from freud.saes.replay import Replayed
from freud.saes.sae import SAE

CHECKPOINT = Path("checkpoint") / "state.safetensors"
MOST_BAD_BATCHES = 20  # in a row


class State(NamedTuple):
    """Where a training stands, beside its tensors."""

    step: int
    position: Position  # of the batch that comes next
    largest_norm: float  # of the frames trained on
    parameters: str  # fingerprint of what the run was told


class Trainer:
    """An SAE in training.

    Args:
        training: its weights; they move to `device`.
        options: with steps and lr filled in.
        folder: where its checkpoint is.
        parameters: what identifies the run.
        device: where it is trained.
    """

    def __init__(
        self, training: Training, options: Options, folder: Path, parameters: dict[str, Any], device: torch.device
    ) -> None:
        self.training = training.to(device)
        self.options = options
        self.path = folder / CHECKPOINT
        self.device = device
        self.steps = options.steps or 0
        self.state = State(0, Position(), math.inf, artifacts.fingerprint(parameters))
        self.bad_batches = torch.zeros((), dtype=torch.int64, device=device)
        self.bad_in_a_row = torch.zeros((), dtype=torch.int64, device=device)
        self.weights = dict(training.named_parameters())
        self.optimizer = Optimizer(self.training, options.clip_norm)
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()} if options.ema else {}
        self._step = Replayed(self._make_step)

    @property
    def step(self) -> int:
        """Steps made so far."""
        return self.state.step

    def learning_rate(self) -> float:
        """The rate for the step about to be made."""
        warmup = max(1, round(self.options.warmup * self.steps))
        peak = self.options.lr or 0.0
        if self.step < warmup:
            return peak * (self.step + 1) / warmup
        done = (self.step - warmup) / max(1, self.steps - warmup)
        match self.options.schedule:
            case "cosine":
                return peak * 0.5 * (1 + math.cos(math.pi * done))
            case "linear":
                return peak * (1 - done)
            case "constant":
                return peak

    def advance(self, x: Tensor, following: Position) -> Loss:
        """One step on this process's rows x [frames, d_in] of a batch; `following` is the position of the next one."""
        self.rate = self.learning_rate()
        self.optimizer.set_rate(self.rate)
        with self._precision():
            kind = self.training.expect(x)
        loss, self.norm = self._step(x, kind)
        every = self.training.resample_every
        if every and (self.step + 1) % every == 0 and self.step + 1 <= self.steps // 2:
            self._resample(x)
        self.state = self.state._replace(step=self.step + 1, position=following)
        return loss

    def _make_step(self, x: Tensor) -> tuple[Loss, Tensor]:
        """All of a step that is done on the device: the loss, and the norm of the gradient []."""
        with self._precision():
            loss = self.training.loss(x, self.step / self.steps)
        self.optimizer.zero_grad()
        loss.total.backward()
        loss.total = loss.total.detach()
        parallel.sum_(weight.grad for weight in self.weights.values() if weight.grad is not None)
        norm, bad = self.optimizer.step()
        self.bad_batches += bad
        self.bad_in_a_row.add_(1).mul_(bad)
        for name, average in self.average.items():
            average.lerp_(self.weights[name].detach(), 1 - (self.options.ema or 0.0))
        return loss, norm

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.precision == "bfloat16")

    def _resample(self, x: Tensor) -> None:
        """Give dead latents another start, and the optimizer no memory of them."""
        fresh = self.training.resample(x, torch.Generator().manual_seed(self.options.seed + self.step))
        for name, weight in self.weights.items():
            if name != "b_dec":
                for key in ("exp_avg", "exp_avg_sq"):
                    self.optimizer.state(weight)[key].masked_fill_(fresh[:, None] if name == "W_dec" else fresh, 0)

    def check(self) -> None:
        """Stop a training that has gone wrong.

        Raises:
            FreudError: too many batches in a row gave a gradient that is not finite.
        """
        in_a_row = int(self.bad_in_a_row)
        if in_a_row > MOST_BAD_BATCHES:
            raise FreudError(
                f"training: {in_a_row} batches in a row were not finite at step {self.step}; "
                "lower --lr or check the activations"
            )

    @torch.no_grad()
    def metrics(self, x: Tensor, loss: Loss) -> dict[str, Any]:
        """What to log after a step on x [frames, d_in]. The FVU is that of this batch, about its own mean."""
        x = self.training.prepare(x)
        share = len(x) / parallel.total_frames(x)
        return {
            "step": self.step,
            "loss": _digits(parallel.total(loss.total)),
            "fvu": _digits(parallel.total(loss.reconstruction) / parallel.variance(x)),
            "l0": _digits(parallel.total(loss.l0 * share)),
            "dead": _digits((self.training.since_fired > self.training.dead_after).float().mean()),
            "dead_after_frames": self.training.dead_after,
            "lr": _digits(self.rate),
            "gradient_norm": _digits(self.norm),
            "bad_batches": int(self.bad_batches),
            **{name: _digits(parallel.total(value)) for name, value in loss.parts.items()},
        }

    @torch.no_grad()
    def finish(self) -> SAE:
        """The SAE for inference, on the CPU."""
        for name, average in self.average.items():
            self.weights[name].copy_(average)
        if self.average:
            self.training.after_step()
        return self.training.to("cpu").finish()

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"training.{name}": tensor for name, tensor in self.training.state_dict().items()}
        for name, weight in self.weights.items():
            for key, value in self.optimizer.state(weight).items():
                tensors[f"optimizer.{name}.{key}"] = value
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.items()}
        return tensors | {"bad_batches": self.bad_batches, "bad_in_a_row": self.bad_in_a_row}

    def checkpoint(self) -> None:
        """Write everything needed to go on, in one atomic file."""
        with artifacts.writing(self.path):
            self.path.parent.mkdir(exist_ok=True)
        with artifacts.replacing(self.path) as temporary:
            tensors = {name: tensor.contiguous() for name, tensor in self._tensors().items()}
            save_file(tensors, temporary, {"freud": json.dumps(self.state._asdict())})

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            DamagedFileError: the file cannot be read, or is of another run.
        """
        try:
            with safe_open(self.path, framework="pt") as file:  # pyright: ignore[reportArgumentType]
                state = _state(json.loads(file.metadata()["freud"]), self.steps)
                if state.parameters != self.state.parameters:
                    raise ValueError("it is of another run")
                for name, tensor in self._tensors().items():
                    found = file.get_tensor(name)
                    if (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
                        raise ValueError(f"{name} is {found.dtype} {list(found.shape)}")
                    tensor.data.copy_(found)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DamagedFileError(f"{self.path}: damaged ({error}); delete it to train from the start") from None
        self.state = state


def _state(found: dict[str, Any], steps: int) -> State:
    """What a checkpoint says of itself.

    Raises:
        ValueError, TypeError, KeyError: it makes no sense.
    """
    epoch, pool, batch = found["position"]
    state = State(found["step"], Position(epoch, pool, batch), float(found["largest_norm"]), found["parameters"])
    if not all(type(number) is int and number >= 0 for number in (state.step, *state.position)) or state.step > steps:
        raise ValueError(f"step {state.step} of {steps}, position {list(state.position)}")
    return state


def _digits(value: Tensor | float) -> float:
    return float(f"{float(value):.5g}")
