"""Training SAEs: one (`train`), or many on one stream of frames (`sweep`).

The loop is the same for every architecture. It splits the clips, deals each batch to all runs that take it, writes
`training.jsonl`, and keeps one atomic checkpoint a run, from which the same command resumes to exactly the same
weights. A run in a sweep ends with the weights that it would have alone. Under torchrun each process takes a share of
the rows of every batch.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from freud import artifacts
from freud.activations import FrameSource, SiteActivations, StoredFrames, Stream, split_clips
from freud.errors import FreudError
from freud.models.devices import open_device
from freud.saes import parallel, trackers
from freud.saes.architecture import Architecture
from freud.saes.formats import load, save
from freud.saes.metrics import measure_all
from freud.saes.options import Options
from freud.saes.recipe import Run
from freud.saes.sae import SAE
from freud.saes.topk import TopK
from freud.saes.trackers import LOG, Trackers
from freud.saes.trainer import CHECKPOINT, Trainer

KIND = "train"
LOG_EVERY = 10  # steps
SAMPLE = 16_384  # frames that initialize the weights


def train(
    frames: SiteActivations | FrameSource,
    architecture: Architecture | None = None,
    out: Path | str = "sae",
    *,
    options: Options | None = None,
    tensorboard: bool = False,
    wandb: bool = False,
    trackio: bool = False,
    device: str | None = None,
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
        wandb: also log to Weights & Biases (extra `freud-audio[wandb]`).
        trackio: also log to trackio (extra `freud-audio[trackio]`).
        device: "cpu", "cuda", "cuda:1"; the first GPU where there is one, if not given.
        checkpoint_seconds: time between checkpoints; it does not change the result.
        progress: show a progress bar on a terminal.

    Raises:
        FreudError: a setting out of range, activations that are not finite, a training that diverges, or `out` holds
            something else.
        KeyboardInterrupt: Ctrl-C; a checkpoint has been written.
    """
    site = frames.origin["site"]
    run = Run(name="", site=site, architecture=architecture or TopK(), options=options or Options())
    return sweep(
        {site: frames}, [run], out,
        tensorboard=tensorboard, wandb=wandb, trackio=trackio, device=device,
        checkpoint_seconds=checkpoint_seconds, progress=progress,
    )[""]  # fmt: skip


class Frames(Protocol):
    """Frames by site: a store, or a dictionary."""

    def __getitem__(self, site: str, /) -> SiteActivations | FrameSource: ...


def sweep(
    frames: Frames,
    runs: Sequence[Run],
    out: Path | str,
    *,
    tensorboard: bool = False,
    wandb: bool = False,
    trackio: bool = False,
    device: str | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = True,
) -> dict[str, SAE]:
    """Train many SAEs, each to the folder `out`/NAME as `train` would, and return them by name.

    Runs of one site whose options agree in batch_size, data_seed, validation and largest_norm share every batch. Sites
    of `ModelFrames.of_sites` are trained side by side, so that the model runs once for all of them.

    Args:
        frames: a store of activations, or sources by site.
        runs: what to train; names differ.
        out: folder to write; finished runs in it are loaded, others are resumed.
        tensorboard: as in `train`, like all that follow.
        wandb: see `train`.
        trackio: see `train`.
        device: see `train`.
        checkpoint_seconds: see `train`.
        progress: see `train`.

    Raises:
        FreudError, KeyboardInterrupt: as in `train`.
    """
    chosen = [name for name, wanted in (("tensorboard", tensorboard), ("wandb", wandb), ("trackio", trackio)) if wanted]
    trackers.require(chosen)
    place = _device(device)
    with parallel.processes(place):
        return _sweep(frames, runs, Path(out), chosen, place, checkpoint_seconds, progress)


def _device(name: str | None) -> torch.device:
    if name is None:
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if torch.cuda.is_available() else "cpu"
    device = open_device(name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


@dataclass(frozen=True)
class _Data:
    """Frames that runs share: those they are trained on and those held out."""

    source: FrameSource
    held_out: FrameSource | None


@dataclass
class _Job:
    """One run: what it was told, where it goes and, unless it is finished already, its trainer."""

    run: Run
    data: _Data
    out: Path
    parameters: dict[str, Any]
    trainer: Trainer | None = None
    trackers: Trackers | None = None


def _sweep(
    frames: Frames,
    runs: Sequence[Run],
    out: Path,
    chosen: list[str],
    device: torch.device,
    checkpoint_seconds: float,
    progress: bool,
) -> dict[str, SAE]:
    groups: dict[tuple[Any, ...], list[_Job]] = {}
    data: dict[tuple[Any, ...], _Data] = {}
    for run in runs:
        options = run.options
        every = frames[run.site]
        every = StoredFrames(every) if isinstance(every, SiteActivations) else every
        run.architecture.check(every.width)
        options.checked(1, 1)
        split = (run.site, options.data_seed, options.validation)
        if split not in data:
            kept, held = split_clips(every.clips, options.validation, options.data_seed)
            data[split] = _Data(every.only(kept), every.only(held) if held else None)
        options = options.checked(data[split].source.frames, run.architecture.latents(every.width))
        parameters = {
            **every.origin,
            "data": every.fingerprint,
            **run.architecture.to_dict(),
            "options": asdict(options),
        }
        job = _Job(replace(run, options=options), data[split], out / run.name, parameters)
        groups.setdefault((*split, options.batch_size, options.largest_norm), []).append(job)

    unfinished = [
        [job for job in jobs if not parallel.on_first(lambda job=job: _finished(job))] for jobs in groups.values()
    ]
    unfinished = [jobs for jobs in unfinished if jobs]
    # Side by side where sites share passes of the model; from a store one after the other, to hold one pool at a time.
    alone = all(isinstance(jobs[0].data.source, StoredFrames) for jobs in unfinished)
    with _Interrupt() as interrupt, _Progress(unfinished, progress and parallel.rank() == 0) as bar:
        for together in [[jobs] for jobs in unfinished] if alone else [unfinished]:
            started = [_Group(jobs, device, chosen) for jobs in together]
            _run(started, interrupt, checkpoint_seconds, bar)
            for jobs in together:
                parallel.on_first(lambda jobs=jobs: _finish(jobs, device))
    return {job.run.name: load(job.out) for jobs in groups.values() for job in jobs}


def _finished(job: _Job) -> bool:
    """Whether a run is finished; if not, its folder is ready to be written."""
    if artifacts.begin(job.out, KIND, job.parameters) is None:
        return False
    artifacts.discard(job.out / CHECKPOINT.parent)  # left over if the run that finished was killed right then
    return True


class _Group:
    """Runs that share a stream of batches.

    Attributes:
        step: of the batch that comes next; a trainer that is ahead (its run was killed between two checkpoints of the
            group) waits until the others have caught up.
        metrics: of the last step that was logged, by run.
    """

    def __init__(self, jobs: list[_Job], device: torch.device, chosen: list[str]) -> None:
        self.jobs = jobs
        self.device = device
        options, source = jobs[0].run.options, jobs[0].data.source
        self.stream = Stream(source, options.batch_size, seed=options.data_seed)
        sample = None
        for job in jobs:
            resumed = (job.out / CHECKPOINT).is_file()
            if sample is None and not resumed:
                sample = _sample(self.stream, options.largest_norm)
            # What is resumed is overwritten whole, so anything of the right shape will do to begin with.
            start = torch.ones(1, source.width) if resumed or sample is None else sample
            training = job.run.architecture.start(start, job.run.options.seed)
            job.trainer = Trainer(training, job.run.options, job.out, job.parameters, device)
            if resumed:
                job.trainer.resume()
                self.stream.largest_norm = job.trainer.state.largest_norm
            else:
                job.trainer.state = job.trainer.state._replace(largest_norm=self.stream.largest_norm)
        behind = min((job.trainer for job in jobs if job.trainer), key=lambda trainer: trainer.step)
        self.step = behind.step
        self.steps = max(trainer.steps for trainer in self.trainers)
        self.batches = self.stream.from_position(behind.state.position)
        self.metrics: dict[str, dict[str, Any]] = {}
        self._since_log = (time.monotonic(), 0)
        if parallel.rank() == 0:
            for job, trainer in zip(jobs, self.trainers, strict=True):
                job.trackers = Trackers(job.out, trainer.step, job.parameters, chosen)

    @property
    def trainers(self) -> list[Trainer]:
        return [job.trainer for job in self.jobs if job.trainer]

    def advance(self) -> None:
        """Take the next batch, and give it to all runs that are not finished."""
        batch = next(self.batches)
        x = batch.frames[parallel.rank() :: parallel.world_size()].to(self.device, non_blocking=True)
        due = [job for job in self.jobs if job.trainer and job.trainer.step == self.step < job.trainer.steps]
        losses = [job.trainer.advance(x, batch.next) for job in due if job.trainer]
        self.step += 1
        since, frames = self._since_log[0], self._since_log[1] + len(batch.frames)
        self._since_log = since, frames
        for job, loss in zip(due, losses, strict=True):
            trainer = job.trainer
            if trainer and (self.step % LOG_EVERY == 0 or self.step == trainer.steps):
                trainer.check()
                now = time.monotonic()
                metrics = trainer.metrics(x, loss) | {"frames_per_second": round(frames / (now - since))}
                self.metrics[job.run.name] = metrics
                self._since_log = now, 0
                if job.trackers:
                    job.trackers.log(metrics)


def _sample(stream: Stream, largest_norm: float | None) -> Tensor:
    """Frames that initialize the weights; sets the norm above which frames are left out."""
    sample = stream.sample(SAMPLE)
    if not torch.isfinite(sample).all():
        raise FreudError(f"{stream.source.origin['site']}: activations are not finite; check the model and the audio")
    if largest_norm is not None:
        norms = sample.norm(dim=1)
        stream.largest_norm = float(largest_norm * norms.median())
        sample = sample[norms <= stream.largest_norm]
    return sample


def _run(groups: list[_Group], interrupt: _Interrupt, checkpoint_seconds: float, bar: _Progress) -> None:
    """Train all runs of these groups, side by side, to their last step."""
    last = time.monotonic()
    bar.skip(sum(group.step for group in groups))
    while unfinished := [group for group in groups if group.step < group.steps]:
        step = min(group.step for group in unfinished)
        for group in unfinished:
            if group.step == step:
                group.advance()
                bar.show(group)
        stop, due = interrupt.wanted, time.monotonic() - last > checkpoint_seconds
        if parallel.world_size() > 1:  # all processes, or none
            if step % LOG_EVERY:
                continue
            stop, due = parallel.any_of(torch.tensor([stop, due], device=groups[0].device)).tolist()
        if stop or due:
            parallel.on_first(lambda: [trainer.checkpoint() for group in groups for trainer in group.trainers] and None)
            last = time.monotonic()
        if stop:
            raise KeyboardInterrupt


class _Interrupt:
    """Ctrl-C asks for a stop at the end of a step, which can be resumed; a second one stops at once."""

    def __init__(self) -> None:
        self.wanted = False

    def __enter__(self) -> _Interrupt:
        # Whoever has a handler of their own, or runs this in a thread, keeps what they have.
        mine = threading.current_thread() is threading.main_thread()
        self._before = signal.getsignal(signal.SIGINT) if mine else None
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: object) -> None:
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.default_int_handler)


class _Progress:
    """One live line over all groups: FVU, L0, dead latents, frames a second, time left."""

    def __init__(self, groups: list[list[_Job]], shown: bool) -> None:
        self.runs = sum(map(len, groups))
        total = sum(max(job.run.options.steps or 0 for job in jobs) for jobs in groups)
        self.bar = tqdm(total=total, unit="step", desc="train", disable=None if shown else True)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def skip(self, steps: int) -> None:
        """Steps made before an interruption, which say nothing of the time left."""
        if not self.bar.disable:
            self.bar.initial += steps
            self.bar.update(steps)

    def show(self, group: _Group) -> None:
        self.bar.update()
        if not group.metrics or self.bar.disable:
            return
        every = list(group.metrics.values())
        line = {name: _range([metrics[name] for metrics in every]) for name in ("fvu", "l0", "dead")}
        line["frames/s"] = str(every[-1]["frames_per_second"])
        self.bar.set_postfix(({"saes": len(every)} if self.runs > 1 else {}) | line, refresh=False)


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low}..{high}"


def _finish(jobs: list[_Job], device: torch.device) -> None:
    """Write the SAEs of runs that have made their last step, and how good they are, in one pass over the data."""
    source, held_out = jobs[0].data.source, jobs[0].data.held_out
    saes = [job.trainer.finish() for job in jobs if job.trainer]
    measured = {
        "train": _measure(saes, source.ordered(), device),
        "validation": _measure(saes, held_out.ordered(), device) if held_out else [None] * len(saes),
    }
    problems = {**source.problems, **(held_out.problems if held_out else {})}
    for number, (job, sae) in enumerate(zip(jobs, saes, strict=True)):
        assert job.trainer is not None
        sae.metadata = {
            **source.origin,
            "training": {
                **{name: job.parameters[name] for name in ("architecture", "options", "data")},
                "corpus": source.corpus,
            },
        }
        results = {
            "clips": {"train": len(source.clips), "validation": len(held_out.clips) if held_out else 0},
            "steps": job.trainer.step,
            "bad_batches": int(job.trainer.bad_batches),
            **{part: found[number] for part, found in measured.items()},
            "problems": [{"clip": clip, "reason": reason} for clip, reason in problems.items()],
        }
        if job.trackers:
            job.trackers.close()
        files = [*save(sae, job.out), LOG]
        artifacts.finish(job.out, KIND, job.parameters, files, results=results)
        artifacts.discard(job.out / CHECKPOINT.parent)
        job.trainer = None


def _measure(saes: Sequence[SAE], blocks: Iterator[Tensor], device: torch.device) -> Sequence[dict[str, float] | None]:
    """How well each SAE reconstructs these blocks; None if there are no frames, as none of the clips can be read."""
    first = next(blocks, None)
    if first is None:
        return [None] * len(saes)
    found = measure_all([sae.to(device) for sae in saes], chain([first], blocks))
    for sae in saes:
        sae.to("cpu")
    return [{name: round(value, 6) for name, value in asdict(result).items()} for result, _ in found]
