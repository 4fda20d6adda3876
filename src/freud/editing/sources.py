"""Where an edit's parts come from: the bundled SAE, and what one unit of `add` is worth."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import numpy as np

from freud.errors import FreudError
from freud.models import AudioModel
from freud.models.edits import Feature

BUNDLED = "bundled"


def bundled_sae() -> Path:
    """The folder of the SAE of `encoder.blocks.2` of nano that comes with the package."""
    return Path(str(resources.files("freud") / "bundled" / "sae"))


def percentile(model: AudioModel, feature: Feature, clips: Iterable[np.ndarray], q: float = 99.0) -> float:
    """A percentile of a feature over the frames of clips on which it is above zero: what one unit of `add` is worth.

    Args:
        model: the model.
        feature: at a site of its encoder.
        clips: samples at 16 kHz.
        q: which percentile.

    Raises:
        FreudError: the feature is above zero on no frame.
    """
    import torch

    from freud.audio import valid_frames

    site = model.site(feature.site).name
    found = []
    for samples in clips:
        for start in range(0, len(samples), model.window_samples):
            part = samples[start : start + model.window_samples]
            x = model.activations(model.log_mel([part]), [site])[site][0, : valid_frames(len(part))].float()
            with torch.inference_mode():
                values = (x if feature.sae is None else feature.sae.encode(x))[:, feature.index]
            found.append(values[values > 0].cpu().numpy())
    values = np.concatenate(found) if found else np.zeros(0)
    if not len(values):
        raise FreudError(f"feature {feature.index} of {site} is never active on these clips; give `add` a raw amount")
    return float(np.percentile(values, q))
