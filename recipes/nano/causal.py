"""Does scaling a phonetic latent change the transcript where that phone is, and only there? Prints a table.

    python recipes/nano/causal.py [--factor -1]

For each phone the latent of the bundled SAE is chosen by its best F1 on the frames of the demo clips of split "train".
The clips it is tried on are the first ten of split "test", by name, that contain the phone: chosen before looking. The
edit keeps the reconstruction error, x + (factor - 1) f W_dec on valid frames. A clip counts when at least one word of
the transcript changes and every changed word contains the phone. The control scales a random latent of about the same
density that does not detect the phone.
"""

import argparse
import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import freud
from freud import audio, pipeline
from freud.corpus import Clip, Corpus
from freud.models import AudioModel
from freud.saes import SAE

SITE = "encoder.blocks.2"
CLIPS = 10


@dataclass(frozen=True)
class Effect:
    """How many of the clips changed at all, and how many only in words that contain the phone."""

    clips: int
    changed: int
    only_there: int


def edited(model: AudioModel, sae: SAE, samples: np.ndarray, latent: int, factor: float) -> str:
    """The transcript with one latent scaled on the valid frames."""
    valid = audio.valid_frames(len(samples))

    def scale(x: torch.Tensor) -> torch.Tensor:
        value = sae.encode(x[:, :valid])[..., latent]
        x = x.clone()
        x[:, :valid] += (factor - 1) * value[..., None] * sae.W_dec[latent]
        return x

    with model.hooked(write={SITE: scale}):
        return model.transcribe(samples).text


def changed_words(before: str, after: str) -> set[int]:
    """Positions of the words of `before` that `after` has not, or has something inserted beside."""
    old, new = (text.replace(",", "").split() for text in (before, after))
    changed: set[int] = set()
    for tag, first, last, _, _ in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if tag != "equal":
            changed.update(range(first, max(last, first + 1)))
    return changed


def words_with(corpus: Corpus, clip: Clip, phone: str) -> set[int]:
    """Positions of the words of a clip in which the phone is spoken."""
    middles = [(s.start + s.end) / 2 for s in corpus.segments(clip.id, "phones") if s.label == phone]
    words = corpus.segments(clip.id, "words")
    return {i for i, word in enumerate(words) if any(word.start <= middle < word.end for middle in middles)}


def effect(
    model: AudioModel,
    sae: SAE,
    corpus: Corpus,
    clips: list[Clip],
    phone: str,
    latent: int,
    factor: float,
    unedited: dict[str, str],
) -> Effect:
    """Scale a latent on each clip and compare with the transcript without an edit, which is kept in `unedited`."""
    changed = only_there = 0
    for clip in clips:
        samples = audio.load(corpus.audio_path(clip))
        if clip.id not in unedited:
            unedited[clip.id] = model.transcribe(samples).text
        words = changed_words(unedited[clip.id], edited(model, sae, samples, latent, factor))
        changed += bool(words)
        only_there += bool(words) and words <= words_with(corpus, clip, phone)
    return Effect(len(clips), changed, only_there)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=-1.0)
    parser.add_argument("--phones", type=int, default=8, help="how many phones, those best detected first")
    parser.add_argument("--sae", type=Path, default=Path(freud.__file__).parent / "bundled" / "sae")
    arguments = parser.parse_args()
    model, sae = freud.models.load("nano"), freud.saes.load(arguments.sae)
    corpus = freud.corpus.read(pipeline.demo_folder())
    spoken = [clip for clip in corpus if clip.transcript]
    active, phones = [], []
    for clip in (clip for clip in spoken if clip.split == "train"):
        samples = audio.load(corpus.audio_path(clip))
        frames = audio.valid_frames(len(samples))
        x = model.activations(model.log_mel([samples]), [SITE])[SITE][0, :frames]
        active.append(sae.encode(x).numpy() > 0)
        label = np.full(frames, "", object)
        for s in corpus.segments(clip.id, "phones"):
            label[int(np.ceil(50 * s.start - 0.5)) : int(np.ceil(50 * s.end - 0.5))] = s.label
        phones.append(label)
    firing, spoken_phone = np.concatenate(active), np.concatenate(phones)
    density = firing.mean(0)
    f1 = {}
    for phone in sorted(set(spoken_phone) - {"", "pau"}):
        wanted = spoken_phone == phone
        f1[phone] = 2 * firing[wanted].sum(0) / np.maximum(firing.sum(0) + wanted.sum(), 1)
    rng = np.random.default_rng(0)
    unedited: dict[str, str] = {}
    print("phone  latent    F1  clips  changed  only there   control: changed  only there")
    for phone in sorted(f1, key=lambda p: -f1[p].max())[: arguments.phones]:
        latent = int(f1[phone].argmax())
        clips = [c for c in spoken if c.split == "test" and words_with(corpus, c, phone)][:CLIPS]
        others = np.flatnonzero((f1[phone] < 0.1) & (density > 0))
        near = others[np.abs(density[others] - density[latent]).argsort()[:10]]
        found = effect(model, sae, corpus, clips, phone, latent, arguments.factor, unedited)
        control = effect(model, sae, corpus, clips, phone, int(rng.choice(near)), arguments.factor, unedited)
        print(
            f"{phone:<6} {latent:>6} {f1[phone][latent]:>5.2f} {found.clips:>6} {found.changed:>8} "
            f"{found.only_there:>11} {control.changed:>18} {control.only_there:>11}",
            flush=True,
        )


if __name__ == "__main__":
    main()
