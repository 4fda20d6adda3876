"""What features do on one clip: their traces, and which of them are largest, by magnitude or by how unusual that is.

A clip of the corpus is answered from the index and the stored activations, an upload by running the model on it; both
then take the same path, so the same recording gives the same numbers whichever way it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from freud.errors import FreudError
from freud.features import browse
from freud.server import schemas
from freud.server.kept import Kept
from freud.server.library import Library
from freud.server.model import ServedModel
from freud.server.result import IndexedSite, encoded
from freud.server.work import check

KEPT_FRAMES = 256 << 20  # bytes of activations of uploads
BLOCK = 2048  # frames on which all features are computed together


@dataclass(frozen=True, eq=False)
class Peaks:
    """The largest magnitude of every active feature on a span, as columns."""

    feature: np.ndarray
    value: np.ndarray
    frame: np.ndarray


class Activity:
    """Activations on any clip."""

    def __init__(self, library: Library, model: ServedModel) -> None:
        self.library, self.model = library, model
        self._frames = Kept(KEPT_FRAMES)

    def needs_model(self, clip: str) -> bool:
        """Whether a question about this clip may have to run the model."""
        return self.library.upload(clip) is not None

    def frames(self, site: IndexedSite, clip: str) -> np.ndarray:
        """The activations of the site on every frame of a clip, [frames, width] float32."""
        if self.library.upload(clip) is None:
            return site.index.activations.clip(clip).numpy()
        dtype = _stored_dtype(site)
        return self._frames.get(
            (site.site, clip), lambda: self.model.activations(self.library.samples(clip), site.site, dtype)
        )

    def traces(self, site: IndexedSite, clip: str, features: Sequence[int]) -> list[np.ndarray]:
        """The values of features on every frame of a clip, [frames] float32 each."""
        for feature in features:
            site.index.check(feature)
        if self.library.upload(clip) is None:
            return [site.index.trace(feature, clip) for feature in features]
        frames = self.frames(site, clip)
        if site.basis == "neurons":
            return [np.ascontiguousarray(frames[:, feature]) for feature in features]
        latents = self._latents(site, frames)
        return [latents[:, feature].numpy() for feature in features]

    @torch.inference_mode()
    def _latents(self, site: IndexedSite, frames: np.ndarray) -> torch.Tensor:
        return self._sae(site).encode(torch.from_numpy(frames))

    @staticmethod
    def _sae(site: IndexedSite):
        if site.sae is None:
            raise FreudError(f"{site.site}: its SAE is not beside the index, so latents can be looked up only")
        return site.sae

    def peaks(self, site: IndexedSite, clip: str, start: float | None, end: float | None) -> tuple[Peaks, float, float]:
        """The largest magnitude of every active feature on a span of a clip, and the span, in seconds.

        Raises:
            UnknownNameError: no such clip.
            FreudError: an empty span.
        """
        index = site.index
        stored = self.library.upload(clip) is None
        whole = stored and not start and (end is None or end >= self.library.find(clip).duration)
        if stored and site.basis == "latents" and (whole or not site.has_sae or not index.has_activations):
            found = index.clip_features(clip, index.features, start=start, end=end)
            columns = ([f.feature for f in found], [f.value for f in found], [f.frame for f in found])
            length = index.sql("SELECT frames FROM clips WHERE id = ?", [clip])[0][0]
            first, last = index.span(start, end, length)
            peaks = Peaks(*(np.array(column) for column in columns))
        else:
            frames = self.frames(site, clip)
            first, last = index.span(start, end, len(frames))
            peaks = self._peaks(site, frames[first:last], first)
        return peaks, first / index.frames_per_second, last / index.frames_per_second

    @torch.inference_mode()
    def _peaks(self, site: IndexedSite, frames: np.ndarray, first: int) -> Peaks:
        """The peaks on frames [frames, width], a block at a time: all latents of half an hour would take gigabytes."""
        width = site.index.features
        value, at = np.zeros(width, np.float32), np.zeros(width, np.int64)
        every = np.arange(width)
        for start in range(0, len(frames), BLOCK):
            check()
            block = frames[start : start + BLOCK]
            if site.basis == "latents":
                block = self._sae(site).encode(torch.from_numpy(block)).numpy()
            frame = np.abs(block).argmax(0)
            here = block[frame, every]
            larger = np.abs(here) > np.abs(value)
            value[larger], at[larger] = here[larger], frame[larger] + start
        feature = every if site.basis == "neurons" else value.nonzero()[0]
        return Peaks(feature, value[feature], at[feature] + first)


def _stored_dtype(site: IndexedSite) -> torch.dtype:
    """The type that the indexed activations were rounded to; float32 if they are gone."""
    if not site.index.has_activations:
        return torch.float32
    return site.index.activations.shard(0).dtype


def traces(activity: Activity, site: IndexedSite, clip: str, features: Sequence[int]) -> schemas.Traces:
    """The values of features on every frame of a clip."""
    found = activity.traces(site, clip, features)
    return schemas.Traces(
        frames=len(found[0]),
        frames_per_second=site.index.frames_per_second,
        traces=[schemas.Trace(feature=f, values=encoded(values)) for f, values in zip(features, found, strict=True)],
    )


def ranked(
    activity: Activity,
    site: IndexedSite,
    clip: str,
    *,
    n: int = 10,
    start: float | None = None,
    end: float | None = None,
    rank: schemas.Rank = "max",
    traces: bool = False,
) -> schemas.ActiveFeatures:
    """The features that are largest on a clip or a span of it."""
    peaks, first, last = activity.peaks(site, clip, start, end)
    magnitude = np.abs(peaks.value)
    share = magnitude / np.maximum(site.largest[peaks.feature], 1e-12)
    if rank == "max":
        best = np.argsort(-magnitude, kind="stable")[:n]
        odd = browse.unusual(site.index, peaks.feature[best], peaks.value[best])
    else:
        odd = browse.unusual(site.index, peaks.feature, peaks.value)
        best = np.lexsort((-magnitude, -(share / browse.SAME).round(), -odd))[:n]
        odd = odd[best]
    chosen = [int(feature) for feature in peaks.feature[best]]
    lines = activity.traces(site, clip, chosen) if traces and chosen else [None] * len(chosen)
    return schemas.ActiveFeatures(
        start=first,
        end=last,
        features=[
            schemas.ActiveFeature(
                rank=place,
                feature=feature,
                name=site.names.text(feature),
                value=float(peaks.value[i]),
                frame=int(peaks.frame[i]),
                time=site.index.time(int(peaks.frame[i])),
                share=float(share[i]),
                unusual=float(odd[place - 1]),
                trace=None if line is None else encoded(line),
            )
            for place, (i, feature, line) in enumerate(zip(best.tolist(), chosen, lines, strict=True), 1)
        ],
    )
