"""Frames a second of TopK training steps on a GPU: ours, sparsify's and dictionary_learning's.

    python benchmarks/train_step_gpu.py [--frames N] [--only NAME ...] [--out FOLDER] [--profile]

The peers are those of benchmarks/peers/requirements.txt, on a torch that has CUDA. k 32, 65,536 frames a step unless
told otherwise, float32 inputs that lie on the GPU, at the sizes of Whisper's tiny, small and large encoders. A step is
all that a training does with a batch, optimizer and counters included; nothing is dead for any of them, except where
"AuxK" says that a quarter of the latents is. Every library has a process of its own; each contender makes STEPS steps
at a time, and the median of ROUNDS such turns counts. "limit" is what an H200 could do at most with sparse gradients
(issue 4); "product" is the bfloat16 product with the encoder alone, on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import record
from peers import steps as peers
from train_step import frames, with_dead

K, FRAMES = 32, 65_536
SHAPES = {(384, 6144): 34e6, (768, 24_576): 10e6, (1280, 20_480): 6.7e6}  # d_in, d_sae: frames/s at most, on an H200
ROUNDS, STEPS, WARM_UP = 5, 4, 6
AFTER = 10_000_000  # frames without firing after which a latent is dead, as in both peers
LOW = "bfloat16"
CONTENDERS = (
    "product",
    "freud bfloat16",
    "freud float32",
    "freud bfloat16, AuxK",
    "sparsify adam",
    "sparsify signum",
    "dictionary_learning bfloat16",
    "dictionary_learning float32",
)


def start(name: str, sample: Tensor, d_sae: int) -> peers.Contender:
    """A contender at its first step. sample: [frames, d_in], on the CPU."""
    from freud.saes import TopK

    kind, _, how = name.partition(" ")
    match kind:
        case "freud":
            precision = how.partition(",")[0]
            topk = TopK(k=K, d_sae=d_sae, dead_after=AFTER)
            return peers.freud(sample, d_sae, K, 10_000, architecture=topk, device="cuda", precision=precision)
        case "sparsify":
            return peers.sparsify(sample, d_sae, K, optimizer=how, device="cuda")
        case _:
            return peers.dictionary_learning(sample, d_sae, K, 10_000, device="cuda")


def seconds(run: Callable[[], object], before: Callable[[], object] = lambda: None) -> list[float]:
    """Seconds of one run, averaged over STEPS of them, ROUNDS times."""
    for _ in range(WARM_UP):
        before()
        run()
    taken = []
    for _ in range(ROUNDS):
        before()
        torch.cuda.synchronize()
        began = time.perf_counter()
        for _ in range(STEPS):
            run()
        torch.cuda.synchronize()
        taken.append((time.perf_counter() - began) / STEPS)
    return taken


def measure(name: str, batches: list[Tensor], d_sae: int) -> dict[str, Any]:
    """Time and memory of one contender on batches [frames, d_in]."""
    turn = iter(range(10**9))
    if name == "product":
        rows = torch.randn(d_sae, batches[0].shape[1], device="cuda", dtype=torch.bfloat16)
        low = [batch.bfloat16() for batch in batches]
        return _result(seconds(lambda: torch.mm(low[next(turn) % len(low)], rows.T)), len(batches[0]))
    contender = start(name, batches[0][:4096].cpu(), d_sae)
    torch.set_float32_matmul_precision(
        "high" if name.startswith("sparsify") else "highest"
    )  # its `Trainer.fit` does so
    autocast = torch.autocast("cuda", torch.bfloat16, enabled=name == f"dictionary_learning {LOW}")

    def step() -> None:
        with autocast:  # as dictionary_learning's `trainSAE` does with autocast_dtype
            contender.step(batches[next(turn) % len(batches)])

    aux = name.endswith("AuxK")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    taken = seconds(step, lambda: with_dead(contender, 0.25) if aux else None)
    peak = (torch.cuda.max_memory_allocated() - held) / (4 * len(batches[0]) * d_sae)
    return {**_result(taken, len(batches[0])), "memory": round(peak, 3), "settings": contender.settings}


def _result(taken: list[float], count: int) -> dict[str, Any]:
    return {"ms": [round(1000 * each, 3) for each in taken], "frames/s": round(count / statistics.median(taken))}


def profile(name: str, count: int, d_in: int, d_sae: int) -> str:
    """Where the time of a step goes, and where the host waits for the GPU."""
    import warnings

    from torch.profiler import ProfilerActivity

    x = frames(count, 0, d_in, "cuda")
    contender = start(name, x[:4096].cpu(), d_sae)
    for _ in range(WARM_UP):
        contender.step(x)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        for _ in range(2):
            contender.step(x)
        torch.cuda.synchronize()
    table = profiler.key_averages().table(sort_by="self_cuda_time_total", row_limit=40, max_name_column_width=60)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        contender.step(x)
        torch.cuda.set_sync_debug_mode("default")
    waits = [f"{one.filename}:{one.lineno}" for one in caught if "synchroniz" in str(one.message)]
    return f"{name}, d_in {d_in}, d_sae {d_sae}, two steps\n{table}\nhost waits in a step: {waits}\n"


def child(names: list[str], count: int, out: Path) -> None:
    """Measure contenders at all sizes, in this process; write what there is after each measurement."""
    results: dict[str, dict[str, Any]] = {name: {} for name in names}
    for d_in, d_sae in SHAPES:
        batches = [frames(count, seed, d_in, "cuda") for seed in range(3)]
        for name in names:
            try:
                found = measure(name, batches, d_sae)
            except Exception as error:
                traceback.print_exc()
                found = {"failed": f"{type(error).__name__}: {str(error)[:300]}"}
            results[name][f"{d_in}/{d_sae}"] = found
            out.write_text(json.dumps(results))
            torch.cuda.empty_cache()


def run(names: list[str], count: int, folder: Path, timeout: float) -> dict[str, dict[str, Any]]:
    """`child` in a process of its own, so that one that fails takes no others with it."""
    out = folder / "child.json"
    out.unlink(missing_ok=True)
    with (folder / "train-step-gpu.log").open("a") as log:
        command = [sys.executable, __file__, "--child", *names, "--frames", str(count), "--out", str(out)]
        try:
            subprocess.run(command, stdout=log, stderr=log, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            log.write(f"{names}: stopped after {timeout:.0f} s\n")
    found = json.loads(out.read_text()) if out.is_file() else {}
    out.unlink(missing_ok=True)
    return found


def summary(every: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Ratios beside the targets of issue 4."""
    results: dict[str, Any] = {}
    for (d_in, d_sae), limit in SHAPES.items():
        size = f"{d_in}/{d_sae}"
        rate = {name: found[size]["frames/s"] for name, found in every.items() if "frames/s" in found.get(size, {})}
        for name, value in rate.items():
            results[f"{size}: {name}, M frames/s"] = round(value / 1e6, 3)
            if "memory" in (found := every[name][size]):
                results[f"{size}: {name}, peak memory of a step, in [N, M] floats"] = found["memory"]
        for ours in [name for name in rate if name.startswith("freud")]:
            results[f"{size}: {ours}, share of the limit (target >= 0.35)"] = round(rate[ours] / limit, 3)
            if "product" in rate:
                results[f"{size}: {ours}, share of the product"] = round(rate[ours] / rate["product"], 3)
            if "AuxK" in ours:
                continue
            for peer, target in (("sparsify", " (target >= 2)"), ("dictionary_learning", "")):
                names = [name for name in rate if name.startswith(peer)]
                if names:
                    fastest = max(names, key=lambda name: rate[name])
                    results[f"{size}: {ours} over {fastest}{target}"] = round(rate[ours] / rate[fastest], 2)
    return results


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=FRAMES, help="of a step")
    parser.add_argument("--only", nargs="*", default=list(CONTENDERS), help="contenders, or the first words of some")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")), help="for a log and raw numbers")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for the contenders of one library")
    parser.add_argument("--profile", action="store_true", help="of our step, instead")
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return child(arguments.child, arguments.frames, arguments.out)
    if arguments.profile:
        for d_in, d_sae in SHAPES:
            print(profile(f"freud {LOW}", arguments.frames, d_in, d_sae), flush=True)
        return None
    chosen = [name for name in CONTENDERS if any(name.startswith(word) for word in arguments.only)]
    every: dict[str, dict[str, Any]] = {}
    for _, names in groupby(chosen, lambda name: name.partition(" ")[0]):
        found = run(list(names), arguments.frames, arguments.out, arguments.timeout)
        every |= found
        (arguments.out / "train-step-gpu-raw.json").write_text(json.dumps(every, indent=1))
        for name, sizes in found.items():
            print(name, {size: each.get("frames/s", each) for size, each in sizes.items()}, flush=True)
    versions = {}
    for package in ("triton", "eai-sparsify", "dictionary-learning", "nnsight"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    about = {"device": torch.cuda.get_device_name(), "versions": versions, "frames a step": arguments.frames}
    suffix = "" if arguments.frames == FRAMES else f"-{arguments.frames}"
    record(f"train-step-gpu{suffix}", {**about, **summary(every)})
    return None


if __name__ == "__main__":
    main()
