"""What an edit costs: all three transcripts in a running process, against one plain transcription; and start-up.

    python benchmarks/edit.py [--rounds 30]

`edit` is the whole of `freud.edit`: audio read, the clip heard as it is, reconstructed and edited, every word of every
transcript scored by every variant, differences and traces. `transcribe` is the model's plain transcription of the same
file. They take turns, over the bundled clips of the test split; the SAE is the bundled one. One latent changes a few
words of some clips; the other edit, a random direction added to every frame, leaves hardly a word of any, which is the
dearest there is: nothing of the plain transcript can be used. The command is started as a user starts it, nothing kept
from one start to the next but the operating system's file cache.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import freud
from common import median_ratio, record, side_by_side
from freud.discovery import demo_folder
from freud.editing import bundled_sae, direction, edit

LATENT = 1504


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--starts", type=int, default=5)
    arguments = parser.parse_args()
    clips = freud.corpus.read(demo_folder())
    paths = [clips.audio_path(clip) for clip in clips if clip.transcript and clip.split == "test"]
    model, sae = freud.models.load("nano"), freud.saes.load(bundled_sae())
    edits = [sae[LATENT].scale(-1)]
    noise = torch.randn(sae.d_in, generator=torch.Generator().manual_seed(0))
    ruin = [*edits, direction(sae.metadata["site"], noise, 10.0)]
    seconds: dict[str, list[float]] = {"transcribe": [], "edit": [], "ruin": []}
    edit(model, paths[0], edits)  # imports and thread pools
    for number in range(arguments.rounds):
        path = paths[number % len(paths)]
        runs = {
            "transcribe": lambda path=path: model.transcribe(path),
            "edit": lambda path=path: edit(model, path, edits),
            "ruin": lambda path=path: edit(model, path, ruin),
        }
        for name, taken in side_by_side(runs, 1).items():
            seconds[name] += taken
    starts = [start(paths[0]) for _ in range(arguments.starts)]
    record(
        "edit",
        {
            "clips": len({*paths[: arguments.rounds]}),
            "transcribe, ms": 1000 * statistics.median(seconds["transcribe"]),
            "edit: plain, reconstruction and edited, ms": 1000 * statistics.median(seconds["edit"]),
            "edit over transcribe (target <= 1.6)": median_ratio(seconds["edit"], seconds["transcribe"]),
            "an edit that changes every word over transcribe": median_ratio(seconds["ruin"], seconds["transcribe"]),
            "freud edit, start-up included, median s (target < 3)": statistics.median(starts),
            "freud edit, start-up included, worst s": max(starts),
        },
    )


def start(path: Path) -> float:
    """Seconds of the command from its start to its end."""
    flags = ["--model", "nano", "--sae", "bundled", "--feature", str(LATENT), "--scale", "-1"]
    began = time.perf_counter()
    subprocess.run([Path(sys.executable).parent / "freud", "edit", path, *flags], check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
