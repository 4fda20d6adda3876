"""Two processes with gloo train as one does: the same curve, the same SAE, the same errors."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from freud import artifacts
from freud.saes import L1, BatchTopK, Gated, JumpReLU, Matryoshka, Options, Run, TopK, load, sweep

OPTIONS = Options(steps=40, batch_size=65, lr=1e-2)  # an odd batch: one process has a row more
RUNS = [
    Run(name=name, site="encoder.blocks.0", architecture=architecture, options=OPTIONS)
    for name, architecture in {
        "topk": TopK(d_sae=48, k=2, aux_k=8, dead_after=300),
        "batchtopk": BatchTopK(d_sae=48, k=2, aux_k=8, dead_after=300),
        "matryoshka": Matryoshka(d_sae=48, k=2, aux_k=8, dead_after=300),
        "jumprelu": JumpReLU(d_sae=48),
        "gated": Gated(d_sae=48),
        "l1": L1(d_sae=48, resample_every=10, dead_after=300),
    }.items()
]
SCRIPT = """
import importlib.util, sys
from dataclasses import replace
import torch
torch.set_num_threads(1)
def module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found
here, out, x, steps = sys.argv[1:]
runs = module("runs", f"{here}/test_saes_parallel.py").RUNS
frames = module("frames", f"{here}/conftest.py").TensorFrames(torch.load(x, weights_only=True))
from freud.errors import FreudError
from freud.saes import sweep
runs = [replace(run, options=replace(run.options, steps=int(steps))) for run in runs]
try:
    sweep({"encoder.blocks.0": frames}, runs, out, device="cpu", progress=False)
except FreudError as error:
    sys.exit(f"FreudError: {error}")
"""


def two_processes(out: Path, x: Tensor, steps: int = 40) -> list[tuple[int, str]]:
    """Status and standard error of both."""
    torch.save(x, out.with_suffix(".pt"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    arguments = [
        sys.executable,
        "-c",
        SCRIPT,
        str(Path(__file__).parent),
        str(out),
        str(out.with_suffix(".pt")),
        str(steps),
    ]
    started = [
        subprocess.Popen(
            arguments,
            env={**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


def log_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def test_two_processes_train_as_one_with_the_same_batch(
    sparse_data: Tensor, tensor_frames: type, tmp_path: Path
) -> None:
    sweep({"encoder.blocks.0": tensor_frames(sparse_data)}, RUNS, tmp_path / "one", device="cpu", progress=False)
    results = two_processes(tmp_path / "two", sparse_data)
    assert [status for status, _ in results] == [0, 0], results[0][1]
    for run in RUNS:
        one, two = log_of(tmp_path / "one" / run.name), log_of(tmp_path / "two" / run.name)
        assert len(one) == len(two) == 4
        for a, b in zip(one, two, strict=True):
            for name in a.keys() - {"frames_per_second", "gradient_norm"}:
                assert b[name] == pytest.approx(a[name], rel=2e-2, abs=1e-4), (run.name, a["step"], name)
            assert b["loss"] == pytest.approx(a["loss"], rel=2e-3), (run.name, a["step"])
        first, second = load(tmp_path / "one" / run.name), load(tmp_path / "two" / run.name)
        difference = (first.W_dec - second.W_dec).norm() / first.W_dec.norm()
        assert difference < 2e-2, run.name
        # And what is written is what one process writes.
        manifests = [artifacts.read(tmp_path / name / run.name, "train").manifest for name in ("one", "two")]
        assert manifests[0]["parameters"] == manifests[1]["parameters"]
        assert manifests[1]["results"]["train"]["fvu"] == pytest.approx(
            manifests[0]["results"]["train"]["fvu"], rel=1e-2
        )


def test_an_error_ends_all_processes_with_the_same_line(sparse_data: Tensor, tmp_path: Path) -> None:
    (tmp_path / "two" / "topk").mkdir(parents=True)
    (tmp_path / "two" / "topk" / "notes.txt").write_text("mine")
    results = two_processes(tmp_path / "two", sparse_data)
    for status, said in results:
        assert status == 1
        assert "FreudError: " in said
        assert "is not a result of `freud train`" in said
