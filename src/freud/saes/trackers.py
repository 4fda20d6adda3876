"""Where the metrics of a training go: a JSON Lines file always, and the trackers that were asked for.

Trackers are extras: each is imported when it is first wanted, and one that is missing is one clear line.
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from freud import artifacts
from freud.errors import FreudError

LOG = "training.jsonl"
PROJECT = "freud"
MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb", "trackio": "trackio"}

Log = Callable[[dict[str, Any]], None]


def require(names: Sequence[str]) -> None:
    """Import the trackers called `names`.

    Raises:
        FreudError: there is no such tracker, or it is not installed.
    """
    for name in names:
        _module(name)


def _module(name: str) -> ModuleType:
    if name not in MODULES:
        raise FreudError(f"tracker {name!r}: expected one of {', '.join(MODULES)}")
    try:
        return importlib.import_module(MODULES[name])
    except ImportError:
        raise FreudError(f"{name}: not installed; run `pip install 'freud-audio[{name}]'`") from None


class Trackers:
    """The logs of one run. `log` takes a dictionary with the step and numbers; `close` when it has ended."""

    def __init__(self, folder: Path, step: int, parameters: dict[str, Any], names: Sequence[str]) -> None:
        """Open the logs of the run in `folder`, which goes on after `step`."""
        self._logs = [_json_lines(folder / LOG, step)]
        self._closing = contextlib.ExitStack()
        openers = {"tensorboard": _tensorboard, "wandb": _wandb, "trackio": _trackio}
        for name in names:
            log, close = openers[name](_module(name), folder, step, parameters)
            self._logs.append(log)
            self._closing.callback(close)

    def log(self, metrics: dict[str, Any]) -> None:
        for log in self._logs:
            log(metrics)

    def close(self) -> None:
        self._closing.close()


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


Opened = tuple[Log, Callable[[], None]]


def _tensorboard(module: ModuleType, folder: Path, step: int, parameters: dict[str, Any]) -> Opened:
    """Write TensorBoard events; what an interrupted run wrote after `step` is hidden."""
    writer = module.SummaryWriter(folder / "tensorboard", purge_step=step + 1)

    def log(metrics: dict[str, Any]) -> None:
        for name, value in metrics.items():
            if name != "step":
                writer.add_scalar(name, value, metrics["step"])
        writer.flush()

    return log, writer.close


def _wandb(module: ModuleType, folder: Path, step: int, parameters: dict[str, Any]) -> Opened:
    """Log to Weights & Biases, under an id that the same run has again when it is resumed."""
    run = module.init(
        project=PROJECT,
        name=folder.name,
        id=artifacts.fingerprint([str(folder.resolve()), parameters]),
        config=parameters,
        dir=folder,
        resume="allow",
        reinit="create_new",  # the runs of a sweep are open side by side
    )
    return _stepwise(run.log), run.finish


def _trackio(module: ModuleType, folder: Path, step: int, parameters: dict[str, Any]) -> Opened:
    """Log to trackio, under a name that the same run has again when it is resumed."""
    name = f"{folder.name}-{artifacts.fingerprint([str(folder.resolve()), parameters])}"
    run = module.init(project=PROJECT, name=name, config=parameters, resume="allow")
    return _stepwise(run.log), run.finish


def _stepwise(log: Callable[..., None]) -> Log:
    """A log that takes the step beside the numbers."""
    return lambda metrics: log({name: value for name, value in metrics.items() if name != "step"}, step=metrics["step"])
