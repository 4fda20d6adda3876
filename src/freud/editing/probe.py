"""A linear probe on the encoder's final output: how an edit's effect is seen in a model that cannot transcribe.

A probe is one safetensors file: `weight` [classes, width] and `bias` [classes] in float32, and in its metadata
`classes` (a JSON list of names), `site`, `model` and `model_fingerprint`. A frame's log-probabilities are
log_softmax(y weight^T + bias).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier of frames.

    Attributes:
        weight: [classes, width]. bias: [classes].
        classes: their names.
        site: what it reads, `encoder.ln_post`.
        model, model_fingerprint: what it was trained on.
    """

    weight: Tensor
    bias: Tensor
    classes: tuple[str, ...]
    site: str
    model: str
    model_fingerprint: str

    @staticmethod
    def load(path: Path | str) -> Probe:
        """Read a probe file.

        Raises:
            FreudError: it is absent, damaged, or holds something else.
        """
        raise NotImplementedError

    def save(self, path: Path | str) -> None:
        """Write the probe as one safetensors file."""
        raise NotImplementedError
