"""Arguments that several verbs share, and how flags become the settings of an architecture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.saes import Architecture
    from freud.saes.train import Options

Sites = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="site")]
Json = Annotated[bool, tyro.conf.FlagCreatePairsOff]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Flags of training. What is not given takes the default of `freud.saes`."""

    expansion: float | None = None
    """Latents as a multiple of the site's width (16)."""
    d_sae: int | None = None
    """Number of latents, instead of --expansion."""
    k: int | None = None
    """topk: active latents a frame (32)."""
    aux_k: int | None = None
    """topk: dead latents that predict the residual (half the site's width)."""
    dead_after: int | None = None
    """A latent is dead when silent for this many frames (200000)."""
    coefficient: float | None = None
    """l1: weight of the penalty (0.05)."""
    tied: Literal[True] | None = None
    """l1: True for one matrix for encoder and decoder."""
    steps: int | None = None
    """Optimiser steps (about 50 passes over the frames, at least a million frames)."""
    train_batch_size: int | None = None
    """Frames a step (2048)."""
    lr: float | None = None
    """Peak learning rate (8e-4, scaled by the number of latents)."""
    schedule: Literal["cosine", "linear", "constant"] | None = None
    """How the learning rate falls (cosine)."""
    warmup: float | None = None
    """Share of the steps over which it rises (0.05)."""
    validation: float | None = None
    """Share of the clips held out (0.1)."""
    precision: Literal["float32", "bfloat16"] | None = None
    """Of the products; weights stay float32 (float32)."""
    seed: int | None = None
    """Of the split, the order of frames and the initial weights (0)."""

    def architecture(self, name: str) -> Architecture:
        """The settings of architecture `name`.

        Raises:
            FreudError: a flag of another architecture was given.
        """
        from freud.saes import ARCHITECTURES

        kind = ARCHITECTURES[name]
        every = {field.name for other in ARCHITECTURES.values() for field in fields(other)}
        known = {field.name for field in fields(kind)}
        given = {flag: value for flag, value in vars(self).items() if flag in every and value is not None}
        if foreign := sorted(given.keys() - known):
            raise FreudError(f"--{foreign[0].replace('_', '-')}: has no meaning with --architecture {name}")
        return kind(**given)

    def options(self) -> Options:
        """How to train, with the defaults filled in."""
        from freud.saes.train import Options

        given: dict[str, Any] = {"batch_size": self.train_batch_size}
        given |= {
            field.name: getattr(self, field.name, None) for field in fields(Options) if field.name != "batch_size"
        }
        return Options(**{name: value for name, value in given.items() if value is not None})
