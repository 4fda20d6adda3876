"""Activations: collected once, stored as frames on disk, streamed in shuffled batches.

`collect` runs a model over a corpus and writes the valid frames of many sites in one pass; `read` opens what it
wrote, memory-mapped; `StoredFrames` and `ModelFrames` are the two sources that training draws batches from.
"""

from freud.activations.collect import collect
from freud.activations.live import ModelFrames
from freud.activations.store import Activations, Pieces, SiteActivations, read
from freud.activations.stream import (
    Batch,
    FrameSource,
    Position,
    StoredFrames,
    Stream,
    split_clips,
)

__all__ = [
    "Activations",
    "Batch",
    "FrameSource",
    "ModelFrames",
    "Pieces",
    "Position",
    "SiteActivations",
    "StoredFrames",
    "Stream",
    "collect",
    "read",
    "split_clips",
]
