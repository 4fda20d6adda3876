"""Training one SAE on a stream of frames.

The loop is the same for every architecture. It splits the clips, warms up and decays the learning rate, clips
gradients, skips and counts batches that are not finite, writes `training.jsonl`, and keeps one atomic checkpoint from
which the same command resumes to exactly the same weights.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from freud import artifacts
from freud.activations import ModelFrames, SiteActivations, StoredFrames, Stream, split_clips
from freud.errors import DamagedFileError, FreudError
from freud.saes.architecture import Architecture, Training
from freud.saes.formats import load, save
from freud.saes.metrics import reconstruction
from freud.saes.sae import SAE
from freud.saes.topk import TopK

KIND = "train"
LOG = "training.jsonl"
CHECKPOINT = Path("checkpoint") / "state.safetensors"
SAMPLE = 16_384  # frames that initialise the weights
MOST_BAD_BATCHES = 20  # in a row


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to train, whatever the architecture.

    Attributes:
        steps: optimiser steps; None takes about 50 passes over the frames, between 1 and 50 million frames in all.
        batch_size: frames a step.
        lr: peak learning rate of Adam; None takes 2e-4 / sqrt(d_sae / 16384) as Gao et al. 2024 scale it, times 4
            because runs here are short.
        schedule: how the learning rate falls to zero after the warm-up.
        warmup: share of the steps over which the learning rate rises.
        validation: share of the clips held out; no frame of them is trained on.
        clip_norm: largest norm of the gradient.
        precision: "bfloat16" runs the products under autocast; weights and optimiser stay float32.
        seed: of the split, the order of frames and the initial weights.
    """

    steps: int | None = None
    batch_size: int = 2048
    lr: float | None = None
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.05
    validation: float = 0.1
    clip_norm: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0

    def checked(self, frames: int, d_sae: int) -> Options:
        """The same options with every None replaced, or a FreudError that names the field."""
        steps = self.steps
        if steps is None:
            steps = math.ceil(min(max(50 * frames, 1_000_000), 50_000_000) / self.batch_size)
        lr = self.lr if self.lr is not None else 8e-4 / math.sqrt(d_sae / 16384)
        for name, value, good, expected in (
            ("steps", steps, steps >= 1, "at least 1"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "at least 1"),
            ("lr", lr, 0 < lr < math.inf, "a number above 0"),
            ("warmup", self.warmup, 0 <= self.warmup < 1, "a share from 0 up to, not including, 1"),
            ("clip_norm", self.clip_norm, self.clip_norm > 0, "a number above 0"),
            ("seed", self.seed, self.seed >= 0, "0 or more"),
        ):
            if not good:
                raise FreudError(f"{name} {value}: expected {expected}")
        return Options(**{**asdict(self), "steps": steps, "lr": lr})


def train(
    frames: SiteActivations | ModelFrames,
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
    d_sae = architecture.latents(frames.width)
    source, held_out, clips = _split(frames, options)
    options = options.checked(source.frames, d_sae)
    parameters = {
        **frames.origin,
        "data": _data_fingerprint(frames),
        **architecture.to_dict(),
        "options": asdict(options),
    }
    out = Path(out)
    if artifacts.begin(out, KIND, parameters):
        return load(out)

    stream = Stream(source, options.batch_size, seed=options.seed)
    training = architecture.start(_sample(source, options.seed), options.seed)
    run = _Run(training, options, out)
    run.resume()
    logs = _loggers(out, run.step, tensorboard)
    steps = options.steps or 0
    last_checkpoint = time.monotonic()
    with tqdm(total=steps, initial=run.step, unit="step", desc="train", disable=None if progress else True) as bar:
        try:
            for batch in stream.from_position(run.position):
                if run.step == steps:
                    break
                metrics = run.advance(batch.frames, tuple(batch.next))
                bar.update()
                if run.step % 10 == 0 or run.step == steps:
                    metrics["frames_per_second"] = round(options.batch_size * (bar.format_dict["rate"] or 0))
                    for log in logs:
                        log(metrics)
                    bar.set_postfix(fvu=metrics["fvu"], l0=metrics["l0"], dead=metrics["dead"])
                if time.monotonic() - last_checkpoint > checkpoint_seconds:
                    run.checkpoint()
                    last_checkpoint = time.monotonic()
        except KeyboardInterrupt:
            run.checkpoint()
            raise
    return _finish(out, parameters, run, source, held_out, clips)


def _split(
    frames: SiteActivations | ModelFrames, options: Options
) -> tuple[StoredFrames | ModelFrames, StoredFrames | ModelFrames | None, dict[str, int]]:
    if isinstance(frames, SiteActivations):
        ids = [frames.store.clip_ids[i] for i in sorted(set(frames.store.pieces.clip.tolist()))]
        kept, held = split_clips(ids, options.validation, options.seed)
        source: StoredFrames | ModelFrames = StoredFrames(frames, kept)
        held_out: StoredFrames | ModelFrames | None = StoredFrames(frames, held) if held else None
    else:
        ids = sorted({clip.id for clip, _ in frames.windows})
        kept, held = split_clips(ids, options.validation, options.seed)
        source = frames.only(kept)
        held_out = frames.only(held) if held else None
    return source, held_out, {"train": len(kept), "validation": len(held)}


def _data_fingerprint(frames: SiteActivations | ModelFrames) -> str:
    if isinstance(frames, SiteActivations):
        return frames.store.manifest["fingerprint"]
    return frames.corpus.fingerprint


def _sample(source: StoredFrames | ModelFrames, seed: int) -> Tensor:
    pool = source.pool(seed, 0, 0)
    stride = max(1, len(pool) // SAMPLE)
    sample = pool[::stride]
    if not torch.isfinite(sample).all():
        raise FreudError(f"{source.origin['site']}: activations are not finite; check the model and the audio")
    return sample


class _Run:
    """A training in progress: weights, optimiser, position in the stream, and their checkpoint."""

    def __init__(self, training: Training, options: Options, out: Path) -> None:
        self.training = training
        self.options = options
        self.path = out / CHECKPOINT
        self.step = 0
        self.position: tuple[int, ...] = (0, 0, 0)
        self.bad_batches = 0
        self.bad_in_a_row = 0
        self.weights = dict(training.named_parameters())
        self.optimizer = torch.optim.Adam(self.weights.values(), lr=options.lr or 0.0, fused=True)
        # The optimiser makes its state at the first step; making it here lets a checkpoint be loaded in place.
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

    def advance(self, x: Tensor, following: tuple[int, ...]) -> dict[str, Any]:
        """One step on a batch [frames, d_in]; returns what to log.

        Raises:
            FreudError: too many batches in a row gave a loss or gradient that is not finite.
        """
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.precision == "bfloat16"):
            loss = self.training.loss(x, self.step / (self.options.steps or 1))
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        self.training.before_step()
        norm = torch.nn.utils.clip_grad_norm_(self.weights.values(), self.options.clip_norm)
        if torch.isfinite(norm) and torch.isfinite(loss.total):
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
        variance = (x - x.mean(0)).square().sum() * self.training.scale**2
        return {
            "step": self.step,
            "loss": float(f"{loss.total.item():.6g}"),
            "fvu": round(float(loss.reconstruction / variance), 5),
            "l0": round(float(loss.l0), 2),
            "dead": round(float((self.training.since_fired > self.dead_after).float().mean()), 5),
            "dead_after_frames": self.dead_after,
            "lr": float(f"{rate:.4g}"),
            "gradient_norm": float(f"{norm.item():.4g}"),
            "bad_batches": self.bad_batches,
            **{name: float(f"{value.item():.6g}") for name, value in loss.parts.items()},
        }

    @property
    def dead_after(self) -> int:
        """N of the dead share in the log."""
        return getattr(getattr(self.training, "settings", None), "dead_after", 200_000)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"training.{name}": tensor for name, tensor in self.training.state_dict().items()}
        for name, weight in self.weights.items():
            for key, value in self.optimizer.state[weight].items():
                tensors[f"optimizer.{name}.{key}"] = value
        return tensors

    def checkpoint(self) -> None:
        """Write everything needed to go on, in one atomic file."""
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
        self.position = tuple(state["position"])
        self.bad_batches = state["bad_batches"]


def _loggers(out: Path, step: int, tensorboard: bool) -> list[Callable[[dict[str, Any]], None]]:
    """The JSON Lines log, cut back to `step` when resuming, and TensorBoard if asked for."""
    path = out / LOG
    kept = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            # A run that was killed may have left half a line, always after the checkpoint.
            if line.endswith("}") and json.loads(line)["step"] <= step:
                kept.append(line + "\n")
    with artifacts.replacing(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")

    def write_line(metrics: dict[str, Any]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")

    if not tensorboard:
        return [write_line]
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise FreudError("tensorboard: not installed; run `pip install 'freud-audio[tensorboard]'`") from None
    writer = SummaryWriter(out / "tensorboard", purge_step=step)

    def write_events(metrics: dict[str, Any]) -> None:
        for name, value in metrics.items():
            if name != "step":
                writer.add_scalar(name, value, metrics["step"])
        writer.flush()

    return [write_line, write_events]


def _finish(
    out: Path,
    parameters: dict[str, Any],
    run: _Run,
    source: StoredFrames | ModelFrames,
    held_out: StoredFrames | ModelFrames | None,
    clips: dict[str, int],
) -> SAE:
    sae = run.training.finish()
    sae.metadata = {**source.origin, "training": {k: parameters[k] for k in ("architecture", "options", "data")}}

    def measure(blocks: Iterable[Tensor]) -> dict[str, float]:
        return {name: round(value, 6) for name, value in asdict(reconstruction(sae, blocks)).items()}

    results = {
        "clips": clips,
        "steps": run.step,
        "bad_batches": run.bad_batches,
        "train": measure(source.ordered()),
        "validation": measure(held_out.ordered()) if held_out else None,
    }
    files = [*save(sae, out), LOG]
    artifacts.finish(out, KIND, parameters, files, results=results)
    artifacts.discard(out / CHECKPOINT.parent)
    return sae
