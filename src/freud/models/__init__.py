"""Audio models with named sites: read activations, run with edits, transcribe.

`load` gives an `AudioModel`; everything else hangs on it. Torch and transformers are imported only by then.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from freud.models.catalog import available
from freud.models.sites import Site

if TYPE_CHECKING:
    from freud.models.base import AudioModel, Segment, Transcript
    from freud.models.loading import describe, load

_LAZY = {
    "AudioModel": "base",
    "Segment": "base",
    "Transcript": "base",
    "load": "loading",
    "describe": "loading",
}

__all__ = ["AudioModel", "Segment", "Site", "Transcript", "available", "describe", "load"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"freud.models.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'freud.models' has no attribute {name!r}")
