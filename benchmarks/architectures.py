"""Time of one training step of every architecture against SAELens's and dictionary_learning's, on this machine's CPU.

    PEERS/bin/python benchmarks/architectures.py [--rounds 3]

PEERS is the environment of benchmarks/peers/requirements.txt. Shapes and frames are those of `train_step.py`, which
compares TopK. What L1, JumpReLU and Gated cost us depends on how many latents are active: half at the very start, where
all is dense, and a few per cent once the penalty has done its work. Both are timed, the latter with biases that leave
two per cent. The peers' steps are dense, so theirs are timed as they start.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import torch
from torch import Tensor

from common import median_ratio, record, side_by_side
from freud.saes import L1, Architecture, BatchTopK, Gated, JumpReLU, Matryoshka
from freud.saes.auxk import AuxK
from peers import steps as peers
from train_step import D_IN, D_SAE, FRAMES, K, frames

STEPS = 10_000
ACTIVE = 0.02  # of all entries
SHARES = (1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the latents, in Matryoshka's groups
WIDTHS = [D_SAE // n for n in (16, 8, 4, 2, 1)]
ARCHITECTURES: dict[str, tuple[Architecture, dict[str, object], dict[str, object]]] = {
    "batchtopk": (
        BatchTopK(k=K, d_sae=D_SAE),
        {},
        {"trainer": "batch_top_k.BatchTopKTrainer"},
    ),
    "matryoshka": (
        Matryoshka(k=K, d_sae=D_SAE),
        {"settings": {"k": K, "matryoshka_widths": WIDTHS}, "architecture": "matryoshka_batchtopk"},
        {
            "settings": {"k": K, "group_fractions": list(SHARES)},
            "trainer": "matryoshka_batch_top_k.MatryoshkaBatchTopKTrainer",
        },
    ),
    "l1": (
        L1(d_sae=D_SAE),
        {"settings": {}, "architecture": "standard"},
        {"settings": {}, "trainer": "standard.StandardTrainer"},
    ),
    "jumprelu": (
        JumpReLU(d_sae=D_SAE),
        {"settings": {}},
        {"settings": {}, "trainer": "jumprelu.JumpReluTrainer"},
    ),
    "gated": (
        Gated(d_sae=D_SAE),
        {"settings": {}},
        {"settings": {}, "trainer": "gdm.GatedSAETrainer"},
    ),
}


def ours(architecture: Architecture, sample: Tensor, active: float | None) -> peers.Contender:
    """A step of ours; with biases that leave a share `active` of all scores above zero, and a rate that keeps it."""
    rate = {} if active is None else {"lr": 1e-9}
    made = peers.freud(sample, D_SAE, K, STEPS, architecture=architecture, **rate)
    training = made.training
    assert training is not None
    if active is not None:
        with torch.no_grad():
            scores = (training.prepare(sample[:100]) - training.b_dec) @ training.W_enc
            bias = training.b_gate if isinstance(architecture, Gated) else training.b_enc
            bias -= scores.flatten().kthvalue(round((1 - active) * scores.numel())).values
            if isinstance(architecture, JumpReLU):
                bias += architecture.threshold
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    x = frames(FRAMES)
    results: dict[str, object] = {
        "shape": {"d_in": D_IN, "d_sae": D_SAE, "k": K, "frames": FRAMES},
        "versions": {name: version(name) for name in ("sae-lens", "dictionary-learning")},
    }
    for name, (architecture, lens, dictionary) in ARCHITECTURES.items():
        made = {
            "saelens": peers.saelens(x, D_SAE, K, STEPS, **{"architecture": name} | lens),  # pyright: ignore
            "dictionary_learning": peers.dictionary_learning(x, D_SAE, K, STEPS, **dictionary),  # pyright: ignore
            "freud": ours(architecture, x, None),
        }
        if not isinstance(architecture, AuxK):  # whose number of active latents is given
            made["freud, 2 % active"] = ours(architecture, x, ACTIVE)
        runs: dict[str, Callable[[], object]] = {key: partial(each.step, x) for key, each in made.items()}
        for run in runs.values():
            run()
        seconds = side_by_side(runs, arguments.rounds)
        results[name] = {f"{key}, ms": round(1000 * statistics.median(s), 1) for key, s in seconds.items()} | {
            f"{mine} over {peer}": round(median_ratio(seconds[peer], seconds[mine]), 2)
            for mine in seconds
            if mine.startswith("freud")
            for peer in ("saelens", "dictionary_learning")
        }
        print(name, results[name], flush=True)
    record("architectures", results)


if __name__ == "__main__":
    main()
