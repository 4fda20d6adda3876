"""Arguments that several verbs share, and how flags become the settings of an architecture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro

from freud.errors import FreudError

if TYPE_CHECKING:
    from freud.models import AudioModel
    from freud.saes import Architecture, Options

Sites = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="site")]
Switch = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help_behavior_hint="")]
Json = Switch

Basis = Literal["neurons", "latents"]
Dtype = Literal["float16", "bfloat16", "float32"]
Kind = Literal["topk", "batchtopk", "matryoshka", "jumprelu", "gated", "l1"]

T = TypeVar("T")
Maybe = Annotated[T | None, tyro.conf.arg(help_behavior_hint="")]  # its help says what happens without it


def refuse(reason: str, **flags: Any) -> None:
    """Refuse flags that were given where they have no meaning.

    Args:
        reason: what follows "has no meaning", such as "without --add".
        flags: values by name; None, False and () say that a flag was not given.

    Raises:
        FreudError: at least one was given.
    """
    present = [
        f"--{name.replace('_', '-')}" for name, value in flags.items() if value not in (None, ()) and value is not False
    ]
    if present:
        raise FreudError(f"{', '.join(present)}: {'have' if len(present) > 1 else 'has'} no meaning {reason}")


@dataclass(frozen=True, kw_only=True)
class Computation:
    """Where a model computes, and in what numbers."""

    device: Maybe[str] = None
    """cpu, cuda or cuda:N (default: the CPU to run a model, a GPU if there is one to train an SAE)."""
    dtype: Maybe[Dtype] = None
    """Of the model's weights and activations (default: float32)."""

    def settings(self) -> dict[str, str]:
        """The arguments `device` and `dtype` of `freud.models.load`, with the defaults filled in."""
        return {"device": self.device or "cpu", "dtype": self.dtype or "float32"}

    def load(self, name: str) -> AudioModel:
        """The model of this name.

        Raises:
            FreudError: there is no such model, or no such device on this machine.
        """
        from freud import models

        return models.load(name, **self.settings())


@dataclass(frozen=True, kw_only=True)
class Training:
    """Flags of training. What is not given takes the default of `freud.saes`."""

    expansion: Maybe[float] = None
    """Latents as a multiple of the site's width (default: 16)."""
    d_sae: Maybe[int] = None
    """Number of latents, instead of --expansion."""
    scaling: Maybe[Literal["rms", "dimension", "frame"]] = None
    """Of the inputs while training, undone in the SAE: all alike, each dimension, or each frame (default: rms)."""
    dead_after: Maybe[int] = None
    """A latent is dead when silent for this many frames (default: 200000)."""
    k: Maybe[int] = None
    """topk, batchtopk, matryoshka: active latents a frame (default: 32)."""
    aux_k: Maybe[int] = None
    """The same: dead latents that predict the residual (default: half the site's width)."""
    multi_topk: Switch = False
    """topk: also reconstruct from four times as many latents."""
    coefficient: Maybe[float] = None
    """l1, gated, jumprelu: weight of the penalty (default: 0.08; jumprelu 0.002)."""
    penalty: Maybe[Literal["l0", "tanh"]] = None
    """jumprelu: what is penalized (default: l0)."""
    tied: Switch = False
    """l1: one matrix for encoder and decoder."""
    resample_every: Maybe[int] = None
    """l1: steps after which dead latents start anew, in the first half (default: never)."""
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
    largest_norm: Maybe[float] = None
    """Leave out frames whose norm is more than this many times the median; inf keeps all (default: 10)."""
    ema: Maybe[float] = None
    """Write the moving average of the weights, with this memory, such as 0.999 (default: the last weights)."""
    precision: Maybe[Literal["float32", "bfloat16"]] = None
    """Of the products; weights stay float32 (default: float32)."""
    seed: Maybe[int] = None
    """Of the initial weights (default: 0)."""
    data_seed: Maybe[int] = None
    """Of the split and the order of frames (default: 0)."""

    def architecture(self, name: str) -> Architecture:
        """The settings of architecture `name`.

        Raises:
            FreudError: a flag of another architecture was given, or two that say the same.
        """
        from freud.saes import ARCHITECTURES

        if self.d_sae is not None:
            refuse("with --d-sae", expansion=self.expansion)
        kind = ARCHITECTURES[name]
        given = self.settings()
        if foreign := sorted(given.keys() - {field.name for field in fields(kind)}):
            raise FreudError(f"--{foreign[0].replace('_', '-')}: has no meaning with --architecture {name}")
        return kind(**given)

    def settings(self) -> dict[str, Any]:
        """The settings of architectures that were given."""
        from freud.saes import ARCHITECTURES

        every = {field.name for kind in ARCHITECTURES.values() for field in fields(kind)}
        return {
            flag: value
            for flag, value in vars(self).items()
            if flag in every and value is not None and value is not False  # 0 is a value
        }

    def given(self) -> dict[str, Any]:
        """The options of training that were given."""
        from freud.saes import Options

        values: dict[str, Any] = {"batch_size": self.train_batch_size}
        values |= {
            field.name: getattr(self, field.name, None) for field in fields(Options) if field.name != "batch_size"
        }
        return {name: value for name, value in values.items() if value is not None}

    def options(self) -> Options:
        """How to train, with the defaults filled in."""
        from freud.saes import Options

        return Options(**self.given())
