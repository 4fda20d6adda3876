"""Edits and their effects: turn a feature up or down and see exactly what the model then hears.

`edit` runs a clip as it is, reconstructed and edited; `sweep_clip` and `sweep_corpus` do it many times over. Edits are
made from features: `sae[30].scale(-1)`, `neuron("encoder.blocks.1.mlp.1", 5).ablate()`. Each part is imported when it
is first used: an edit from the command line has no time for tables.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from freud.editing.probe import Probe, train_probe
    from freud.editing.result import Difference, EditResult, Heard, OutputChange, ProbeChange, SiteChange, Trace, Word
    from freud.editing.run import edit
    from freud.editing.sources import bundled_sae, percentile
    from freud.editing.sweep import EFFECTS, curves, sweep_clip, sweep_corpus
    from freud.models.edits import Edit, Feature, direction, latent, neuron

_LAZY = {
    "freud.editing.probe": ("Probe", "train_probe"),
    "freud.editing.result": (
        "Difference",
        "EditResult",
        "Heard",
        "OutputChange",
        "ProbeChange",
        "SiteChange",
        "Trace",
        "Word",
    ),
    "freud.editing.run": ("edit",),
    "freud.editing.sources": ("bundled_sae", "percentile"),
    "freud.editing.sweep": ("EFFECTS", "curves", "sweep_clip", "sweep_corpus"),
    "freud.models.edits": ("Edit", "Feature", "direction", "latent", "neuron"),
}
_HOME = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "EFFECTS",
    "Difference",
    "Edit",
    "EditResult",
    "Feature",
    "Heard",
    "OutputChange",
    "Probe",
    "ProbeChange",
    "SiteChange",
    "Trace",
    "Word",
    "bundled_sae",
    "curves",
    "direction",
    "edit",
    "latent",
    "neuron",
    "percentile",
    "sweep_clip",
    "sweep_corpus",
    "train_probe",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'freud.editing' has no attribute {name!r}")
