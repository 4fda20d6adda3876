"""What an edit is, and what it does to the activations of a site while the model runs.

An edit names a feature (a neuron, or a latent of an SAE), what shall become of its value f, and when. By default the
reconstruction error is kept: x becomes x + (f' - f) W_dec, so an edit that leaves f as it is changes no bit of x. With
`substitute` x becomes the reconstruction of the edited latents instead, on every valid frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from freud.audio import SAMPLE_RATE, valid_frames
from freud.errors import FreudError, UnknownNameError
from freud.models.sites import Site

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
                `freud.editing.percentiles`.
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
        what = "direction" if self.feature is None else f"{self.basis[:-1]} {self.feature}"
        return f"{self.operation} {what} at {self.site}" if self.feature is not None else f"direction at {self.site}"

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
