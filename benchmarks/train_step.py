"""Time of one TopK training step against other libraries' and against the bare encoder product, on this machine's CPU.

    PEERS/bin/python benchmarks/train_step.py [--rounds 5] [--cpu-time]

PEERS is the environment of benchmarks/peers/requirements.txt. On a machine that is busy with other things, --cpu-time
gives each contender one thread and counts the CPU seconds of that thread instead of the seconds on the wall.

d_in 384, 6144 latents, k 32, 4096 frames a step, float32 inputs. Everything takes turns in one process; ratios are
medians of the ratios taken round by round. The frames are made: sums of 20 of 1500 directions with strengths of a
heavy-tailed distribution, an offset and noise; ours takes its time from how many latents come near the k-th largest.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from common import median_ratio, record, side_by_side
from peers import steps as peers

D_IN, D_SAE, K, FRAMES = 384, 6144, 32, 4096
OURS = ("freud float32", "freud bfloat16")


def frames(count: int, seed: int = 0, width: int = D_IN, device: str = "cpu") -> Tensor:
    """Made activations [count, width]."""
    generator = torch.Generator(device).manual_seed(7)
    random = partial(torch.randn, generator=generator, device=device)
    directions = torch.nn.functional.normalize(random(1500, width), dim=1)
    offset = random(width)
    generator.manual_seed(seed)
    latents = torch.randint(1500, (count, 20), generator=generator, device=device)
    strengths = torch.empty(count, 20, device=device).exponential_(generator=generator).square() + 0.5
    x = torch.nn.functional.embedding_bag(latents, directions, per_sample_weights=strengths, mode="sum")
    return x + offset + 0.1 * random(count, width)


def with_dead(contender: peers.Contender, share: float) -> None:
    """Make a share of our latents too weak to be among the k largest, though above zero, and count them as dead."""
    training = contender.training
    assert training is not None
    dead = slice(0, round(share * len(training.since_fired)))
    with torch.no_grad():
        weak = training.W_enc[:, dead]
        weak *= 0.02 / weak.norm(dim=0).clamp_min(1e-9)
    training.since_fired[dead] = 1 << 40


def step_with_dead(contender: peers.Contender, x: Tensor) -> None:
    """A step of ours with a quarter of the latents dead."""
    with_dead(contender, 0.25)
    contender.step(x)


def contenders(sample: Tensor, steps: int, with_peers: bool) -> dict[str, peers.Contender]:
    every = {
        "freud float32": peers.freud(sample, D_SAE, K, steps),
        "freud bfloat16": peers.freud(sample, D_SAE, K, steps, precision="bfloat16"),
        "original float32": peers.original(sample, D_SAE, K, bfloat16=False),
        "original bfloat16": peers.original(sample, D_SAE, K, bfloat16=True),
    }
    if with_peers:
        every |= {
            "sparsify signum": peers.sparsify(sample, D_SAE, K, optimizer="signum"),
            "sparsify adam": peers.sparsify(sample, D_SAE, K, optimizer="adam"),
            "saelens": peers.saelens(sample, D_SAE, K, steps),
            "dictionary_learning": peers.dictionary_learning(sample, D_SAE, K, steps),
        }
    return every


def peak_memory(count: int) -> float:
    """What a step on `count` frames adds to the memory in use at its peak, in units of [count, d_sae] float32."""
    command = [sys.executable, __file__, "--memory", str(count)]
    megabytes = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
    return megabytes * 2**20 / (4 * count * D_SAE)


def memory_of_a_step(count: int) -> None:
    """Print the MiB that a step on `count` frames adds, at its peak, to the memory of this process."""
    ours = peers.freud(frames(count), D_SAE, K, 10)
    ours.step(frames(256))
    x = frames(count)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _status("VmRSS")
    ours.step(x)
    print((_status("VmHWM") - before) / 1024)


def _status(field: str) -> int:
    """A field of this process's status in KiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--memory", type=int)
    arguments = parser.parse_args()
    if arguments.memory:
        return memory_of_a_step(arguments.memory)
    with_peers = not arguments.without_peers
    torch.set_num_threads(1 if arguments.cpu_time else 2)

    batches = list(frames(FRAMES * 4).split(FRAMES))
    every = contenders(batches[0], 10_000, with_peers)
    eight = [peers.freud(batches[0], D_SAE, K, 10_000) for _ in range(8)]
    dead = {name: contenders(batches[0], 10_000, False)[name] for name in OURS}
    weight = every["freud float32"].training.W_enc.detach()  # pyright: ignore[reportOptionalMemberAccess]
    low = [batches[0].bfloat16(), weight.bfloat16()]
    runs = {
        "product float32": partial(torch.mm, batches[0], weight),
        "product bfloat16": partial(torch.mm, *low),
    }
    turn = iter(range(10**9))
    for name, contender in every.items():
        runs[name] = lambda step=contender.step: step(batches[next(turn) % 4])
    for name, contender in dead.items():
        runs[f"{name}, AuxK"] = lambda contender=contender: step_with_dead(contender, batches[next(turn) % 4])
    runs["8 SAEs"] = lambda: [one.step(batches[0]) for one in eight]
    for run in runs.values():
        run()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    seconds = side_by_side(runs, arguments.rounds, clock)

    def ratio(slow: str, fast: str) -> float:
        return round(median_ratio(seconds[slow], seconds[fast]), 3)

    results: dict[str, object] = {f"{name}, ms": round(1000 * statistics.median(s), 1) for name, s in seconds.items()}
    if with_peers:
        packages = {"saelens": "sae-lens", "sparsify": "eai-sparsify", "dictionary_learning": "dictionary-learning"}
        results["versions"] = {name: version(package) for name, package in packages.items()}
        results["settings"] = {name: contender.settings for name, contender in every.items()}
    targets = (("saelens", 6), ("sparsify", 1.8), ("dictionary_learning", 5), ("original bfloat16", 2.5))
    for ours in OURS:
        for peer, target in targets:
            names = [name for name in seconds if name.startswith(peer)]
            if names:  # the fastest of its variants
                fastest = min(names, key=lambda name: statistics.median(seconds[name]))
                results[f"{ours} over {fastest} (target >= {target})"] = ratio(fastest, ours)
        for dtype, target in (("float32", 2.0), ("bfloat16", 3.0)):
            suffix = f" (target <= {target})" if dtype in ours else ""
            results[f"{ours} / product {dtype}{suffix}"] = ratio(ours, f"product {dtype}")
        results[f"{ours} with AuxK / without (target <= 1.6)"] = ratio(f"{ours}, AuxK", ours)
    results["8 SAEs / 1 (target <= 8)"] = ratio("8 SAEs", "freud float32")
    results["memory of a step, 16384 frames, in [N, M] floats (target <= 1.5)"] = round(peak_memory(16_384), 3)
    record("train-step-cpu-time" if arguments.cpu_time else "train-step", results)


if __name__ == "__main__":
    main()
