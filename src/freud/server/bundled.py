"""The SAE that comes with FREUD, where a result is of the model that it was trained on: which of its latents go with
which phones of the result's corpus, so that an edit can begin with a sound in place of a number.

Agreement is F1 between the frames of a phone and those on which a latent is active, on the clips that it was found
on: good enough to choose by, and said to be no more than that. Names with controls are what `freud name` gives.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch

from freud import artifacts, editing
from freud.activations import SiteActivations
from freud.corpus import Corpus
from freud.corpus.phones import phone
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
    return editing.open_sae("bundled")


@functools.cache
def _metadata() -> dict[str, str]:
    return artifacts.read_json(editing.bundled_sae() / "cfg.json")["metadata"]


def site_for(model_fingerprint: str) -> str | None:
    """The site of the bundled SAE, if it was trained on the model with that fingerprint."""
    facts = _metadata()
    return facts["site"] if facts.get("model_fingerprint") == model_fingerprint else None


@torch.inference_mode()
def sounds(sae: SAE, activations: SiteActivations, corpus: Corpus) -> list[Sound]:
    """For each phone of the corpus the latents that agree best with it; none without a tier of phones."""
    tier = next((name for name in corpus.tiers if "phone" in name.lower() or "phn" in name.lower()), None)
    if tier is None:
        return []
    clips: list[str] = []
    places: dict[str, int] = {}  # of the phones, in the order of their appearance
    present: list[dict[int, int]] = []  # frames of each phone, clip by clip
    both: dict[int, torch.Tensor] = {}  # phone: frames on which it is heard and a latent is active, [latents]
    active = torch.zeros(sae.d_sae)
    total = 0
    for clip in (clip.id for clip in corpus):
        on = (sae.encode(activations.clip(clip)[:CLIP_FRAMES].float()) > 0).float()  # [frames, latents]
        if (total := total + len(on)) > MOST_FRAMES and clips:
            break
        clips.append(clip)
        active += on.sum(0)
        middles = (np.arange(len(on)) + 0.5) / activations.frames_per_second
        heard: dict[int, int] = {}
        for segment in corpus.segments(clip, tier):
            known = phone(segment.label)
            if known is None or known.kind not in {"vowel", "consonant"}:
                continue
            first, last = np.searchsorted(middles, (segment.start, segment.end)).tolist()
            place = places.setdefault(known.name.lower(), len(places))
            heard[place] = heard.get(place, 0) + last - first
            both[place] = both.get(place, torch.zeros(sae.d_sae)) + on[first:last].sum(0)
        present.append(heard)
    found = []
    for label, place in places.items():
        frames = sum(heard.get(place, 0) for heard in present)
        if frames < FRAMES:
            continue
        f1 = 2 * both[place] / (active + frames)
        best = f1.topk(LATENTS)
        some = int((best.values >= best.values[0] / 2).sum())
        most = max(range(len(clips)), key=lambda i: present[i].get(place, 0))
        latents, scores = (tuple(values[:some].tolist()) for values in (best.indices, best.values))
        found.append(Sound(label, latents, scores, clips[most]))
    return sorted(found, key=lambda sound: -sound.f1[0])
