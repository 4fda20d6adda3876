"""Reads the files of a model: JSON objects and tensors, whatever is wrong with them said in one line.

Nothing here runs code from a file: of pickles only torch's tensors and plain containers are read.
"""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from freud.errors import DamagedFileError


def one_line(error: BaseException) -> str:
    """The start of an error's message, without line breaks."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def read_json(path: Path, what: str = "the model") -> dict[str, Any]:
    """A JSON object that came with a download; `what` is to be downloaded again if it is not one.

    Raises:
        DamagedFileError: it is not one.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}: not valid JSON ({one_line(error)}); download {what} again") from None
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: expected a JSON object; download {what} again")
    return value


def read_tensors(path: Path) -> dict[str, Any]:
    """What a `.safetensors` file or a dict saved by torch.save holds, by name, on the CPU.

    Raises:
        DamagedFileError: it is cut short, altered, or holds code.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        raise DamagedFileError(f"{path}: cut short or altered ({one_line(error)}); download it again") from None


def _read_pickled(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower():
            raise DamagedFileError(f"{path}: holds code, not only tensors; refused, use safetensors") from None
        raise DamagedFileError(f"{path}: not a PyTorch checkpoint; download it again") from None
    except Exception as error:  # on damaged bytes torch's reader raises almost anything
        raise DamagedFileError(f"{path}: cut short or altered ({one_line(error)}); download it again") from None
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: expected a dict of tensors, found {type(value).__name__}")
    return {str(name): entry for name, entry in value.items()}
