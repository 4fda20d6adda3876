"""Peak memory of collect, train and index on 1x and 4x the audio: it must not grow with the corpus.

    python benchmarks/memory.py [--copies 4]

The bundled clips, `--copies` times over, are 1x (25 minutes by default: more than one shard, more than one pool of
training frames), and four times that is 4x. Each stage runs in a process of its own, whose highest resident memory,
memory-mapped files left out (they are cache that the system takes back), is compared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from common import record

STAGES = ("collect", "train", "index")
SITE = "encoder.blocks.2.mlp.1"


def stage(name: str, work: Path) -> None:
    """Run one stage in this process and print its peak of anonymous memory in bytes."""
    import threading

    import freud
    from freud.activations import read
    from freud.saes import Options, TopK

    peak = 0
    running = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not running.wait(0.005):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, 1024 * int(line.split()[1]))

    thread = threading.Thread(target=watch)
    thread.start()
    if name == "collect":
        freud.collect("nano", freud.corpus.read(work / "audio"), [SITE], work / "acts", progress=False)
    elif name == "train":
        freud.train(
            read(work / "acts")[SITE], TopK(expansion=2), work / "sae", options=Options(steps=30), progress=False
        )
    else:
        corpus = freud.corpus.read(work / "audio")
        freud.index(read(work / "acts")[SITE], work / "sae", work / "index", corpus=corpus, progress=False)
    running.set()
    thread.join()
    print(json.dumps(peak))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--stage")
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    if arguments.stage:
        stage(arguments.stage, arguments.work)
        return
    from freud import audio
    from freud.discovery import demo_folder

    files = sorted(path for path in demo_folder().iterdir() if path.suffix in audio.AUDIO_SUFFIXES)
    peaks: dict[str, list[int]] = {name: [] for name in STAGES}
    for factor in (1, 4):
        with tempfile.TemporaryDirectory(prefix="freud-bench-") as temporary:
            work = Path(temporary)
            for copy in range(factor * arguments.copies):
                (work / "audio" / f"{copy:03d}").mkdir(parents=True)
                for file in files:
                    (work / "audio" / f"{copy:03d}" / file.name).symlink_to(file)
            for name in STAGES:
                command = [sys.executable, __file__, "--stage", name, "--work", str(work)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                peaks[name].append(int(output.splitlines()[-1]))
    results = {}
    for name, (once, four_times) in peaks.items():
        results[f"{name}: 1x, MB"] = once / 1e6
        results[f"{name}: 4x, MB"] = four_times / 1e6
        results[f"{name}: 4x over 1x (target <= 1.1)"] = four_times / once
    record("memory", results)


if __name__ == "__main__":
    main()
