"""Synthesize the training speech: shards of a thousand utterances with their word and phone times.

    python recipes/nano/synthesize.py WORK

Each shard is `NNNNN.npy` (int16 samples at 16 kHz, all utterances end to end) and `NNNNN.json` (a list of
utterances: first sample, number of samples, speaker, words, phones). A shard depends on its number alone,
so the command can be stopped and repeated, and training may begin while it runs.

The first 23 shards are of mostly everyday words, in the next 18 half are, and those up to 64 are for spelling; from
65 on the three kinds take turns and draw on the larger dictionary (Debian: wamerican-huge).
"""

import argparse
import json
import random
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
from speech import speak_randomly
from text import sentences, wide_pool

UTTERANCES = 1000
KINDS = ((0.25, 0.15), (0.6, 0.5), (0.8, 0.8))  # (rare, soup) of everyday, mixed and spelling shards; see text.py
MIXED, SPELLING, WIDE = 23, 41, 65  # the first shard of each; from WIDE on they take turns
LONGEST = 15.0  # seconds


def shard(index: int) -> tuple[np.ndarray, list[dict]]:
    """The samples and the utterances of one shard; an utterance is one to three sentences."""
    rng = random.Random(f"shard {index}")
    wide = index >= WIDE
    rare, soup = KINDS[index % 3 if wide else (index >= MIXED) + (index >= SPELLING)]
    pool = wide_pool() if wide else None
    stream = sentences(1000 + index, held_out=False, rare=rare, soup=soup, pool=pool)
    parts, utterances, first = [], [], 0
    while len(utterances) < UTTERANCES:
        text = ", ".join(islice(stream, rng.choices((1, 2, 3), (50, 35, 15))[0]))
        try:
            utterance = speak_randomly(text, rng)
        except ValueError:  # a word spoken as two, or none: rare, and not worth aligning
            continue
        if len(utterance.samples) > LONGEST * 16_000:
            continue
        samples = np.clip(utterance.samples * 32767, -32767, 32767).astype(np.int16)
        parts.append(samples)
        utterances.append(
            {
                "first": first,
                "samples": len(samples),
                "speaker": utterance.speaker,
                "words": [(round(a, 4), round(b, 4), w) for a, b, w in utterance.words],
                "phones": [(round(a, 4), round(b, 4), p) for a, b, p in utterance.phones],
            }
        )
        first += len(samples)
    return np.concatenate(parts), utterances


def write_shard(path: Path) -> str:
    """Synthesize one shard, whose index appears once the shard is whole; what to say about it."""
    samples, utterances = shard(int(path.stem))
    np.save(path.with_suffix(".npy"), samples)
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(utterances))
    partial.rename(path)
    return f"{path.name}: {len(samples) / 16_000 / 3600:.2f} h"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the folder for data and checkpoints")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--shards", type=int, default=41)
    parser.add_argument("--jobs", type=int, default=1, help="shards made at a time")
    args = parser.parse_args()
    folder = args.work / "speech"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05d}.json" for index in range(args.first, args.first + args.shards)]
    with ProcessPoolExecutor(args.jobs) as pool:
        for line in pool.map(write_shard, [path for path in paths if not path.exists()]):
            print(line, flush=True)


if __name__ == "__main__":
    main()
