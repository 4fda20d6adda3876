"""Many events at once: their mean spectrogram, and their sounds back to back."""

from __future__ import annotations

import itertools

import numpy as np
from starlette.responses import Response

from freud.audio import SAMPLE_RATE
from freud.errors import FreudError
from freud.features import browse
from freud.server import schemas, sounds
from freud.server.images import Image
from freud.server.library import COLUMN, Library
from freud.server.result import IndexedSite
from freud.server.work import check

AROUND = 0.4  # seconds before and after a peak in the mean spectrogram
GAP = 0.25  # seconds of silence between the events of a montage
LONGEST = 3.0  # seconds of one event in a montage


def mean_spectrogram(site: IndexedSite, library: Library, feature: int, band: browse.Band, n: int, seed: int) -> Image:
    """The mean log-mel around the peaks of a band of events, each as the model receives it; beyond the ends of a clip
    there is nothing to average.

    Raises:
        FreudError: the feature has no events in the band.
    """
    events = browse.event_band(site.index, feature, band, n, seed=seed).events
    if not events:
        raise FreudError(f"feature {feature} has no events in this band")
    reach = round(AROUND / COLUMN)
    mels = library.model.get().n_mels
    total, count = np.zeros((2 * reach, mels)), np.zeros((2 * reach, 1))
    by_clip = sorted(events, key=lambda event: event.clip)
    for clip, its_events in itertools.groupby(by_clip, key=lambda event: event.clip):
        check()
        mel = library.log_mel(clip)
        for event in its_events:
            first = round(event.peak_time / COLUMN) - reach
            low, high = max(0, first), min(len(mel), first + 2 * reach)
            total[low - first : high - first] += mel[low:high]
            count[low - first : high - first] += 1
    empty = count[:, 0] == 0
    mean = (total / np.maximum(count, 1)).astype(np.float32)
    mean[empty] = mean[~empty].min()
    return Image(mean, COLUMN, -reach * COLUMN, SAMPLE_RATE / 2, mel=True)


def average(
    site: IndexedSite, library: Library, feature: int, *, band: schemas.Band = "top", n: int = 100, seed: int = 0
) -> bytes:
    """`mean_spectrogram` as a picture."""
    return mean_spectrogram(site, library, feature, band, n, seed).to_bytes()


def montage(
    site: IndexedSite,
    library: Library,
    feature: int,
    *,
    band: schemas.Band = "top",
    n: int = 10,
    seed: int = 0,
    margin: float = 0.2,
) -> Response:
    """The events of a band back to back, each with some sound around it, faded in and out.

    Raises:
        FreudError: the feature has no events in the band.
    """
    events = browse.event_band(site.index, feature, band, n, seed=seed).events
    if not events:
        raise FreudError(f"feature {feature} has no events in this band")
    silence = np.zeros(round(GAP * SAMPLE_RATE), np.float32)
    parts = []
    for event in events:
        check()
        start = max(0.0, event.onset - margin, event.peak_time - LONGEST / 2)
        piece = sounds.cut(library.samples(event.clip), start, min(event.offset + margin, start + LONGEST)).copy()
        fade = np.linspace(0, 1, min(len(piece) // 2, round(sounds.FADE * SAMPLE_RATE)), dtype=np.float32)
        piece[: len(fade)] *= fade
        piece[len(piece) - len(fade) :] *= fade[::-1]
        parts += [piece, silence]
    return sounds.ranged(sounds.wav(np.concatenate(parts[:-1])), "audio/wav", {})
