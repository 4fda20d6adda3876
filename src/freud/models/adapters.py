"""LoRA adapters, in PEFT's layout and loralib's, merged into the weights that they change.

    linear, convolution:  W' = W + s B A          A [r, in], B [out, r]; a kernel's A is [r, in, size]
    embedding:            W' = W + s (B A)^T      A [r, size], B [width, r]
    DoRA:                 W' = m V / ||V||        V = W + s B A, the norm of each row; m [out]

with s = alpha / r, or alpha / sqrt(r) where `use_rslora`. Layers that were trained as a whole beside an adapter replace
those of the base. What PEFT can do beyond that is refused by name: no adapter is left out in silence. The facts are
those of PEFT's `tuners/lora` and `utils/save_and_load.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from freud.errors import DamagedFileError, FreudError
from freud.models.files import read_json, read_tensors
from freud.models.tensor_names import join, unwrapped

CONFIG = "adapter_config.json"
FILES = ("adapter_model.safetensors", "adapter_model.bin")
HOW_TO_MERGE = "merge the adapter with PEFT (merge_and_unload) and save the whole model"
EMBEDDING = "decoder.embed_tokens.weight"
PROJECTION = "proj_out.weight"

_PART = re.compile(
    r"(?P<module>.+)\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)"
    r"(\.(?!weight$|bias$)(?P<adapter>[^.]+))?(\.(?P<kind>weight|bias))?"
)
_SAVED = re.compile(r"(?P<before>.*\.|)modules_to_save\.(?P<adapter>[^.]+)\.(?P<after>.+)")
_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")  # ways to start A and B that leave the base alone
_UNSUPPORTED = (  # fields of LoraConfig that change what is computed
    "layer_replication",
    "megatron_config",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
    "use_qalora",
    "use_bdlora",
    "arrow_config",
    "monteclora_config",
)


@dataclass
class Adapter:
    """What is to be merged.

    Attributes:
        source: where it is from, for messages.
        parts: A, B and so on by module: names such as `lora_A`, and `lora_B.bias`.
        replaced: weights that replace those of the base, by name.
        copied: those of `replaced` that were trained as copies (`modules_to_save`): what was tied to the original
            stays with the original.
        config: PEFT's `adapter_config.json`; None where there is none.
    """

    source: str
    parts: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    replaced: dict[str, Tensor] = field(default_factory=dict)
    copied: set[str] = field(default_factory=set)
    config: dict[str, Any] | None = None


def adapter_file(folder: Path) -> Path | None:
    """The file with an adapter's tensors in a folder, if there is one."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def read_config(folder: Path) -> dict[str, Any] | None:
    """A folder's `adapter_config.json`, if there is one.

    Raises:
        FreudError: it is not of LoRA, or of a kind of it that cannot be merged here.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    config = read_json(path, "the adapter")
    if config.get("peft_type") != "LORA":
        raise FreudError(f"{path}: peft_type is {config.get('peft_type')!r}; only LORA can be read: {HOW_TO_MERGE}")
    if (start := config.get("init_lora_weights")) not in _PLAIN_STARTS:
        raise FreudError(f"{path}: init_lora_weights is {start!r}, which changes the base as well; {HOW_TO_MERGE}")
    for name in _UNSUPPORTED:
        if config.get(name):
            raise FreudError(f"{path}: {name} is {str(config[name])[:40]}, which cannot be read; {HOW_TO_MERGE}")
    return config


def split(
    tensors: Iterable[tuple[str, Any]], source: str, config: dict[str, Any] | None
) -> tuple[dict[str, Tensor], Adapter]:
    """The tensors of files by unwrapped name, without those of an adapter; and the adapter.

    Raises:
        FreudError: there are several adapters.
        DamagedFileError: a tensor of the adapter is none, or there twice.
    """
    adapter = Adapter(source, config=config)
    plain: list[tuple[str, Any]] = []
    parts: list[tuple[str, Any]] = []
    saved: list[tuple[str, Any]] = []
    names: set[str] = set()
    for stored, tensor in tensors:
        name = unwrapped(stored)
        if match := _PART.fullmatch(name):
            kind = ".bias" if match["kind"] == "bias" else ""
            parts.append((f"{match['module']}:{match['part']}{kind}", tensor))
        elif match := _SAVED.fullmatch(name):
            saved.append((match["before"] + match["after"], tensor))
        else:
            plain.append((name, tensor))
            continue
        if match["adapter"]:
            names.add(match["adapter"])
    if len(names) > 1:
        raise FreudError(f"{source}: holds the adapters {', '.join(sorted(names))}; keep one, or {HOW_TO_MERGE}")
    for name, tensor in join(parts, source).items():
        module, part = name.split(":")
        adapter.parts.setdefault(module, {})[part] = tensor
    adapter.replaced = join(saved, source)
    adapter.copied = set(adapter.replaced)
    return join(plain, source), adapter


def read_adapter(folder: Path, file: Path) -> Adapter:
    """The adapter that a folder in PEFT's layout holds; everything in its file is part of it.

    Raises:
        FreudError: it has no configuration, or is of a kind that cannot be merged here.
        DamagedFileError: the file is damaged.
    """
    config = read_config(folder)
    if config is None:
        raise FreudError(f"{file}: is an adapter without its {CONFIG}, which says how to scale it; put it beside")
    plain, adapter = split(read_tensors(file).items(), str(file), config)
    if not adapter.parts and not adapter.replaced and not plain:
        raise DamagedFileError(f"{file}: holds no tensors; download the adapter again")
    whole = config.get("modules_to_save") or []
    if isinstance(whole, list) and not config.get("ensure_weight_tying"):
        adapter.copied |= {name for name in plain if _module(name).split(".")[-1] in whole or _module(name) in whole}
    adapter.replaced |= plain
    return adapter


def merge(adapter: Adapter, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights with the adapter merged, in float32 where it changed them.

    A module that is tied to another (`proj_out` to the embedding) stays as it is when the other gets an adapter: that
    is what a model with an adapter computes.

    Raises:
        FreudError: the adapter's scale is not known, or it is of a kind that cannot be merged.
        DamagedFileError: it does not fit the weights.
    """
    if not adapter.parts and not adapter.replaced:
        return weights
    weights = dict(weights)
    targets = {module: _target(adapter, module, weights) for module in adapter.parts}
    changed = {*(f"{module}.weight" for module in targets.values()), *adapter.copied}
    if changed & {EMBEDDING, PROJECTION} and PROJECTION not in weights and EMBEDDING in weights:
        weights[PROJECTION] = weights[EMBEDDING]
    for name, tensor in adapter.replaced.items():
        base = name if name in weights else f"encoder.{name}"
        if base in weights and weights[base].shape != tensor.shape:
            shapes = f"{list(tensor.shape)}; the base model has {list(weights[base].shape)}"
            raise DamagedFileError(f"{adapter.source}: {name} has shape {shapes}; {HOW_TO_MERGE}")
        weights[base if base in weights else name] = tensor
    for module, target in targets.items():
        name = f"{target}.weight"
        weights[name] = _merged(adapter, module, weights[name])
        if (bias := adapter.parts[module].get("lora_B.bias")) is not None:
            if f"{target}.bias" not in weights or bias.shape != weights[f"{target}.bias"].shape:
                raise DamagedFileError(f"{adapter.source}: {module}.lora_B.bias has no bias of that shape to add to")
            weights[f"{target}.bias"] = weights[f"{target}.bias"].float() + _scale(adapter, module) * bias.float()
    return weights


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _target(adapter: Adapter, module: str, weights: Mapping[str, Tensor]) -> str:
    """The module of the base that an adapter's module changes; an encoder saved by itself has shorter names."""
    if module == _module(PROJECTION) and PROJECTION not in weights and EMBEDDING in weights:
        return module
    for target in (module, f"encoder.{module}"):
        if f"{target}.weight" in weights:
            return target
    raise DamagedFileError(f"{adapter.source}: changes {module}, which the base model does not have; give its own base")


def _merged(adapter: Adapter, module: str, weight: Tensor) -> Tensor:
    parts = adapter.parts[module]
    kinds = {name for name in parts if name not in {"lora_magnitude_vector", "lora_B.bias"}}
    if kinds not in ({"lora_A", "lora_B"}, {"lora_embedding_A", "lora_embedding_B"}):
        have = ", ".join(sorted(parts))
        raise DamagedFileError(f"{adapter.source}: {module} has {have}; expected lora_A and lora_B; {HOW_TO_MERGE}")
    embedding = "lora_embedding_A" in parts
    a, b = (parts[f"lora_{'embedding_' if embedding else ''}{letter}"].float() for letter in "AB")
    scale = _scale(adapter, module)
    rank = len(a)
    if a.ndim != (3 if weight.ndim == 3 else 2) or b.numel() != len(b) * rank or b.shape[1:2] != (rank,):
        raise _misfit(adapter, module, a, b, weight)
    delta = scale * torch.einsum("or,r...->o...", b.flatten(1), a)  # B A; a kernel's B has size 1
    delta = delta.T if embedding else delta
    if delta.shape != weight.shape:
        raise _misfit(adapter, module, a, b, weight)
    merged = weight.float() + delta
    magnitude = parts.get("lora_magnitude_vector")
    if (magnitude is not None) != bool((adapter.config or {}).get("use_dora")):
        raise DamagedFileError(
            f"{adapter.source}: {module} has {'no' if magnitude is None else 'a'} lora_magnitude_vector, but its "
            f"{CONFIG} says use_dora = {bool(magnitude is None)}; {HOW_TO_MERGE}"
        )
    if magnitude is None:
        return merged
    if embedding or weight.ndim != 2 or magnitude.numel() != len(weight):
        raise FreudError(f"{adapter.source}: {module} has a lora_magnitude_vector that cannot be read; {HOW_TO_MERGE}")
    return magnitude.float().view(-1, 1) * merged / merged.norm(dim=1, keepdim=True)


def _misfit(adapter: Adapter, module: str, a: Tensor, b: Tensor, weight: Tensor) -> DamagedFileError:
    shapes = f"A {list(a.shape)} and B {list(b.shape)} for a weight {list(weight.shape)}"
    return DamagedFileError(f"{adapter.source}: the adapter of {module} has {shapes}; give its own base model")


def _scale(adapter: Adapter, module: str) -> float:
    """The factor of B A."""
    if adapter.config is None:
        raise FreudError(
            f"{adapter.source}: holds a LoRA adapter ({module}) that is not merged, and no {CONFIG} says how to scale "
            f"it; put that file beside, or {HOW_TO_MERGE}"
        )
    parts = adapter.parts[module]
    stored = len(parts["lora_A"] if "lora_A" in parts else parts["lora_embedding_A"])
    rank = _setting(adapter, module, "r", "rank_pattern")
    alpha = _setting(adapter, module, "lora_alpha", "alpha_pattern")
    if rank != stored:
        raise DamagedFileError(f"{adapter.source}: {module} has rank {stored}; its {CONFIG} says {rank}")
    return alpha / rank**0.5 if adapter.config.get("use_rslora") else alpha / rank


def _setting(adapter: Adapter, module: str, name: str, pattern: str) -> float:
    """A number of the configuration, or that of the first pattern that a module's whole name, or its end, matches."""
    config = adapter.config or {}
    value, patterns = config.get(name), config.get(pattern) or {}
    path = module if module == _module(PROJECTION) else f"model.{module}"
    try:
        value = next((v for key, v in patterns.items() if re.match(rf"(.*\.)?({key})$", path)), value)
    except (re.error, AttributeError):
        raise DamagedFileError(f"{adapter.source}: its {CONFIG} has a {pattern} that is no pattern") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise DamagedFileError(f"{adapter.source}: its {CONFIG} has {name} = {str(value)[:40]}; expected a number")
    return value
