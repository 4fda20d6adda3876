"""Where an edit's parts come from: the SAE of a result or a folder, and what one unit of `add` is worth."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from freud.errors import FreudError, UnknownNameError
from freud.models import AudioModel
from freud.models.edits import Feature

if TYPE_CHECKING:
    from freud.saes import SAE

BUNDLED = "bundled"


def bundled_sae() -> Path:
    """The folder of the SAE of `encoder.blocks.2` of nano that comes with the package."""
    return Path(str(resources.files("freud") / "bundled" / "sae"))


def open_sae(path: Path | str, site: str | None = None) -> SAE:
    """An SAE: the bundled one (`bundled`), that of a folder, or that of a site in a folder written by `freud discover`.

    Args:
        path: where.
        site: which site's, where there are several.

    Raises:
        UnknownNameError: there is none for that site; the message says which there are.
        FreudError: there is none at all.
    """
    from freud.saes.formats import load

    folder = bundled_sae() if str(path) == BUNDLED else Path(path)
    if (folder / "saes").is_dir():
        there = {each.parent.name: each.parent for each in sorted((folder / "saes").glob("*/cfg.json"))}
        if not there:
            raise FreudError(f"{folder}: has no trained SAE; edit neurons, or train one with `freud train`")
        if site is None and len(there) > 1:
            raise UnknownNameError(f"{folder}: give a site; it has SAEs of {', '.join(there)}")
        if site is not None and site not in there:
            raise UnknownNameError(f"{folder}: no SAE of {site!r}; it has those of {', '.join(there)}")
        folder = there[site or next(iter(there))]
    return load(folder)


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
