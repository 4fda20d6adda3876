"""Arguments that several verbs share, and how flags become the settings of an architecture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro

from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.saes import Architecture, Options

Sites = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="site")]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
Json = Switch

T = TypeVar("T")
Maybe = Annotated[T | None, tyro.conf.arg(help_behavior_hint="")]  # its help says what happens without it


@dataclass(frozen=True, kw_only=True)
class Training:
    """Flags of training. What is not given takes the default of `freud.saes`."""

    expansion: Maybe[float] = None
    """Latents as a multiple of the site's width (default: 16)."""
    d_sae: Maybe[int] = None
    """Number of latents, instead of --expansion."""
    k: Maybe[int] = None
    """topk: active latents a frame (default: 32)."""
    aux_k: Maybe[int] = None
    """topk: dead latents that predict the residual (default: half the site's width)."""
    dead_after: Maybe[int] = None
    """A latent is dead when silent for this many frames (default: 200000)."""
    coefficient: Maybe[float] = None
    """l1: weight of the penalty (default: 0.08)."""
    tied: Switch = False
    """l1: one matrix for encoder and decoder."""
    steps: Maybe[int] = None
    """Optimizer steps (default: about 50 passes over the frames, at least a million frames)."""
    train_batch_size: Maybe[int] = None
    """Frames a step (default: 2048)."""
    lr: Maybe[float] = None
    """Peak learning rate (default: 1.6e-3, scaled by the number of latents)."""
    schedule: Maybe[Literal["cosine", "linear", "constant"]] = None
    """How the learning rate falls (default: cosine)."""
    warmup: Maybe[float] = None
    """Share of the steps over which it rises (default: 0.05)."""
    validation: Maybe[float] = None
    """Share of the clips held out (default: 0.1)."""
    precision: Maybe[Literal["float32", "bfloat16"]] = None
    """Of the products; weights stay float32 (default: float32)."""
    seed: Maybe[int] = None
    """Of the split, the order of frames and the initial weights (default: 0)."""

    def architecture(self, name: str) -> Architecture:
        """The settings of architecture `name`.

        Raises:
            FreudError: a flag of another architecture was given.
        """
        from freud.saes import ARCHITECTURES

        kind = ARCHITECTURES[name]
        every = {field.name for other in ARCHITECTURES.values() for field in fields(other)}
        known = {field.name for field in fields(kind)}
        given = {
            flag: value
            for flag, value in vars(self).items()
            if flag in every and value is not None and value is not False  # 0 is a value
        }
        if foreign := sorted(given.keys() - known):
            raise FreudError(f"--{foreign[0].replace('_', '-')}: has no meaning with --architecture {name}")
        return kind(**given)

    def options(self) -> Options:
        """How to train, with the defaults filled in."""
        from freud.saes import Options

        given: dict[str, Any] = {"batch_size": self.train_batch_size}
        given |= {
            field.name: getattr(self, field.name, None) for field in fields(Options) if field.name != "batch_size"
        }
        return Options(**{name: value for name, value in given.items() if value is not None})
