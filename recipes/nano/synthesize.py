"""Synthesize the training speech: shards of a thousand utterances with their word and phone times.

    python recipes/nano/synthesize.py WORK

Each shard is `NNNNN.npy` (int16 samples at 16 kHz, all utterances end to end) and `NNNNN.json` (a list of
utterances: first sample, number of samples, speaker, words, phones). A shard depends on its number alone,
so the command can be stopped and repeated, and training may begin while it runs.
"""

import argparse
import json
import random
from itertools import islice
from pathlib import Path

import numpy as np
from speech import speak_randomly
from text import sentences

UTTERANCES = 1000
EVERYDAY, MIXED = (
    23,
    41,
)  # where shards of mostly everyday words end, and those where half are: the rest is for spelling
LONGEST = 15.0  # seconds


def shard(index: int) -> tuple[np.ndarray, list[dict]]:
    """The samples and the utterances of one shard; an utterance is one to three sentences."""
    rng = random.Random(f"shard {index}")
    rare, soup = (0.25, 0.15) if index < EVERYDAY else (0.6, 0.5) if index < MIXED else (0.8, 0.8)
    stream = sentences(1000 + index, held_out=False, rare=rare, soup=soup)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="the folder for data and checkpoints")
    parser.add_argument("--shards", type=int, default=41)
    args = parser.parse_args()
    folder = args.work / "speech"
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(args.shards):
        path = folder / f"{index:05d}.json"
        if path.exists():
            continue
        samples, utterances = shard(index)
        np.save(path.with_suffix(".npy"), samples)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(utterances))
        partial.rename(path)  # the index appears once the shard is whole
        print(f"{path.name}: {len(samples) / 16_000 / 3600:.2f} h", flush=True)


if __name__ == "__main__":
    main()
