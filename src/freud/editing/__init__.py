"""Edits and their effects: turn a feature up or down and see exactly what the model then hears.

`edit` runs a clip as it is, reconstructed and edited; `sweep_clip` and `sweep_corpus` do it many times over. Edits are
made from features: `sae[30].scale(-1)`, `neuron("encoder.blocks.1.mlp.1", 5).ablate()`.
"""

from freud.editing.probe import Probe, train_probe
from freud.editing.result import Difference, EditResult, Heard, OutputChange, ProbeChange, SiteChange, Trace, Word
from freud.editing.run import edit
from freud.editing.sweep import EFFECTS, curves, sweep_clip, sweep_corpus
from freud.models.edits import Edit, Feature, direction, latent, neuron

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
    "curves",
    "direction",
    "edit",
    "latent",
    "neuron",
    "sweep_clip",
    "sweep_corpus",
    "train_probe",
]
