"""From a name to a running model.

A new family adds its module to `FAMILIES`, under the `model_type` of its configuration.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch

from freud.errors import FreudError
from freud.models import catalog, checkpoints
from freud.models.base import AudioModel
from freud.models.devices import open_device, open_dtype

FAMILIES = {"whisper": "freud.models.whisper"}  # modules with a function build(checkpoint, name, device, dtype)


def load(name: str, *, device: str | torch.device = "cpu", dtype: str | torch.dtype = torch.float32) -> AudioModel:
    """Load a model.

    Args:
        name: `nano`, a short name (`tiny` ... `large-v3`, `turbo`), a folder in Hugging Face layout, an
            OpenAI `.pt` file, or a Hugging Face id. Write `./tiny` for a folder that has a short name.
        device: where it runs: "cpu", "cuda", "cuda:1".
        dtype: of its weights and activations, whatever they are stored in; "bfloat16" or `torch.bfloat16`.

    Raises:
        UnknownNameError: there is no such model; the message lists what there is.
        FreudError: it cannot be downloaded, its files are damaged, its kind is not supported, or this machine
            has no such device.
    """
    device, dtype = open_device(device), open_dtype(dtype)
    kind, where = catalog.locate(str(name))
    if kind == "openai":
        checkpoint = checkpoints.read_openai(Path(where))
    else:
        checkpoint = checkpoints.read_folder(checkpoints.download(where) if kind == "hub" else Path(where))
    family = checkpoint.config.get("model_type")
    if not isinstance(family, str) or family not in FAMILIES:
        raise FreudError(f"{name}: is a {str(family)[:40]!r} model; supported are {', '.join(FAMILIES)}")
    title = Path(where).absolute().name if kind in {"folder", "openai"} else str(name)
    return importlib.import_module(FAMILIES[family]).build(checkpoint, title, device, dtype)


def describe(name: str) -> dict[str, Any]:
    """What `freud models NAME --sites` prints: see `AudioModel.describe`."""
    return load(name).describe()
