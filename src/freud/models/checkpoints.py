"""Reads a model's configuration and weights from a folder, an OpenAI `.pt` file or the Hugging Face hub.

All become one `Checkpoint` with Hugging Face's names, so what follows does not care where it came from.
What changes the weights before they are used, a LoRA adapter, is merged here; what must not be used as it is,
quantized weights, is refused here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.models import adapters
from freud.models.files import one_line, read_json, read_tensors
from freud.models.tensor_names import from_openai

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
    generation: dict[str, Any] | None = None
    """Hugging Face's `generation_config.json`; None where there is none."""
    folder: Path | None = None
    """Where tokenizer files may be found."""
    openai: bool = False
    """Whether it is a file of openai-whisper, whose vocabulary is OpenAI's whatever lies beside it."""


def read_folder(folder: Path, *, without: tuple[Path, ...] = ()) -> Checkpoint:
    """Read a folder in Hugging Face layout: `config.json` and weights, whole or sharded, or a LoRA adapter in PEFT's.

    An adapter is merged into the weights beside it, or, where there are none, into the base model that it names.

    Args:
        folder: where it is.
        without: folders whose adapter this one is the base of, which it cannot be based on.

    Raises:
        FreudError: something is missing, quantized, or an adapter of a kind that cannot be merged.
        DamagedFileError: a file is cut short, altered, or holds anything but tensors.
    """
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    file = adapters.adapter_file(folder)
    files = [] if config is None else _weight_files(folder)
    if file is None and config is None:
        alone = (
            f"; it has {adapters.CONFIG}, but no {adapters.FILES[0]}" if (folder / adapters.CONFIG).is_file() else ""
        )
        raise FreudError(f"{folder}: has no config.json; expected a Hugging Face model folder{alone}")
    if file is None and not files:
        raise FreudError(f"{folder}: has no weights; expected {SAFETENSORS} (or {PICKLED})")
    adapter = adapters.read_adapter(folder, file) if file else None
    if files and config is not None:
        checkpoint = _read_weights(folder, config, files)
    else:
        checkpoint = _read_base(folder, (*without, folder.resolve()))
    if adapter is None:
        return checkpoint
    weights = adapters.merge(adapter, checkpoint.weights)
    own = any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json"))
    return replace(checkpoint, source=str(folder), weights=weights, folder=folder if own else checkpoint.folder)


def _read_weights(folder: Path, config: dict[str, Any], files: list[Path]) -> Checkpoint:
    for name in ("quantization_config", "compression_config", "quantization"):
        if quantization := config.get(name):
            method = quantization.get("quant_method", "") if isinstance(quantization, dict) else quantization
            raise FreudError(
                f"{folder / 'config.json'}: {name} says that the weights are quantized ({str(method)[:40]}); "
                "dequantize them and save them in float16 or float32, without that entry"
            )
    tensors = [item for file in files for item in read_tensors(file).items()]
    if absent := sorted(_indexed(folder, files) - {name for name, _ in tensors}):
        raise DamagedFileError(f"{folder}: its index lists {absent[0]}, which no file holds; download the model again")
    weights, adapter = adapters.split(tensors, str(folder), adapters.read_config(folder))
    beside = adapters.adapter_file(folder)
    if (folder / adapters.CONFIG).is_file() and not adapter.parts and not adapter.replaced and beside is None:
        lost = f"has {adapters.CONFIG}, but no {adapters.FILES[0]}"
        raise FreudError(f"{folder}: {lost}; put the adapter there, or remove {adapters.CONFIG} if it is merged")
    if adapter.parts and beside is not None:
        raise FreudError(f"{folder}: holds an adapter in its weights and one beside them; {adapters.HOW_TO_MERGE}")
    generation = folder / "generation_config.json"
    return Checkpoint(
        source=str(folder),
        config=config,
        weights=adapters.merge(adapter, weights),
        generation=read_json(generation) if generation.is_file() else None,
        folder=folder,
    )


def _read_base(folder: Path, without: tuple[Path, ...]) -> Checkpoint:
    """The model that the adapter in a folder is for: a path, absolute or from there, or an id on the hub."""
    path = folder / adapters.CONFIG
    config = adapters.read_config(folder) or {}
    name, revision = config.get("base_model_name_or_path"), config.get("revision")
    if not isinstance(name, str) or not name:
        what = "does not say what it is an adapter of; put the base model's files beside it"
        raise FreudError(f"{path}: {what}, or its path as base_model_name_or_path")
    for base in (folder / name, Path(name)):
        if base.is_dir():
            if base.resolve() in without:
                raise FreudError(f"{path}: names {name} as its base model, which is based on it in turn")
            return read_folder(base, without=without)
    if re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name):
        return read_folder(download(name, revision if isinstance(revision, str) else None), without=without)
    raise FreudError(f"{path}: the base model {name} is not there; put its path as base_model_name_or_path")


def _weight_files(folder: Path) -> list[Path]:
    if (folder / SAFETENSORS).is_file():
        return [folder / SAFETENSORS]
    for single in (SAFETENSORS, PICKLED):
        if names := _weight_map(folder / f"{single}.index.json"):
            files = [folder / name for name in sorted(set(names.values()))]
            if absent := [file.name for file in files if not file.is_file()]:
                raise DamagedFileError(f"{folder}: lacks {', '.join(absent)}; download the model again")
            return files
    return [folder / PICKLED] if (folder / PICKLED).is_file() else []


def _weight_map(index: Path) -> dict[str, str]:
    """The file of each tensor, by the index of a sharded checkpoint; empty where there is no index."""
    if not index.is_file():
        return {}
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(re.fullmatch(r"[\w.-]+", str(n)) for n in names.values()):
        raise DamagedFileError(f"{index}: has no valid weight_map; download the model again")
    return {str(name): str(file) for name, file in names.items()}


def _indexed(folder: Path, files: list[Path]) -> set[str]:
    """The tensors that an index lists; none where the weights are one file."""
    single = SAFETENSORS if files[0].suffix == ".safetensors" else PICKLED
    return set() if files == [folder / single] else set(_weight_map(folder / f"{single}.index.json"))


def read_openai(path: Path) -> Checkpoint:
    """Read a checkpoint of openai-whisper: a dict with `dims` and `model_state_dict`.

    Raises:
        FreudError: it is a file of another kind, or holds weights beside those of the model.
        DamagedFileError: it is cut short, altered, or holds anything but tensors.
    """
    if path.suffix == ".safetensors":
        raise FreudError(f"{path}: give the folder that holds it and its config.json")
    value = read_tensors(path)
    dims, state = value.get("dims"), value.get("model_state_dict")
    if not isinstance(dims, dict) or not isinstance(state, dict):
        raise FreudError(f"{path}: has no dims and model_state_dict; expected a checkpoint of openai-whisper")
    for name, entry in value.items():
        if name not in {"dims", "model_state_dict"} and not _OF_TRAINING.search(name) and _holds_tensors(entry):
            what = "beside model_state_dict, and which is meant is not known; save a file without it"
            raise FreudError(f"{path}: holds the tensors of {name} {what}")
    weights, adapter = adapters.split(((from_openai(str(n)), v) for n, v in state.items()), str(path), None)
    try:
        config = _openai_config(dims)
    except KeyError as error:
        raise DamagedFileError(f"{path}: its dims lack {error.args[0]}; download it again") from None
    except TypeError:
        raise DamagedFileError(f"{path}: its dims are not whole numbers; download it again") from None
    return Checkpoint(str(path), config, adapters.merge(adapter, weights), folder=path.parent, openai=True)


_OF_TRAINING = re.compile("optim|sched|scaler|rng")  # state of a training beside the weights, which changes no answer


def _holds_tensors(entry: Any) -> bool:
    if isinstance(entry, dict | list | tuple):
        return any(map(_holds_tensors, entry.values() if isinstance(entry, dict) else entry))
    return isinstance(entry, Tensor) and entry.numel() > 1  # a number may be a tensor


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


_SMALL = [
    *("config.json", "generation_config.json", adapters.CONFIG),
    *("tokenizer.json", "tokenizer_config.json", "vocab.json", "added_tokens.json", "special_tokens_map.json"),
]


def download(repo: str, revision: str | None = None) -> Path:
    """The folder of a Hugging Face model or adapter, downloaded into the hub's cache unless it is there.

    The variable HF_ENDPOINT names another server; HF_HUB_OFFLINE=1 uses the cache only.

    Raises:
        UnknownNameError: the hub has no such public model.
        FreudError: the hub cannot be reached.
    """
    shards = "model-?????-of-?????.safetensors"
    folder = _snapshot(repo, [*_SMALL, SAFETENSORS, f"{SAFETENSORS}.index.json", shards, adapters.FILES[0]], revision)
    if any(folder.glob("*.safetensors")):
        return folder
    shards = "pytorch_model-?????-of-?????.bin"
    return _snapshot(repo, [*_SMALL, PICKLED, f"{PICKLED}.index.json", shards, adapters.FILES[1]], revision)


def download_tokenizer(repo: str) -> Path:
    """The `tokenizer.json` of a Hugging Face model; errors as of `download`."""
    return _snapshot(repo, ["tokenizer.json"]) / "tokenizer.json"


def _snapshot(repo: str, files: list[str], revision: str | None = None) -> Path:
    from huggingface_hub import errors, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        return Path(snapshot_download(repo, revision=revision, endpoint=endpoint, allow_patterns=files))
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
