"""Trackers get what the log gets, and one that is missing is one clear line before anything is written."""

from __future__ import annotations

import json
import struct
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from freud.errors import FreudError
from freud.saes import Options, TopK, train
from freud.saes.trackers import MODULES, Trackers

SMALL = TopK(d_sae=48, k=2)
QUICK = Options(steps=30, batch_size=64, lr=1e-2)


def log_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", MODULES)
def test_without_the_package_there_is_a_clear_line(
    name: Any, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, MODULES[name], None)
    with pytest.raises(FreudError, match=rf"{name}: not installed; run `pip install 'freud-audio\[{name}\]'`"):
        train(source, SMALL, tmp_path / "sae", options=QUICK, progress=False, **{name: True})
    assert not (tmp_path / "sae").exists()


def test_tensorboard_gets_what_the_log_gets(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: Path, purge_step: int) -> None:
            written.append((folder.name, 0.0, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def flush(self) -> None:
            pass

        def close(self) -> None:
            written.append(("closed", 0.0, 0))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    train(source, SMALL, tmp_path / "sae", options=QUICK, tensorboard=True, progress=False)
    assert written.pop(0) == ("tensorboard", 0.0, 1)
    assert written.pop() == ("closed", 0.0, 0)
    logged = [(name, e[name], e["step"]) for e in log_of(tmp_path / "sae") for name in e if name != "step"]
    assert written == logged


def test_tensorboard_files(source: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(source, SMALL, tmp_path / "sae", options=QUICK, tensorboard=True, progress=False)
    events = EventAccumulator(str(tmp_path / "sae" / "tensorboard"))
    events.Reload()
    logged = log_of(tmp_path / "sae")
    found = [(event.step, event.value) for event in events.Scalars("fvu")]
    assert found == [(entry["step"], pytest.approx(entry["fvu"])) for entry in logged]


def test_wandb_offline(source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real package, which keeps what it would send in a file."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(source, SMALL, tmp_path / "sae", options=QUICK, wandb=True, progress=False)
    (path,) = (tmp_path / "sae" / "wandb").glob("offline-run-*/run-*.wandb")
    kept = [
        {"step": record.history.step.num}
        | {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
        for record in wandb_records(path)
        if record.HasField("history")
    ]
    logged = log_of(tmp_path / "sae")
    assert [{name: row[name] for name in logged[0]} for row in kept] == logged


def wandb_records(path: Path) -> Iterator[Any]:
    """What is in a .wandb file: after 7 bytes LevelDB's log, in blocks of 32 KiB, with records in one or more parts."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if (room := 32768 - at % 32768) < 7:
            at += room
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield Record.FromString(whole)
            whole = b""


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_resumed_run_is_the_same_run_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for the package, of the two calls that they document."""
    opened: list[dict[str, Any]] = []
    logged: list[tuple[dict[str, Any], int]] = []

    class Run:
        def log(self, metrics: dict[str, Any], step: int) -> None:
            logged.append((metrics, step))

        def finish(self) -> None:
            logged.append(({}, -1))

    def init(**options: Any) -> Run:
        opened.append(options)
        return Run()

    module = types.ModuleType(name)
    module.init = init
    monkeypatch.setitem(sys.modules, name, module)
    for step in (0, 10):
        trackers = Trackers(tmp_path, step, {"k": 3}, [name])
        trackers.log({"step": step + 10, "fvu": 0.5})
        trackers.close()
    assert logged == [({"fvu": 0.5}, 10), ({}, -1), ({"fvu": 0.5}, 20), ({}, -1)]
    assert opened[0] == opened[1]
    assert opened[0]["resume"] == "allow"
    assert opened[0]["config"] == {"k": 3}
    Trackers(tmp_path, 0, {"k": 4}, [name])
    other = {"wandb": "id", "trackio": "name"}[name]
    assert opened[2][other] != opened[0][other]
