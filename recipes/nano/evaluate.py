"""Word and character error rates of a model folder on freshly synthesized, held-out speech.

    python recipes/nano/evaluate.py src/freud/bundled/nano

Uses the model only through transformers. Text is compared in lower case without punctuation; commas are
scored on their own. "held-out" sentences are everyday words with one open slot in ten from the dictionary;
"unseen words" are sequences of dictionary words that training never had; "noise" adds pink or white noise
at 10 dB to the held-out ones. `--real CSV` adds recordings: columns path and transcript, paths relative to
the file.
"""

import argparse
import csv
import random
import re
from itertools import islice
from pathlib import Path

import jiwer
import numpy as np
import soundfile
import soxr
import torch
from sounds import colored_noise
from speech import ESPEAK_ACCENTS, ESPEAK_VARIANTS, FLITE_VOICES, espeak, flite
from text import dictionary, sentences
from transformers import WhisperForConditionalGeneration, WhisperProcessor

Clip = tuple[np.ndarray, str]


def bare(text: str) -> str:
    """Lower case, letters and single spaces."""
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())


def synthesize(count: int, voice: str, seed: int, **style) -> list[Clip]:
    """`count` held-out sentences in a voice of flite, or in changing voices of espeak-ng."""
    rng = random.Random(seed)
    clips = []
    for text in islice(sentences(seed, held_out=True, **style), 3 * count):
        try:
            if voice in FLITE_VOICES:
                utterance = flite().speak(text, voice)
            else:
                speaker = f"{rng.choice(ESPEAK_ACCENTS)}+{rng.choice(ESPEAK_VARIANTS)}"
                utterance = espeak().speak(text, speaker, rate=150)
        except ValueError:  # a word that the synthesizer splits in two
            continue
        clips.append((utterance.samples, text))
    return clips[:count]


def with_noise(clips: list[Clip], decibels: float) -> list[Clip]:
    rng = np.random.default_rng(5)
    noisy = []
    for samples, text in clips:
        noise = colored_noise(rng, len(samples), float(rng.integers(2)))
        level = np.sqrt(np.mean(samples**2)) * 10 ** (-decibels / 20)
        noisy.append(((samples + noise * level).astype(np.float32), text))
    return noisy


def read_recordings(path: Path, longest: float) -> list[Clip]:
    """Recordings named in a CSV that fit in the window."""
    clips = []
    for row in csv.DictReader(path.open()):
        samples, rate = soundfile.read(path.parent / row["path"], dtype="float32", always_2d=True)
        samples = soxr.resample(samples.mean(1), rate, 16_000)
        if row["transcript"] and len(samples) <= longest * 16_000:
            clips.append((samples, row["transcript"]))
    return clips


class Transcriber:
    def __init__(self, folder: Path) -> None:
        self.model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
        self.processor = WhisperProcessor.from_pretrained(folder)
        self.window = self.processor.feature_extractor.chunk_length

    @torch.no_grad()
    def __call__(self, clips: list[Clip]) -> list[str]:
        texts = []
        for i in range(0, len(clips), 16):
            samples = [s for s, _ in clips[i : i + 16]]
            features = self.processor(samples, sampling_rate=16_000, return_tensors="pt").input_features
            texts += self.processor.batch_decode(self.model.generate(features), skip_special_tokens=True)
        return texts


def comma_score(references: list[str], outputs: list[str]) -> float:
    """F1 of commas after words that were heard right."""
    hits = wanted = given = 0
    pairs = [(r.split(), h.split()) for r, h in zip(references, outputs, strict=True)]
    aligned = jiwer.process_words([bare(r) for r in references], [bare(h) or "-" for h in outputs]).alignments
    for (reference, output), chunks in zip(pairs, aligned, strict=True):
        for chunk in chunks:
            if chunk.type != "equal":
                continue
            for i, j in zip(
                range(chunk.ref_start_idx, chunk.ref_end_idx), range(chunk.hyp_start_idx, chunk.hyp_end_idx),
                strict=True,
            ):  # fmt: skip
                a, b = reference[i].endswith(","), output[j].endswith(",")
                hits, wanted, given = hits + (a and b), wanted + a, given + b
    return 2 * hits / max(1, wanted + given)


def report(name: str, clips: list[Clip], transcribe: Transcriber, show: int) -> None:
    outputs = transcribe(clips)
    references = [text for _, text in clips]
    plain, heard = [bare(r) for r in references], [bare(h) for h in outputs]
    seconds = sum(len(s) for s, _ in clips) / 16_000
    commas = f"{comma_score(references, outputs):6.2f}" if any("," in r for r in references) else "     -"
    wer, cer = jiwer.wer(plain, heard), jiwer.cer(plain, heard)
    print(f"{name:<24}{len(clips):>6}{seconds:>8.0f}{100 * wer:>8.1f}{100 * cer:>8.1f}  {commas}", flush=True)
    for reference, output in list(zip(references, outputs, strict=True))[:show]:
        print(f"    said  {reference}\n    heard {output}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--clips", type=int, default=60, help="sentences for each voice")
    parser.add_argument("--real", type=Path, help="a CSV of recordings")
    parser.add_argument("--show", type=int, default=0, help="transcripts to print for each row")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transcribe = Transcriber(args.model)
    print(f"{'set':<24}{'clips':>6}{'seconds':>8}{'WER %':>8}{'CER %':>8}  comma F1")
    every: list[Clip] = []
    for i, voice in enumerate((*FLITE_VOICES, "espeak-ng")):
        clips = synthesize(args.clips, voice, 100 + i, rare=0.1, soup=0.0)
        report(f"held-out, {voice}", clips, transcribe, args.show)
        every += clips
    report("held-out, all", every, transcribe, 0)
    report("noise at 10 dB, all", with_noise(every, 10.0), transcribe, args.show)
    unseen: list[Clip] = []
    for i, voice in enumerate((*FLITE_VOICES, "espeak-ng")):
        unseen += synthesize(args.clips // 3, voice, 200 + i, rare=1.0, soup=1.0, pool=dictionary()[1])
    report("unseen words, all", unseen, transcribe, args.show)
    if args.real:
        report("real recordings", read_recordings(args.real, transcribe.window), transcribe, args.show)


if __name__ == "__main__":
    main()
