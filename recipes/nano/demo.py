"""Write the demo corpus: spoken sentences with exact phone and word tiers, and labeled sounds.

    python recipes/nano/demo.py src/freud/bundled/demo

The sentences are held out from training. They are chosen so that every phone occurs at least 30 times.
"""

import argparse
import csv
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import soundfile
from sounds import SOUNDS, sound
from speech import FLITE_VOICES, SAMPLE_RATE, Interval, Utterance, espeak, flite
from text import sentences

CLIPS_PER_FLITE_VOICE = 15
ESPEAK_VOICES = ("en-us+", "en-us+f3", "en-us+m3", "en-us+Annie", "en-us+max", "en-us+klatt2")
CLIPS_PER_ESPEAK_VOICE = 2
SOUNDS_PER_CLASS = 3
WANTED, SHORTEST, LONGEST = 40, 2.0, 7.0  # occurrences of a phone; seconds of a clip


def speak(text: str, speaker: str) -> Utterance:
    if speaker in FLITE_VOICES:
        return flite().speak(text, speaker)
    return espeak().speak(text, speaker, rate=150)


def phones_of(utterance: Utterance) -> Counter[str]:
    return Counter(label for _, _, label in utterance.phones)


def choose(speakers: list[str], rng: random.Random) -> list[tuple[str, Utterance]]:
    """A sentence for each speaker, taking each time the one richest in the phones that are still missing."""
    candidates = list(islice(sentences(20, held_out=True, rare=0.0, soup=0.0), 4000))
    sketch = {text: phones_of(flite().speak(text, "kal16")) for text in candidates}  # the fastest voice
    usual = sum(sketch.values(), Counter())
    have: Counter[str] = Counter()
    chosen = []
    for speaker in speakers:
        pool = rng.sample(sorted(sketch), 1000)

        def gain(text: str, have: Counter[str] = have) -> float:
            """How much of what is missing the sentence brings, rare phones first, for its length."""
            phones = sketch[text]
            need = sum(min(n, max(0, WANTED - have[p])) / usual[p] for p, n in phones.items())
            return need / (10 + sum(phones.values()))

        for text in sorted(pool, key=gain, reverse=True):
            utterance = speak(text, speaker)
            alone = all(" " not in label for _, _, label in utterance.words)  # each word has its own interval
            if alone and SHORTEST <= len(utterance.samples) / SAMPLE_RATE <= LONGEST:
                break
        del sketch[text]
        have += phones_of(utterance)
        chosen.append((text, utterance))
    missing = {p: n for p, n in have.items() if n < 30}
    if missing:
        raise SystemExit(f"too few of {missing}; choose more clips")
    return chosen


def write_tier(path: Path, tier: list[Interval]) -> None:
    path.write_text("".join(f"{a:.4f}\t{b:.4f}\t{label.rstrip(',')}\n" for a, b, label in tier))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(3)
    speakers = [*FLITE_VOICES] * CLIPS_PER_FLITE_VOICE + [*ESPEAK_VOICES] * CLIPS_PER_ESPEAK_VOICE
    rng.shuffle(speakers)
    rows, counts = [], Counter()
    for text, utterance in choose(speakers, rng):
        speaker = utterance.speaker
        counts[speaker] += 1
        name = f"{speaker.replace(' ', '-').replace('+', '-').rstrip('-').lower()}-{counts[speaker]:02d}"
        soundfile.write(out / f"{name}.flac", utterance.samples, SAMPLE_RATE)
        (out / f"{name}.txt").write_text(text + "\n")
        write_tier(out / f"{name}.words.tsv", utterance.words)
        write_tier(out / f"{name}.phones.tsv", utterance.phones)
        rows.append((f"{name}.flac", text, "", speaker.rstrip("+"), "test" if len(rows) % 3 == 2 else "train"))
    noise = np.random.default_rng(3)
    for label in SOUNDS:
        for i in range(SOUNDS_PER_CLASS):
            name = f"{label.replace(' ', '-')}-{i + 1:02d}.flac"
            soundfile.write(out / name, sound(label, noise, noise.uniform(2, 4)), SAMPLE_RATE)
            rows.append((name, "", label, "", "test" if i % 3 == 2 else "train"))
    with (out / "manifest.csv").open("w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(("path", "transcript", "class", "speaker", "split"))
        writer.writerows(sorted(rows))


if __name__ == "__main__":
    main()
