"""How well latents agree with labels: F1 of every latent with every label, from counts over frames.

A latent says that a label is there where it is active at all. Nothing is held out and there is no null, so this is for
choosing what to try; scores to believe are those of `freud name`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from freud.corpus.table import Segment
from freud.saes import SAE


@dataclass(frozen=True)
class Agreement:
    """Counts of frames.

    Attributes:
        labels: in the order of their appearance.
        heard: frames of each label in each clip, [labels, clips].
        together: those of all clips on which a latent is active, [labels, latents].
        active: frames on which it is, [latents].
        frames: all there are.
    """

    labels: list[str]
    heard: np.ndarray
    together: torch.Tensor
    active: torch.Tensor
    frames: int

    @property
    def f1(self) -> torch.Tensor:
        """2 * together / (active + heard), [labels, latents]."""
        return 2 * self.together / (self.active + torch.from_numpy(self.heard.sum(1))[:, None])


def frame_labels(segments: Iterable[Segment], frames: int, frames_per_second: float) -> np.ndarray:
    """The label in which the middle of each frame lies (the last of several), or "": [frames] of str."""
    found = np.full(frames, "", object)
    middles = (np.arange(frames) + 0.5) / frames_per_second
    for segment in segments:
        first, last = np.searchsorted(middles, (segment.start, segment.end))
        found[first:last] = segment.label
    return found


@torch.inference_mode()
def agreement(sae: SAE, clips: Iterable[tuple[torch.Tensor, np.ndarray]]) -> Agreement:
    """Count the frames of clips on which labels are there and latents active.

    Args:
        sae: whose latents.
        clips: for each its activations [frames, width], and the labels of these frames, as `frame_labels` gives them.
    """
    places: dict[str, int] = {}
    counts: list[dict[int, int]] = []
    together: list[torch.Tensor] = []
    active, frames = torch.zeros(sae.d_sae), 0
    for x, labels in clips:
        on = (sae.encode(x.float()) != 0).float()  # [frames, latents]
        active, frames = active + on.sum(0), frames + len(on)
        counts.append({})
        for label in dict.fromkeys(labels.tolist()):
            if label:
                there = labels == label
                place = places.setdefault(label, len(places))
                if place == len(together):
                    together.append(torch.zeros(sae.d_sae))
                together[place] += on[torch.from_numpy(there)].sum(0)
                counts[-1][place] = int(there.sum())
    heard = np.zeros((len(places), len(counts)), np.int64)
    for clip, of in enumerate(counts):
        heard[list(of), clip] = list(of.values())
    empty = torch.zeros(0, sae.d_sae)
    return Agreement(list(places), heard, torch.stack(together) if together else empty, active, frames)
