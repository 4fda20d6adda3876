"""What an edit is, and what it does to the activations of a site while the model runs.

An edit names a feature (a neuron, or a latent of an SAE), what shall become of its value f, and when. By default the
reconstruction error is kept: x becomes x + (f' - f) W_dec, so an edit that leaves f as it is changes no bit of x. With
`substitute` x becomes the reconstruction of the edited latents instead, on every valid frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from freud.audio import SAMPLE_RATE, SAMPLES_PER_FRAME, valid_frames
from freud.errors import FreudError, UnknownNameError
from freud.models.sites import Site

if TYPE_CHECKING:
    from freud.models.base import AudioModel

Operation = Literal["scale", "set", "add", "ablate", "clamp", "direction"]
Span = tuple[float, float]
"""Seconds from the start of the clip: start, end. A frame is in it if its middle is."""


class Dictionary(Protocol):
    """What an edit needs of a sparse autoencoder; `freud.saes.SAE` is one."""

    metadata: dict[str, Any]

    @property
    def d_in(self) -> int: ...
    @property
    def d_sae(self) -> int: ...
    @property
    def W_dec(self) -> Tensor: ...  # noqa: N802
    def encode(self, x: Tensor) -> Tensor: ...
    def decode(self, latents: Tensor) -> Tensor: ...
    def frame_scale(self, x: Tensor) -> Tensor | float: ...
    def __call__(self, x: Tensor) -> Tensor: ...
    def check_site(self, origin: dict[str, Any], width: int) -> None: ...


@dataclass(frozen=True, eq=False)
class Feature:
    """A neuron of a site, or with `sae` a latent of it; its methods make edits: `sae[30].scale(-1)`."""

    site: str
    index: int
    sae: Dictionary | None = None

    @property
    def basis(self) -> Literal["neurons", "latents"]:
        return "neurons" if self.sae is None else "latents"

    def scale(self, factor: float) -> Edit:
        """f' = factor * f; -1 turns it around, 0 removes it, 1 changes nothing."""
        return self._edit("scale", value=factor)

    def set(self, value: float) -> Edit:
        """f' = value, also where the feature is silent."""
        return self._edit("set", value=value)

    def add(self, amount: float, unit: float = 1.0) -> Edit:
        """f' = f + amount * unit, also where the feature is silent.

        Args:
            amount: in units of `unit`.
            unit: what one is worth: 1 for raw activations, or the feature's own 99th percentile, see
                `freud.editing.percentile`.
        """
        return self._edit("add", value=_finite(amount, "amount") * _finite(unit, "unit"))

    def ablate(self) -> Edit:
        """f' = 0."""
        return self._edit("ablate")

    def clamp(self, min: float | None = None, max: float | None = None) -> Edit:
        """f' = f, but at least `min` and at most `max`."""
        return self._edit("clamp", min=min, max=max)

    def _edit(self, operation: Operation, **values: Any) -> Edit:
        return Edit(self.site, operation, self.index, self.sae, **values)


def neuron(site: str, index: int) -> Feature:
    """A neuron: one coordinate of a site."""
    return Feature(site, index)


def latent(sae: Dictionary, index: int, site: str | None = None) -> Feature:
    """A latent of an SAE, at the site it was trained on unless another is given; `sae[index]` is the same.

    Raises:
        FreudError: the SAE does not say what site it is for, and none is given.
    """
    site = site or sae.metadata.get("site")
    if not site:
        raise FreudError("the SAE does not say which site it is for; give one: latent(sae, index, site)")
    return Feature(site, index, sae)


def direction(site: str, vector: Tensor, amount: float = 1.0) -> Edit:
    """Add amount * vector [width] to every frame of a site."""
    return Edit(site, "direction", value=amount, vector=vector)


@dataclass(frozen=True, eq=False)
class Edit:
    """One change of one feature at one site. Make one with `Feature` or `direction`.

    Attributes:
        site: name of the site.
        operation: what happens to the feature's value f.
        feature: number of the neuron or latent; None for a direction.
        sae: the latent's SAE; None for a neuron or a direction.
        value: the factor of `scale`, the value of `set`, the raw amount of `add` and `direction`.
        min, max: limits of `clamp`; None for no limit.
        vector: [width], what `direction` adds.
        spans: when; None for the whole clip.
        label: (tier, label): during the intervals of that tier with that label; see `labeled`.
        above: only on frames where f is larger than this (0: where a latent is active); None for all frames.
    """

    site: str
    operation: Operation
    feature: int | None = None
    sae: Dictionary | None = None
    value: float = 0.0
    min: float | None = None
    max: float | None = None
    vector: Tensor | None = None
    spans: tuple[Span, ...] | None = None
    label: tuple[str, str] | None = None
    above: float | None = None

    def __post_init__(self) -> None:
        named = {"value": self.value, "min": self.min, "max": self.max, "above": self.above}
        for name, number in named.items():
            if number is not None:
                _finite(number, _VALUE.get(self.operation, "value") if name == "value" else name)
        if self.operation == "clamp":
            if self.min is None and self.max is None:
                raise FreudError(f"{self}: give a minimum, a maximum, or both")
            if self.min is not None and self.max is not None and self.min > self.max:
                raise FreudError(f"{self}: the minimum {self.min:g} is above the maximum {self.max:g}")
        if self.vector is not None and not bool(torch.isfinite(self.vector).all()):
            raise FreudError(f"{self}: its vector has values that are not finite")
        for start, end in self.spans or ():
            if not 0 <= start < end < math.inf:
                raise FreudError(f"{self}: span {start:g} to {end:g} s; expected 0 <= start < end, in seconds")
        if self.spans is not None and self.label is not None:
            raise FreudError(f"{self}: give spans or a label, not both")

    def during(self, *spans: Span) -> Edit:
        """The same edit, only within these spans of clip time."""
        return replace(self, spans=tuple((float(start), float(end)) for start, end in spans))

    def at(self, tier: str, label: str) -> Edit:
        """The same edit, only during the intervals of a tier with a label: `.at("phones", "th")`."""
        return replace(self, label=(tier, label))

    def where_active(self, above: float = 0.0) -> Edit:
        """The same edit, only on frames where the feature is larger than `above`."""
        return replace(self, above=above)

    @property
    def basis(self) -> Literal["neurons", "latents"]:
        return "neurons" if self.sae is None else "latents"

    def __str__(self) -> str:
        what = "" if self.feature is None else f" {self.basis[:-1]} {self.feature}"
        return f"{self.operation}{what} at {self.site}"

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values; of the SAE only that there is one (`basis`), of a vector its norm."""
        return {
            "site": self.site,
            "basis": self.basis,
            "feature": self.feature,
            "operation": self.operation,
            "value": self.value,
            "min": self.min,
            "max": self.max,
            "norm": None if self.vector is None else float(self.vector.norm()),
            "spans": None if self.spans is None else [list(span) for span in self.spans],
            "label": None if self.label is None else list(self.label),
            "above": self.above,
        }


_VALUE = {"scale": "factor", "add": "amount", "direction": "amount"}


def _finite(number: float, name: str) -> float:
    if not math.isfinite(number):
        raise FreudError(f"{name} {number}: expected a finite number")
    return float(number)


class Window(NamedTuple):
    """A stretch of a clip that one row of a batch holds, in samples at 16 kHz; the rest of the row is padding."""

    start: int
    samples: int


Encodings = dict[tuple[str, int], tuple[Dictionary, Tensor, Tensor]]
"""By site and row: the SAE, frames that it was given, and their latents."""


class Seen(NamedTuple):
    """What the edits of a site did to one row, for those who want to know."""

    site: str
    row: int
    features: tuple[int, ...]
    before: Tensor  # [frames, features] as computed
    after: Tensor  # [frames, features] as left
    change: Tensor  # [frames] ||x' - x||
    norm: Tensor  # [frames] ||x||


def resolve(edits: Iterable[Edit], segments: Iterable[Any]) -> list[Edit]:
    """Edits with labels replaced by spans: the intervals that the clip has.

    Args:
        edits: any.
        segments: labeled intervals with `tier`, `label`, `start` and `end`, as of `freud.corpus`.

    Raises:
        UnknownNameError: the clip has no interval with such a label; the message says what it has.
    """
    segments = list(segments)
    resolved = []
    for edit in edits:
        if edit.label is None:
            resolved.append(edit)
            continue
        tier, label = edit.label
        spans = tuple((s.start, s.end) for s in segments if (s.tier, s.label) == (tier, label) and s.start < s.end)
        if not spans:
            labels = sorted({s.label for s in segments if s.tier == tier})
            tiers = sorted({s.tier for s in segments})
            has = f"tier {tier} has {', '.join(labels)}" if labels else f"it has tiers {', '.join(tiers) or '(none)'}"
            raise UnknownNameError(f"{edit}: the clip has no {label!r} in {tier!r}; {has}")
        resolved.append(replace(edit, label=None, spans=spans))
    return resolved


def check(edits: Sequence[Edit], model: AudioModel, seconds: float) -> None:
    """Refuse edits that do not fit a model, a clip of so many seconds, or each other.

    Raises:
        UnknownNameError: no such site or feature.
        FreudError: anything else that is wrong.
    """
    for number, edit in enumerate(edits):
        site = model.site(edit.site)
        _check_one(edit, site, model, seconds)
        for other in edits[:number]:
            if model.site(other.site) == site:
                _check_pair(other, edit)


def _check_one(edit: Edit, site: Site, model: AudioModel, seconds: float) -> None:
    if not site.writable:
        heads = site.name.removesuffix("pattern") + "heads"
        raise FreudError(f"site {site.name} is read-only; edit {heads} instead")
    if edit.operation == "direction" and (edit.vector is None or edit.vector.shape != (site.width,)):
        shape = None if edit.vector is None else list(edit.vector.shape)
        raise FreudError(f"{edit}: its vector has shape {shape}; expected [{site.width}]")
    if edit.sae is not None:
        origin = {"site": site.name, "model": model.name, "model_fingerprint": model.fingerprint}
        edit.sae.check_site(origin, site.width)
    if edit.operation != "direction":
        count = site.width if edit.sae is None else edit.sae.d_sae
        if edit.feature is None or not 0 <= edit.feature < count:
            raise UnknownNameError(f"feature {edit.feature}: {site.name} has {edit.basis} 0 to {count - 1}")
    if edit.label is not None:
        raise FreudError(f"{edit}: a label needs the clip's labeled intervals; give segments, or spans in seconds")
    if edit.spans is not None:
        if site.frames_per_second is None:
            raise FreudError(f"{edit}: a frame of {site.name} is a text token, which has no time; leave out the span")
        for start, end in edit.spans:
            if end > seconds + 1 / site.frames_per_second:
                raise FreudError(f"{edit}: span {start:g} to {end:g} s is outside the clip of {seconds:.2f} s")


def _check_pair(first: Edit, second: Edit) -> None:
    if "direction" in {first.operation, second.operation}:
        return
    if first.sae is not second.sae:
        what = "two SAEs" if first.sae and second.sae else "neurons and latents"
        raise FreudError(f"{first} and {second}: edit {what} of one site in separate runs, as each undoes the other")
    if first.feature != second.feature:
        return
    whole: tuple[Span, ...] = ((0.0, math.inf),)
    if any(a < d and c < b for a, b in first.spans or whole for c, d in second.spans or whole):
        raise FreudError(f"{first} and {second} contradict each other; give one edit, or spans that do not overlap")


def writes(
    edits: Sequence[Edit],
    model: AudioModel,
    windows: Sequence[Window],
    *,
    substitute: bool = False,
    pad_frames: bool = False,
    see: Callable[[Seen], None] | None = None,
    encodings: Encodings | None = None,
) -> dict[str, SiteEdits]:
    """The functions that carry out edits, by site, as `AudioModel.hooked` takes them.

    Args:
        edits: as `check` has passed them.
        model: what they are for.
        windows: what the rows of the batch hold; one for all rows, or one a row.
        substitute: at sites with edits of latents, x becomes the reconstruction.
        pad_frames: padding is edited too.
        see: told about each row, each time a site is computed.
        encodings: shared by variants of one batch, so that an SAE encodes the same frames once.
    """
    sites: dict[str, list[Edit]] = {}
    for edit in edits:
        sites.setdefault(model.site(edit.site).name, []).append(edit)
    return {
        name: SiteEdits(model.site(name), tuple(group), tuple(windows), substitute, pad_frames, see, encodings)
        for name, group in sites.items()
    }


def reconstructions(edits: Sequence[Edit]) -> list[Edit]:
    """Edits that change no latent, one for each SAE in use; with `substitute` they give the bare reconstruction."""
    by_site = {edit.site: Edit(edit.site, "scale", 0, edit.sae, value=1.0) for edit in edits if edit.sae}
    return list(by_site.values())


@dataclass(frozen=True)
class SiteEdits:
    """All edits of one site as a function of its activations."""

    site: Site
    edits: tuple[Edit, ...]
    windows: tuple[Window, ...]
    substitute: bool
    pad_frames: bool
    see: Callable[[Seen], None] | None
    encodings: Encodings | None

    def __call__(self, x: Tensor) -> Tensor:
        """x: [B, T, width]."""
        replaced = x
        for row in range(len(x)):
            window = self.windows[row if len(self.windows) > 1 else 0]
            frames = self._frames(window, x.shape[1])
            given = x[row, :frames]
            edited = self._edit(given.to(torch.promote_types(x.dtype, torch.float32)), window, row)
            if edited is not None:
                if replaced is x:
                    replaced = x.clone()
                replaced[row, :frames] = edited.to(x.dtype)
        return replaced

    def _frames(self, window: Window, length: int) -> int:
        """How many frames of a row may be edited."""
        if self.site.frames_per_second is None or self.pad_frames:
            return length
        return min(length, valid_frames(window.samples))

    def _edit(self, x: Tensor, window: Window, row: int) -> Tensor | None:
        """x: [frames, width] of one row as edited, or None if nothing changes."""
        sae = next((edit.sae for edit in self.edits if edit.sae), None)
        features = tuple(dict.fromkeys(edit.feature for edit in self.edits if edit.feature is not None))
        latents = x if sae is None else self._encode(sae, x, row)  # [frames, neurons or latents]
        before = latents[:, list(features)]
        after = before.clone()
        for edit in self.edits:
            if edit.feature is not None:
                column = features.index(edit.feature)
                when = self._when(edit, window, before[:, column])
                after[when, column] = _operate(edit, before[when, column])
        moved = (after != before).any(1)
        result = x
        if sae is not None and self.substitute:
            result = _reconstruct(sae, x, latents.index_copy(1, torch.tensor(features, device=x.device), after)).to(x)
        elif sae is not None and bool(moved.any()):
            delta = (after - before)[moved] @ sae.W_dec[list(features)].to(x)
            result = x.clone()
            result[moved] += delta * sae.frame_scale(x[moved])
        elif sae is None and bool(moved.any()):
            result = x.index_copy(1, torch.tensor(features, device=x.device), after)
        for edit in self.edits:
            if edit.vector is not None:
                when = self._when(edit, window, x[:, 0])
                result = result + when[:, None] * edit.value * edit.vector.to(x)
        if self.see is not None:
            change = (result - x).norm(dim=1)
            self.see(Seen(self.site.name, row, features, before, after, change, x.norm(dim=1)))
        return None if result is x else result

    def _encode(self, sae: Dictionary, x: Tensor, row: int) -> Tensor:
        if self.encodings is None:
            return sae.encode(x)
        key = (self.site.name, row)
        known = self.encodings.get(key)
        if known is None or known[0] is not sae or not torch.equal(known[1], x):
            self.encodings[key] = known = (sae, x, sae.encode(x))
        return known[2]

    def _when(self, edit: Edit, window: Window, value: Tensor) -> Tensor:
        """The frames [frames] bool that an edit is for; `value` is the feature's own."""
        when = torch.ones_like(value, dtype=torch.bool)
        if edit.spans is not None:
            middle = (torch.arange(len(value), device=value.device) + 0.5) * SAMPLES_PER_FRAME + window.start
            times = middle.double() / SAMPLE_RATE
            inside = torch.zeros_like(when)
            for start, end in edit.spans:
                inside |= (times >= start) & (times < end)
            when = inside
        return when if edit.above is None else when & (value > edit.above)


def _reconstruct(sae: Dictionary, x: Tensor, latents: Tensor) -> Tensor:
    """The frames that `latents` stand for, where x is what they were made from."""
    scale = sae.frame_scale(x)
    if isinstance(scale, float):
        return sae.decode(latents)
    return sae(x) + (latents - sae.encode(x)) @ sae.W_dec * scale  # frames were scaled each by itself


def _operate(edit: Edit, value: Tensor) -> Tensor:
    """What becomes of a feature's values."""
    if edit.operation == "scale":
        return value * edit.value
    if edit.operation == "add":
        return value + edit.value
    if edit.operation == "clamp":
        return value.clamp(edit.min, edit.max)
    return torch.full_like(value, edit.value if edit.operation == "set" else 0.0)
