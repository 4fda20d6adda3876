"""Sparse autoencoders: settings of each architecture, training, files.

`TopK`, `BatchTopK`, `Matryoshka`, `JumpReLU`, `Gated` and `L1` say what to train, `train` trains it, `load` reads what
it wrote, as an `SAE` that encodes and decodes. What trains is imported when it is first used: who only loads an SAE
need not wait for tables and threads.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from freud.saes.architecture import Architecture, Training
from freud.saes.batchtopk import BatchTopK
from freud.saes.formats import export_sae, import_sae, load, save
from freud.saes.gated import Gated
from freud.saes.jumprelu import JumpReLU
from freud.saes.l1 import L1
from freud.saes.matryoshka import Matryoshka
from freud.saes.metrics import Reconstruction, reconstruction
from freud.saes.options import Options
from freud.saes.recipe import Recipe, Run, read_recipe
from freud.saes.sae import SAE, Sparse
from freud.saes.topk import TopK

if TYPE_CHECKING:
    from freud.saes.training import sweep, train

ARCHITECTURES: dict[str, type[Architecture]] = {
    kind.name: kind for kind in (TopK, BatchTopK, Matryoshka, JumpReLU, Gated, L1)
}

__all__ = [
    "ARCHITECTURES",
    "L1",
    "SAE",
    "Architecture",
    "BatchTopK",
    "Gated",
    "JumpReLU",
    "Matryoshka",
    "Options",
    "Recipe",
    "Reconstruction",
    "Run",
    "Sparse",
    "TopK",
    "Training",
    "export_sae",
    "import_sae",
    "load",
    "read_recipe",
    "reconstruction",
    "save",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in ("sweep", "train"):
        return getattr(importlib.import_module("freud.saes.training"), name)
    raise AttributeError(f"module 'freud.saes' has no attribute {name!r}")
