"""FREUD: find what an audio model has learned, hear and see it, and change it.

The names below are the whole pipeline; each command of `freud` calls the function of the same name. They are
loaded on first use, so that `import freud` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.version import __version__

if TYPE_CHECKING:
    from freud import activations, audio, corpus, editing, evaluation, features, models, naming, results, saes
    from freud.activations import collect
    from freud.checkup import doctor
    from freud.discovery import demo, discover
    from freud.editing import edit
    from freud.evaluation import evaluate
    from freud.features import index
    from freud.results import name, search
    from freud.saes import train
    from freud.server import serve

_FUNCTIONS = {
    "collect": "freud.activations",
    "train": "freud.saes",
    "evaluate": "freud.evaluation",
    "index": "freud.features",
    "search": "freud.results",
    "name": "freud.results",
    "edit": "freud.editing",
    "demo": "freud.discovery",
    "discover": "freud.discovery",
    "doctor": "freud.checkup",
    "serve": "freud.server",
}
_PACKAGES = (
    "audio", "corpus", "models", "activations", "saes", "features", "evaluation", "editing", "naming", "results",
)  # fmt: skip

__all__ = [
    "DamagedFileError",
    "FreudError",
    "UnknownNameError",
    "__version__",
    "activations",
    "audio",
    "collect",
    "corpus",
    "demo",
    "discover",
    "doctor",
    "edit",
    "editing",
    "evaluate",
    "evaluation",
    "features",
    "index",
    "models",
    "name",
    "naming",
    "results",
    "saes",
    "search",
    "serve",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"freud.{name}")
    raise AttributeError(f"module 'freud' has no attribute {name!r}")
