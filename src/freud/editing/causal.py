"""Does a feature that detects a label also cause it? The counting behind the published tables.

For each label the feature with the best F1 on its frames is chosen on some clips and edited on others, beside a random
feature of about the same density that does not detect the label. Where the model transcribes, words that contain the
label are told from others; where it does not, the recall of a linear probe on the encoder's final output is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from freud.audio import valid_frames
from freud.corpus import Clip, Corpus
from freud.editing.controls import select_nearest
from freud.editing.probe import SITE, Probe
from freud.editing.run import PLAIN, Variant, run_window
from freud.editing.words import changed_words, differences
from freud.errors import FreudError
from freud.models import AudioModel
from freud.models.edits import Feature
from freud.naming.agreement import agreement, frame_labels
from freud.saes import SAE

UNRELATED = 0.1  # a control's F1 for the label is below this


@dataclass(frozen=True)
class Detector:
    """A latent chosen for a label, and its control.

    Attributes:
        label: such as a phone.
        latent: the one with the best F1. f1: that, on the frames of the clips it was chosen on.
        control: a random latent of about the same density that does not detect the label.
        density, control_density: share of those frames on which each is active.
    """

    label: str
    latent: int
    f1: float
    control: int
    density: float
    control_density: float


def detectors(
    model: AudioModel,
    sae: SAE,
    corpus: Corpus,
    clips: Iterable[Clip],
    tier: str,
    *,
    ignore: Sequence[str] = (),
    fewest: int = 1,
    seed: int = 0,
) -> list[Detector]:
    """For each label of a tier the latent that detects it best, best detected first.

    Args:
        model: what the SAE was trained on.
        sae: its latents are candidates.
        corpus: has the tier.
        clips: those to choose on.
        tier: such as `phones`.
        ignore: labels to leave out, such as silence.
        fewest: frames that a label needs.
        seed: of the choice of controls.
    """
    site = sae.metadata["site"]
    counts = agreement(sae, (labeled_frames(model, corpus, clip, site, tier) for clip in clips))
    rng = np.random.default_rng(seed)
    density = (counts.active / counts.frames).numpy()
    chosen = []
    for label, heard, scores in sorted(
        zip(counts.labels, counts.heard.sum(1), counts.f1.numpy(), strict=True), key=lambda each: each[0]
    ):
        if label in ignore or heard < fewest:
            continue
        best = int(scores.argmax())
        others = np.flatnonzero((scores < UNRELATED) & (density > 0))
        control = int(rng.choice(select_nearest(density, others, best)))
        f1 = float(scores[best])
        chosen.append(Detector(label, best, f1, control, float(density[best]), float(density[control])))
    return sorted(chosen, key=lambda each: -each.f1)


def labeled_frames(
    model: AudioModel, corpus: Corpus, clip: Clip, site: str, tier: str
) -> tuple[torch.Tensor, np.ndarray]:
    """Activations of a clip's valid frames [frames, width], and the label of each."""
    samples = corpus.samples(clip)
    parts = []
    for start in range(0, len(samples), model.window_samples):
        part = samples[start : start + model.window_samples]
        parts.append(model.activations(model.log_mel([part]), [site])[site][0, : valid_frames(len(part))].float())
    x = torch.cat(parts)
    return x, frame_labels(corpus.segments(clip.id, tier), len(x), _rate(model, site))


def _rate(model: AudioModel, site: str) -> float:
    """Frames a second of a site of an encoder."""
    rate = model.sites[site].frames_per_second
    if rate is None:
        raise FreudError(f"{site}: its frames are text tokens; expected a site of the encoder")
    return rate


@dataclass(frozen=True)
class WordEffect:
    """On how many clips an edit changed the transcript, and on how many only in words that contain the label."""

    clips: int
    changed: int
    only_there: int


def word_effects(
    model: AudioModel,
    corpus: Corpus,
    clips: Iterable[Clip],
    tier: str,
    label: str,
    features: Sequence[Feature],
    factor: float,
) -> list[WordEffect]:
    """Scale each feature on each clip and compare with the transcript without an edit; commas do not count.

    Args:
        model: one that can transcribe.
        corpus: with the tiers `words` and `tier`.
        clips: where to try it; each must fit the model's window.
        tier: of the label.
        label: what the features are said to detect.
        features: what to scale, one at a time.
        factor: by how much.

    Returns:
        the effect of each feature.
    """
    counts = np.zeros((len(features), 3), int)
    for clip in clips:
        samples = corpus.samples(clip)[: model.window_samples]
        variants = [PLAIN, *(Variant([feature.scale(factor)]) for feature in features)]
        outcomes, _ = run_window(model, samples, 0, variants)
        plain, *edited = (each.hearing.text.replace(",", "").split() for each in outcomes if each.hearing)
        there = words_with(corpus, clip, tier, label)
        for row, text in enumerate(edited):
            words = changed_words(differences(plain, text))
            counts[row] += (1, bool(words), bool(words) and words <= there)
    return [WordEffect(*row) for row in counts.tolist()]


def words_with(corpus: Corpus, clip: Clip, tier: str, label: str) -> set[int]:
    """Positions of the words of a clip in which a label's middle lies."""
    middles = [(s.start + s.end) / 2 for s in corpus.segments(clip.id, tier) if s.label == label]
    words = corpus.segments(clip.id, "words")
    return {i for i, word in enumerate(words) if any(word.start <= middle < word.end for middle in middles)}


@dataclass(frozen=True)
class RecallEffect:
    """How an edit changes the recall of a probe.

    Attributes:
        label: the class the edited feature is said to detect. frames: of that class.
        before: recall on it without an edit.
        change: of that recall. others: mean change over the other classes that have frames.
    """

    label: str
    frames: int
    before: float
    change: float
    others: float


def recall_effects(
    model: AudioModel,
    probe: Probe,
    corpus: Corpus,
    clips: Iterable[Clip],
    tier: str,
    edits: Mapping[str, tuple[str, Variant]],
) -> dict[str, RecallEffect]:
    """What edits do to a probe's recall of each class, over the labeled frames of clips.

    Args:
        model: any; the clips must fit its window.
        probe: on the encoder's final output.
        corpus: with the tier.
        clips: not those the probe was trained on.
        tier: whose labels are the probe's classes.
        edits: by name: the label in question, and how to run the model.
    """
    names = list(edits)
    classes = np.array(probe.classes, object)
    total = np.zeros(len(classes))
    rate = _rate(model, SITE)
    right = np.zeros((len(names) + 1, len(classes)))
    for clip in clips:
        samples = corpus.samples(clip)[: model.window_samples]
        labels = frame_labels(corpus.segments(clip.id, tier), valid_frames(len(samples)), rate)
        with torch.inference_mode(), model.lock:
            outcomes, _ = run_window(model, samples, 0, [PLAIN, *(edits[name][1] for name in names)])
        for row, outcome in enumerate(outcomes):
            said = classes[probe.log_probabilities(outcome.encoded[0, : len(labels)]).argmax(1).numpy()]
            for number, label in enumerate(classes):
                right[row, number] += ((labels == label) & (said == label)).sum()
        total += [(labels == label).sum() for label in classes]
    there = total > 0
    recall = right / np.maximum(total, 1)
    found = {}
    for row, name in enumerate(names, 1):
        own = list(probe.classes).index(edits[name][0])
        change = recall[row] - recall[0]
        others = there & (np.arange(len(classes)) != own)
        found[name] = RecallEffect(
            edits[name][0], int(total[own]), float(recall[0, own]), float(change[own]), float(change[others].mean())
        )
    return found


__all__ = [
    "SITE",
    "Detector",
    "RecallEffect",
    "WordEffect",
    "detectors",
    "labeled_frames",
    "recall_effects",
    "word_effects",
    "words_with",
]
