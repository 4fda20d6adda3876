"""A linear probe on the encoder's final output: how an edit's effect is seen in a model that cannot transcribe.

A probe is one safetensors file: `weight` [classes, width] and `bias` [classes] in float32, and in its metadata
`classes` (a JSON list of names), `site`, `model` and `model_fingerprint`. A frame's log-probabilities are
log_softmax(y weight^T + bias), where y is what the site gives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from freud.artifacts import replacing
from freud.editing.result import ProbeChange
from freud.errors import DamagedFileError, FreudError
from freud.models import AudioModel

SITE = "encoder.ln_post"


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier of frames.

    Attributes:
        weight: [classes, width]. bias: [classes].
        classes: their names.
        model, model_fingerprint: what it was trained on.
        site: what it reads.
    """

    weight: Tensor
    bias: Tensor
    classes: tuple[str, ...]
    model: str
    model_fingerprint: str
    site: str = SITE

    @staticmethod
    def load(path: Path | str) -> Probe:
        """Read a probe file.

        Raises:
            FreudError: it is absent, damaged, or holds something else.
        """
        path = Path(path)
        if not path.is_file():
            raise FreudError(f"{path}: no such file; expected a probe, one safetensors file")
        try:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name).float() for name in ("weight", "bias")}
                facts = file.metadata() or {}
                classes = tuple(json.loads(facts["classes"]))
                probe = Probe(**tensors, classes=classes, **{key: facts[key] for key in _FACTS})
        except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
            problem = " ".join(str(error).split())[:160]
            raise DamagedFileError(f"{path}: not a probe ({problem}); expected the layout of docs/formats.md") from None
        shape = (len(classes), *probe.weight.shape[1:])
        if probe.weight.ndim != 2 or tuple(probe.weight.shape) != shape or tuple(probe.bias.shape) != shape[:1]:
            raise DamagedFileError(
                f"{path}: {len(classes)} classes, weight {list(probe.weight.shape)}, bias {list(probe.bias.shape)};"
                " expected [classes, width] and [classes]"
            )
        return probe

    def save(self, path: Path | str) -> None:
        """Write the probe as one safetensors file."""
        facts = {"classes": json.dumps(self.classes), **{key: str(getattr(self, key)) for key in _FACTS}}
        with replacing(Path(path)) as temporary:
            save_file({"weight": self.weight.contiguous(), "bias": self.bias.contiguous()}, temporary, facts)

    def check(self, model: AudioModel) -> None:
        """Refuse a model that the probe was not trained on.

        Raises:
            FreudError: another model, site or width.
        """
        if self.site != SITE:
            raise FreudError(f"probe of {self.site}: expected one of {SITE}, the encoder's final output")
        if self.model_fingerprint != model.fingerprint:
            raise FreudError(
                f"probe of model {self.model} ({self.model_fingerprint}): this is {model.name} ({model.fingerprint});"
                " use one trained on this model"
            )
        width = model.site(SITE).width
        if self.weight.shape[1] != width:
            raise FreudError(f"probe of width {self.weight.shape[1]}: {SITE} has width {width}")

    def log_probabilities(self, frames: Tensor) -> Tensor:
        """frames: [frames, width] to [frames, classes]."""
        return torch.log_softmax(frames.float() @ self.weight.T.to(frames.device) + self.bias.to(frames.device), -1)

    def changes(self, before: Tensor, after: Tensor) -> tuple[ProbeChange, ...]:
        """What an edit did to each class; before, after: [frames, classes] log-probabilities."""
        counts = [torch.bincount(scores.argmax(1), minlength=len(self.classes)).tolist() for scores in (before, after)]
        change = (after - before).mean(0).tolist()
        return tuple(
            ProbeChange(label, plain, edited, moved)
            for label, plain, edited, moved in zip(self.classes, *counts, change, strict=True)
        )


_FACTS = ("model", "model_fingerprint", "site")


def train_probe(
    model: AudioModel, frames: Tensor, labels: Sequence[str], *, penalty: float = 1e-3, steps: int = 200
) -> Probe:
    """Multinomial logistic regression by L-BFGS on frames scaled to unit variance, folded into the weights.

    Args:
        model: whose encoder output the frames are.
        frames: [frames, width].
        labels: the class of each.
        penalty: weight of half the squared weights beside the mean negative log-likelihood.
        steps: most iterations.

    Raises:
        FreudError: fewer than two classes.
    """
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise FreudError(f"a probe needs two classes or more; the labels have {len(classes)}")
    target = torch.tensor([classes.index(label) for label in labels])
    mean, std = frames.mean(0), frames.std(0).clamp_min(1e-6)
    x = (frames - mean) / std
    weight = torch.zeros(len(classes), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(classes), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(x @ weight.T + bias, target) + penalty / 2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        scaled = weight / std
        return Probe(scaled, bias - scaled @ mean, tuple(classes), model.name, model.fingerprint)
