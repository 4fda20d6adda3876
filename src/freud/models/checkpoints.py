"""Reads a model's configuration and weights from a folder, an OpenAI `.pt` file or the Hugging Face hub.

All become one `Checkpoint` with Hugging Face's names, so what follows does not care where it came from.
Nothing here runs code from a checkpoint: of pickles only torch's tensors are read.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from freud.errors import DamagedFileError, FreudError, UnknownNameError

SAFETENSORS = "model.safetensors"
PICKLED = "pytorch_model.bin"


@dataclass(frozen=True)
class Checkpoint:
    """A model as stored."""

    source: str
    """The file or folder, for messages."""
    config: dict[str, Any]
    """Hugging Face's `config.json`."""
    weights: dict[str, Tensor]
    """On the CPU, by Hugging Face name without the leading `model.`."""
    generation: dict[str, Any] = field(default_factory=dict)
    """Hugging Face's `generation_config.json`; empty where there is none."""
    folder: Path | None = None
    """Where tokenizer files may be found."""


def read_folder(folder: Path) -> Checkpoint:
    """Read a folder in Hugging Face layout: `config.json` and weights, whole or sharded.

    Raises:
        FreudError: something is missing.
        DamagedFileError: a file is cut short, altered, or holds anything but tensors.
    """
    if not (folder / "config.json").is_file():
        raise FreudError(f"{folder}: has no config.json; expected a Hugging Face model folder")
    config = read_json(folder / "config.json")
    generation = folder / "generation_config.json"
    files = _weight_files(folder)
    weights: dict[str, Tensor] = {}
    for file in files:
        weights |= _read_safetensors(file) if file.suffix == ".safetensors" else _read_torch(file)
    return Checkpoint(
        source=str(folder),
        config=config,
        weights=_without_prefix(weights),
        generation=read_json(generation) if generation.is_file() else {},
        folder=folder,
    )


def _weight_files(folder: Path) -> list[Path]:
    if (folder / SAFETENSORS).is_file():
        return [folder / SAFETENSORS]
    for single in (SAFETENSORS, PICKLED):
        index = folder / f"{single}.index.json"
        if index.is_file():
            names = read_json(index).get("weight_map")
            if not isinstance(names, dict) or not all(re.fullmatch(r"[\w.-]+", str(n)) for n in names.values()):
                raise DamagedFileError(f"{index}: has no valid weight_map; download the model again")
            files = [folder / name for name in sorted(set(names.values()))]
            if absent := [file.name for file in files if not file.is_file()]:
                raise DamagedFileError(f"{folder}: lacks {', '.join(absent)}; download the model again")
            return files
    if (folder / PICKLED).is_file():
        return [folder / PICKLED]
    raise FreudError(f"{folder}: has no weights; expected {SAFETENSORS} (or {PICKLED})")


def read_json(path: Path, what: str = "the model") -> dict[str, Any]:
    """A JSON object that came with a download; `what` is to be downloaded again if it is not one.

    Raises:
        DamagedFileError: it is not one.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path}: not valid JSON ({one_line(error)}); download {what} again") from None
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: expected a JSON object; download {what} again")
    return value


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        raise DamagedFileError(f"{path}: cut short or altered ({one_line(error)}); download it again") from None


def _read_torch(path: Path) -> dict[str, Any]:
    """A dict saved by torch.save, read without running pickled code."""
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
    return value


def _without_prefix(weights: dict[str, Any]) -> dict[str, Tensor]:
    weights = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
    if "conv1.weight" in weights:  # an encoder saved by itself
        weights = {f"encoder.{name}": tensor for name, tensor in weights.items()}
    return weights


_OPENAI_NAMES = [  # applied in this order
    (r"\bblocks\.", "layers."),
    (r"\bcross_attn_ln\b", "encoder_attn_layer_norm"),
    (r"\battn_ln\b", "self_attn_layer_norm"),
    (r"\bmlp_ln\b", "final_layer_norm"),
    (r"\bcross_attn\b", "encoder_attn"),
    (r"\battn\b", "self_attn"),
    (r"\bquery\b", "q_proj"),
    (r"\bkey\b", "k_proj"),
    (r"\bvalue\b", "v_proj"),
    (r"\bout\b", "out_proj"),
    (r"\bmlp\.0\b", "fc1"),
    (r"\bmlp\.2\b", "fc2"),
    (r"\bln(_post)?\b", "layer_norm"),
    (r"\btoken_embedding\b", "embed_tokens"),
    (r"\bpositional_embedding\b", "embed_positions.weight"),
]


def read_openai(path: Path) -> Checkpoint:
    """Read a checkpoint of openai-whisper: a dict with `dims` and `model_state_dict`.

    Raises:
        FreudError: it is a file of another kind.
        DamagedFileError: it is cut short, altered, or holds anything but tensors.
    """
    if path.suffix == ".safetensors":
        raise FreudError(f"{path}: give the folder that holds it and its config.json")
    value = _read_torch(path)
    dims, state = value.get("dims"), value.get("model_state_dict")
    if not isinstance(dims, dict) or not isinstance(state, dict):
        raise FreudError(f"{path}: has no dims and model_state_dict; expected a checkpoint of openai-whisper")
    weights = {}
    for name, tensor in state.items():
        for pattern, replacement in _OPENAI_NAMES:
            name = re.sub(pattern, replacement, str(name))
        weights[name] = tensor
    try:
        return Checkpoint(str(path), _openai_config(dims), weights, folder=path.parent)
    except KeyError as error:
        raise DamagedFileError(f"{path}: its dims lack {error.args[0]}; download it again") from None


def _openai_config(dims: dict[str, Any]) -> dict[str, Any]:
    """The `config.json` that Hugging Face would have for openai-whisper's `ModelDimensions`."""
    return {
        "model_type": "whisper",
        "d_model": dims["n_audio_state"],
        "num_mel_bins": dims["n_mels"],
        "max_source_positions": dims["n_audio_ctx"],
        "encoder_layers": dims["n_audio_layer"],
        "encoder_attention_heads": dims["n_audio_head"],
        "encoder_ffn_dim": 4 * dims["n_audio_state"],
        "vocab_size": dims["n_vocab"],
        "max_target_positions": dims["n_text_ctx"],
        "decoder_layers": dims["n_text_layer"],
        "decoder_attention_heads": dims["n_text_head"],
        "decoder_ffn_dim": 4 * dims["n_text_state"],
    }


_SMALL = ["config.json", "generation_config.json", "tokenizer.json"]


def download(repo: str) -> Path:
    """The folder of a Hugging Face model, downloaded into the hub's cache unless it is there.

    The variable HF_ENDPOINT names another server; HF_HUB_OFFLINE=1 uses the cache only.

    Raises:
        UnknownNameError: the hub has no such public model.
        FreudError: the hub cannot be reached.
    """
    folder = _snapshot(repo, [*_SMALL, SAFETENSORS, f"{SAFETENSORS}.index.json", "model-?????-of-?????.safetensors"])
    return folder if any(folder.glob("*.safetensors")) else _snapshot(repo, [*_SMALL, PICKLED])


def download_tokenizer(repo: str) -> Path:
    """The `tokenizer.json` of a Hugging Face model; errors as of `download`."""
    return _snapshot(repo, ["tokenizer.json"]) / "tokenizer.json"


def _snapshot(repo: str, files: list[str]) -> Path:
    from huggingface_hub import errors, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        return Path(snapshot_download(repo, endpoint=endpoint, allow_patterns=files))
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise UnknownNameError(f"{endpoint} has no public model {repo!r}; check its id") from None
    except Exception as error:  # besides its own errors, those of whichever HTTP library it uses
        hint = "check the network, or give a local folder"
        raise FreudError(f"cannot download {repo} from {endpoint} ({one_line(error)}); {hint}") from None


def fingerprint(config: dict[str, Any], weights: dict[str, Tensor]) -> str:
    """Sixteen hex digits: SHA-256 over `config`, and each weight's name, shape and up to 4096 of its values.

    The values are evenly strided, so that a large model takes no longer than a small one. They are compared as
    float32: the same weights stored in float16 and in float32 agree.
    """
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name in sorted(weights):
        flat = weights[name].flatten()
        values = flat[:: max(1, -(-len(flat) // 4096))].to(torch.float32)
        digest.update(f"{name} {list(weights[name].shape)} ".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()[:16]


def one_line(error: BaseException) -> str:
    """The start of an error's message, without line breaks."""
    return " ".join(str(error).split())[:160] or type(error).__name__
