"""What an architecture provides: its settings, its training state, and the registry of all of them.

To add one, write a file with a frozen dataclass of settings that derives from `Architecture`, a `Training`, and (unless
one of those there are will do) an `SAE`, and name the settings in `freud.saes.__init__`; training, checkpoints and
files then work unchanged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from freud.errors import FreudError
from freud.saes import parallel
from freud.saes.sae import SAE, normalized

Scaling = Literal["rms", "dimension", "frame"]
SCALINGS = get_args(Scaling)


@dataclass(frozen=True, kw_only=True)
class Architecture(ABC):
    """Settings of one kind of SAE.

    Attributes:
        expansion: d_sae as a multiple of d_in.
        d_sae: number of latents, instead of `expansion`.
        dead_after: a latent is dead when it has not fired in this many frames.
        scaling: of the inputs in training, undone in the finished SAE: "rms" gives them unit mean square; "dimension"
            gives each dimension zero mean and unit variance, for sites where a few dimensions hold most of the
            variance; "frame" gives each frame the same norm, for sites where a few frames do.
    """

    name: ClassVar[str]

    expansion: float = 16
    d_sae: int | None = None
    dead_after: int = 200_000
    scaling: Scaling = "rms"

    def latents(self, d_in: int) -> int:
        """The number of latents for inputs of width `d_in`."""
        return self.d_sae if self.d_sae is not None else round(self.expansion * d_in)

    def check(self, d_in: int) -> None:
        """Raise a FreudError that names the first setting out of range for inputs of width `d_in`."""
        require("d_sae", self.d_sae, self.d_sae is None or self.d_sae >= 1, "at least 1")
        require("expansion", self.expansion, self.latents(d_in) >= 1, f"at least one latent for width {d_in}")
        require("dead_after", self.dead_after, self.dead_after >= 0, "0 or more frames")
        require("scaling", self.scaling, self.scaling in SCALINGS, f"one of {', '.join(SCALINGS)}")

    def to_dict(self) -> dict[str, Any]:
        """Name and settings as JSON values."""
        return {"architecture": self.name, **asdict(self)}

    @abstractmethod
    def start(self, sample: Tensor, seed: int) -> Training:
        """Training state initialized from a sample of frames [frames, d_in] float32."""


@dataclass
class Loss:
    """What one step computed. Scalars stay tensors so that a step does not wait for the device.

    Of several processes each has its share: `total` and `reconstruction` are to be summed.

    Attributes:
        total: what is minimised.
        reconstruction: sum of squared errors, in the scaled units of training.
        l0: mean number of active latents a frame.
        parts: further terms for the log.
    """

    total: Tensor
    reconstruction: Tensor
    l0: Tensor
    parts: dict[str, Tensor]


class Training(nn.Module, ABC):
    """Weights in training, of inputs scaled as the settings say; `finish` undoes that.

    The decoder starts as random unit rows and the encoder as its transpose (in `auxk.py` half of it); `b_dec` starts at
    the geometric median of the sample.

    Attributes:
        W_enc: [d_in, d_sae]. W_dec: [d_sae, d_in]. b_dec: [d_in].
        mean, scale: training takes (x - mean) * scale; each [] or [d_in].
        dead_after: frames of silence after which a latent counts as dead.
        since_fired: [d_sae] int64, frames since each latent was last active; part of the checkpoint.
        resample_every: steps between calls of `resample`; 0 for never.
    """

    W_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    mean: Tensor
    scale: Tensor
    since_fired: Tensor
    resample_every: int = 0

    def __init__(self, settings: Architecture, sample: Tensor, seed: int) -> None:
        super().__init__()
        d_in = sample.shape[1]
        d_sae = settings.latents(d_in)
        self.dead_after = settings.dead_after
        self.per_frame = settings.scaling == "frame"
        mean, scale = standardization(sample, settings.scaling)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("since_fired", torch.zeros(d_sae, dtype=torch.int64))
        decoder = torch.randn(d_sae, d_in, generator=torch.Generator().manual_seed(seed))
        unit_rows_(decoder)
        self.W_dec = nn.Parameter(decoder)
        self.W_enc = nn.Parameter(decoder.clone().T)  # in memory [d_sae, d_in], as sparse products want it
        self.b_dec = nn.Parameter(geometric_median(self.prepare(sample)))

    def prepare(self, x: Tensor) -> Tensor:
        """Frames [frames, d_in] in the units of training."""
        if self.per_frame:
            x, _, _ = normalized(x, "constant_norm_rescale")
        return (x - self.mean) * self.scale if self.mean.ndim else x * self.scale

    @abstractmethod
    def loss(self, x: Tensor, progress: float) -> Loss:
        """Loss on a batch x [frames, d_in] in its original units; `progress` runs from 0 to 1 over the training."""

    def expect(self, x: Tensor) -> int | None:
        """Called before a step on x [frames, d_in].

        Steps for which it returns the same number do the same work, and may be recorded (`replay.py`); None if what a
        step does depends on what it finds, or on its number.
        """

    @abstractmethod
    def sae(self) -> SAE:
        """The SAE for inference, in the units of training; it shares no memory with the training."""

    @torch.no_grad()
    def finish(self) -> SAE:
        """The SAE for inference, in the units of the activations."""
        sae = self.sae()
        sae.fold_scaling(self.scale, self.mean)
        if self.per_frame:
            sae.normalize_activations = "constant_norm_rescale"
        return sae

    @torch.no_grad()
    def before_step(self) -> None:
        """Called between the backward pass and the optimizer."""
        remove_parallel_(self.W_dec)

    @torch.no_grad()
    def after_step(self) -> None:
        """Called after the optimizer."""
        unit_rows_(self.W_dec.data)
        self.constrain()

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring back weights other than the decoder that have left their range."""

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Start dead latents anew from frames x [frames, d_in] in their original units; [d_sae] bool: which."""
        raise NotImplementedError

    @torch.no_grad()
    def count_firing(self, fired: Tensor, frames: int | Tensor) -> None:
        """Update the dead-latent counters. fired: [d_sae] bool, active in this batch of `frames` in all processes."""
        self.since_fired += frames
        self.since_fired.masked_fill_(parallel.any_of(fired), 0)


def require(name: str, value: object, good: bool, expected: str) -> None:
    """Raise a FreudError that names a setting, unless its value is `good`."""
    if not good:
        raise FreudError(f"{name} {value}: expected {expected}")


def center(x: Tensor, W_enc: Tensor, b_dec: Tensor) -> tuple[Tensor, Tensor]:  # noqa: N803
    """x - b_dec without a gradient [frames, d_in], and what to add to its products with W_enc [d_sae].

    That is zero and has the gradient of b_dec, which so costs a product with a vector instead of one with all frames.
    """
    constant = b_dec.detach()
    return x - constant, (constant - b_dec) @ W_enc.detach()


def standardization(sample: Tensor, scaling: Scaling) -> tuple[Tensor, Tensor]:
    """Mean and factor with which (x - mean) * factor is scaled as wanted, of a `sample` [frames, d_in].

    Raises:
        FreudError: the sample is all zeros or not finite.
    """
    scale = unit_scale(sample)
    match scaling:
        case "rms":
            return torch.zeros(()), scale
        case "dimension":
            # A dimension that hardly moves is not to be blown up to noise.
            return sample.mean(0), 1 / torch.maximum(sample.std(0, correction=0), 1e-3 / scale)
        case "frame":
            return torch.zeros(()), torch.ones(())


def unit_scale(sample: Tensor) -> Tensor:
    """The factor that gives `sample` [frames, d_in] unit mean square.

    Raises:
        FreudError: the sample is all zeros or not finite.
    """
    mean_square = sample.square().mean()
    if not torch.isfinite(mean_square) or mean_square == 0:
        raise FreudError("activations: all zero or not finite; check the model and the corpus they were collected from")
    return mean_square.rsqrt()


def geometric_median(points: Tensor, iterations: int = 100, tolerance: float = 1e-6) -> Tensor:
    """The point with the least sum of distances to `points` [n, d], by Weiszfeld's algorithm; robust to outliers."""
    guess = points.mean(0)
    for _ in range(iterations):
        weights = 1 / (points - guess).norm(dim=1).clamp_min(1e-9)
        moved = (weights[:, None] * points).sum(0) / weights.sum()
        if (moved - guess).norm() <= tolerance * guess.norm().clamp_min(1e-9):
            return moved
        guess = moved
    return guess


@torch.no_grad()
def unit_rows_(weight: Tensor) -> None:
    """Scale every row of `weight` [d_sae, d_in] to norm 1, in place."""
    weight /= weight.norm(dim=1, keepdim=True).clamp_min(torch.finfo(weight.dtype).tiny)


@torch.no_grad()
def remove_parallel_(weight: Tensor) -> None:
    """Take from the gradient of unit rows `weight` [d_sae, d_in] the part that would only change their norm."""
    assert weight.grad is not None
    along = torch.bmm(weight.grad[:, None], weight[:, :, None])[:, 0]  # vecdot would write all products first
    weight.grad.addcmul_(along, weight, value=-1)
