"""The SAE that comes with FREUD, where a result is of the model that it was trained on: which of its latents go with
which phones of the result's corpus, so that an edit can begin with a sound in place of a number.

Agreement is F1 between the frames of a phone and those on which a latent is active, on the clips that it was found
on: good enough to choose by, and said to be no more than that. Names with controls are what `freud name` gives.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from freud import artifacts, editing, results
from freud.activations import SiteActivations
from freud.corpus import Corpus
from freud.corpus.phones import phone
from freud.naming.agreement import agreement, frame_labels
from freud.saes import SAE

MOST_FRAMES = 30_000  # of the corpus that are looked at: ten minutes
CLIP_FRAMES = 3_000  # of one clip
FRAMES = 25  # half a second: phones with less of it are left out
LATENTS = 4  # of a phone, at most: those that agree at least half as well as the best


@dataclass(frozen=True)
class Sound:
    """A phone, the latents that agree with it, best first, and the clip that has most of it."""

    label: str
    latents: tuple[int, ...]
    f1: tuple[float, ...]
    clip: str


@functools.cache
def bundled_sae() -> SAE:
    """The SAE."""
    return results.open_sae("bundled")


@functools.cache
def _metadata() -> dict[str, str]:
    return artifacts.read_json(editing.bundled_sae() / "cfg.json")["metadata"]


def site_for(model_fingerprint: str) -> str | None:
    """The site of the bundled SAE, if it was trained on the model with that fingerprint."""
    facts = _metadata()
    return facts["site"] if facts.get("model_fingerprint") == model_fingerprint else None


def sounds(sae: SAE, activations: SiteActivations, corpus: Corpus) -> list[Sound]:
    """For each phone of the corpus the latents that agree best with it; none without a tier of phones."""
    tier = next((name for name in corpus.tiers if "phone" in name.lower() or "phn" in name.lower()), None)
    if tier is None:
        return []
    counts = agreement(sae, _labeled(activations, corpus, tier))
    clips, found = corpus.table["id"].to_pylist(), []
    for label, heard, scores in zip(counts.labels, counts.heard, counts.f1, strict=True):
        if heard.sum() >= FRAMES:
            best = scores.topk(LATENTS)
            some = int((best.values >= best.values[0] / 2).sum())
            latents, f1 = (tuple(values[:some].tolist()) for values in (best.indices, best.values))
            found.append(Sound(label, latents, f1, clips[heard.argmax()]))
    return sorted(found, key=lambda sound: -sound.f1[0])


def _labeled(activations: SiteActivations, corpus: Corpus, tier: str) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Activations of the first clips, and the phone of each frame."""
    total = 0
    for clip in corpus:
        x = activations.clip(clip.id)[:CLIP_FRAMES]
        if total and total + len(x) > MOST_FRAMES:
            return
        total += len(x)
        heard = []
        for segment in corpus.segments(clip.id, tier):
            known = phone(segment.label)
            if known is not None and known.kind in {"vowel", "consonant"}:
                heard.append(replace(segment, label=known.name.lower()))
        yield x, frame_labels(heard, len(x), activations.frames_per_second)
