"""Training one SAE on a stream of frames.

The loop is the same for every architecture. It splits the clips, warms up and decays the learning rate, clips
gradients, skips and counts batches that are not finite, writes `training.jsonl`, and keeps one atomic checkpoint from
which the same command resumes to exactly the same weights.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from freud import artifacts
from freud.activations import FrameSource, Position, SiteActivations, StoredFrames, Stream, split_clips
from freud.errors import DamagedFileError, FreudError
from freud.saes.architecture import Architecture, Loss, Training
from freud.saes.formats import load, save
from freud.saes.metrics import reconstruction
from freud.saes.options import Options
from freud.saes.sae import SAE
from freud.saes.topk import TopK

KIND = "train"
LOG = "training.jsonl"
CHECKPOINT = Path("checkpoint") / "state.safetensors"
LOG_EVERY = 10  # steps
SAMPLE = 16_384  # frames that initialize the weights
MOST_BAD_BATCHES = 20  # in a row


def train(
    frames: SiteActivations | FrameSource,
    architecture: Architecture | None = None,
    out: Path | str = "sae",
    *,
    options: Options | None = None,
    tensorboard: bool = False,
    checkpoint_seconds: float = 60.0,
    progress: bool = True,
) -> SAE:
    """Train an SAE and write it, in SAELens's layout, with a manifest, to the folder `out`.

    Args:
        frames: one site of a store (`activations[site]`), or `ModelFrames` to run the model on the fly.
        architecture: which SAE; TopK() if not given.
        out: folder to write; an unfinished one is resumed, a finished one with the same parameters is loaded.
        options: how to train.
        tensorboard: also write TensorBoard events beside the log (extra `freud-audio[tensorboard]`).
        checkpoint_seconds: time between checkpoints; it does not change the result.
        progress: show a progress bar on a terminal.

    Raises:
        FreudError: a setting out of range, activations that are not finite, a training that diverges, or `out` holds
            something else.
    """
    architecture = architecture or TopK()
    options = options or Options()
    architecture.check(frames.width)
    summary_writer = _summary_writer() if tensorboard else None
    every = StoredFrames(frames) if isinstance(frames, SiteActivations) else frames
    kept, held = split_clips(every.clips, options.validation, options.seed)
    source, held_out = every.only(kept), every.only(held) if held else None
    options = options.checked(source.frames, architecture.latents(frames.width))
    parameters = {
        **every.origin,
        "data": every.fingerprint,
        **architecture.to_dict(),
        "options": asdict(options),
    }
    out = Path(out)
    if artifacts.begin(out, KIND, parameters):
        artifacts.discard(out / CHECKPOINT.parent)  # left over if the run that finished was killed right then
        return load(out)

    stream = Stream(source, options.batch_size, seed=options.seed)
    training = architecture.start(_sample(source, options.seed), options.seed)
    run = _Run(training, options, out)
    run.resume()
    logs = [_json_lines(out / LOG, run.step)]
    if summary_writer:
        logs.append(_tensorboard(summary_writer, out / "tensorboard", run.step))
    steps = options.steps or 0
    batches = stream.from_position(run.position)
    last_log = last_checkpoint = time.monotonic()
    frames_since_log = 0
    with tqdm(total=steps, initial=run.step, unit="step", desc="train", disable=None if progress else True) as bar:
        while run.step < steps:
            batch = next(batches)
            loss = run.advance(batch.frames, batch.next)
            frames_since_log += len(batch.frames)
            now = time.monotonic()
            bar.update()
            if run.step % LOG_EVERY == 0 or run.step == steps:
                metrics = run.metrics(batch.frames, loss)
                metrics["frames_per_second"] = round(frames_since_log / (now - last_log))
                last_log, frames_since_log = now, 0
                for log in logs:
                    log(metrics)
                bar.set_postfix(fvu=metrics["fvu"], l0=metrics["l0"], dead=metrics["dead"])
            # No checkpoint on an interrupt: it may come in the middle of a step, whose state nobody could resume.
            if now - last_checkpoint > checkpoint_seconds and run.step < steps:
                run.checkpoint()
                last_checkpoint = now
    return _finish(out, parameters, run, source, held_out)


def _sample(source: FrameSource, seed: int) -> Tensor:
    pools = (source.pool(seed, 0, number) for number in range(source.pools()))
    pool = next((pool for pool in pools if len(pool)), torch.empty(0, source.width))
    if not len(pool):
        raise FreudError(f"{source.origin['site']}: none of the {len(source.clips)} clips can be read")
    sample = pool[:: max(1, len(pool) // SAMPLE)].clone()
    if not torch.isfinite(sample).all():
        raise FreudError(f"{source.origin['site']}: activations are not finite; check the model and the audio")
    return sample


class _Run:
    """A training in progress: weights, optimizer, position in the stream, and their checkpoint."""

    def __init__(self, training: Training, options: Options, out: Path) -> None:
        self.training = training
        self.options = options
        self.path = out / CHECKPOINT
        self.step = 0
        self.position = Position()
        self.bad_batches = 0
        self.bad_in_a_row = 0
        self.weights = dict(training.named_parameters())
        self.optimizer = torch.optim.Adam(self.weights.values(), lr=options.lr or 0.0, fused=True)
        # The optimizer makes its state at the first step; making it here lets a checkpoint be loaded in place.
        for weight in self.weights.values():
            self.optimizer.state[weight] = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(weight),
                "exp_avg_sq": torch.zeros_like(weight),
            }

    def learning_rate(self) -> float:
        """The rate for the step about to be made."""
        steps = self.options.steps or 1
        warmup = max(1, round(self.options.warmup * steps))
        peak = self.options.lr or 0.0
        if self.step < warmup:
            return peak * (self.step + 1) / warmup
        done = (self.step - warmup) / max(1, steps - warmup)
        match self.options.schedule:
            case "cosine":
                return peak * 0.5 * (1 + math.cos(math.pi * done))
            case "linear":
                return peak * (1 - done)
            case "constant":
                return peak

    def advance(self, x: Tensor, following: Position) -> Loss:
        """One step on a batch x [frames, d_in]; `following` is the position of the next one.

        Raises:
            FreudError: too many batches in a row gave a loss or gradient that is not finite.
        """
        self.rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision == "bfloat16"):
            loss = self.training.loss(x, self.step / (self.options.steps or 1))
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        self.training.before_step()
        self.norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.options.clip_norm)
        if torch.isfinite(self.norm) and torch.isfinite(loss.total):
            self.optimizer.step()
            self.training.after_step()
            self.bad_in_a_row = 0
        else:
            self.bad_batches += 1
            self.bad_in_a_row += 1
            if self.bad_in_a_row > MOST_BAD_BATCHES:
                raise FreudError(
                    f"training: {self.bad_in_a_row} batches in a row were not finite at step {self.step}; "
                    "lower --lr or check the activations"
                )
        self.step += 1
        self.position = following
        return loss

    def metrics(self, x: Tensor, loss: Loss) -> dict[str, Any]:
        """What to log after a step on x [frames, d_in]. The FVU is that of this batch, about its own mean."""
        variance = (x - x.mean(0)).square().sum() * self.training.scale**2
        return {
            "step": self.step,
            "loss": _digits(loss.total.detach()),
            "fvu": _digits(loss.reconstruction / variance),
            "l0": _digits(loss.l0),
            "dead": _digits((self.training.since_fired > self.training.dead_after).float().mean()),
            "dead_after_frames": self.training.dead_after,
            "lr": _digits(self.rate),
            "gradient_norm": _digits(self.norm),
            "bad_batches": self.bad_batches,
            **{name: _digits(value) for name, value in loss.parts.items()},
        }

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"training.{name}": tensor for name, tensor in self.training.state_dict().items()}
        for name, weight in self.weights.items():
            for key, value in self.optimizer.state[weight].items():
                tensors[f"optimizer.{name}.{key}"] = value
        return tensors

    def checkpoint(self) -> None:
        """Write everything needed to go on, in one atomic file."""
        with artifacts.writing(self.path):
            self.path.parent.mkdir(exist_ok=True)
        state = {"step": self.step, "position": list(self.position), "bad_batches": self.bad_batches}
        with artifacts.replacing(self.path) as temporary:
            save_file(self._tensors(), temporary, {"freud": json.dumps(state)})

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        if not self.path.is_file():
            return
        try:
            with safe_open(self.path, framework="pt") as file:  # pyright: ignore[reportArgumentType]
                state = json.loads(file.metadata()["freud"])
                for name, tensor in self._tensors().items():
                    tensor.data.copy_(file.get_tensor(name))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise DamagedFileError(f"{self.path}: damaged ({error}); delete it to train from the start") from None
        self.step = state["step"]
        self.position = Position(*state["position"])
        self.bad_batches = state["bad_batches"]


def _digits(value: Tensor | float) -> float:
    return float(f"{float(value):.5g}")


Log = Callable[[dict[str, Any]], None]


def _json_lines(path: Path, step: int) -> Log:
    """Append to a JSON Lines log, first cut back to `step`, where the training goes on."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    kept = []
    for line in lines:
        with contextlib.suppress(ValueError, KeyError):  # a run that was killed may have left half a line
            if json.loads(line)["step"] <= step:
                kept.append(f"{line}\n")
    with artifacts.replacing(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")

    def log(metrics: dict[str, Any]) -> None:
        with artifacts.writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")

    return log


def _summary_writer() -> type:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise FreudError("tensorboard: not installed; run `pip install 'freud-audio[tensorboard]'`") from None
    return SummaryWriter


def _tensorboard(summary_writer: type, folder: Path, step: int) -> Log:
    """Write TensorBoard events; what an interrupted run wrote after `step` is hidden."""
    writer = summary_writer(folder, purge_step=step + 1)

    def log(metrics: dict[str, Any]) -> None:
        for name, value in metrics.items():
            if name != "step":
                writer.add_scalar(name, value, metrics["step"])
        writer.flush()

    return log


def _finish(
    out: Path,
    parameters: dict[str, Any],
    run: _Run,
    source: FrameSource,
    held_out: FrameSource | None,
) -> SAE:
    sae = run.training.finish()
    sae.metadata = {
        **source.origin,
        "training": {k: parameters[k] for k in ("architecture", "options", "data")},
    }

    def measure(blocks: Iterator[Tensor]) -> dict[str, float] | None:
        first = next(blocks, None)
        if first is None:  # none of these clips can be read
            return None
        blocks = chain([first], blocks)
        return {name: round(value, 6) for name, value in asdict(reconstruction(sae, blocks)).items()}

    results = {
        "clips": {"train": len(source.clips), "validation": len(held_out.clips) if held_out else 0},
        "steps": run.step,
        "bad_batches": run.bad_batches,
        "train": measure(source.ordered()),
        "validation": measure(held_out.ordered()) if held_out else None,
        "problems": [
            {"clip": clip, "reason": reason}
            for clip, reason in {**source.problems, **(held_out.problems if held_out else {})}.items()
        ],
    }
    files = [*save(sae, out), LOG]
    artifacts.finish(out, KIND, parameters, files, results=results)
    artifacts.discard(out / CHECKPOINT.parent)
    return sae
