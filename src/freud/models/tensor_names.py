"""From the names that tensors have in files to the names of Hugging Face's Whisper, without the leading `model.`.

Training tools wrap a model, and each wrapper puts its own part into every name: those parts carry no information and
are taken away, wherever they are. Two tensors that come to the same name must be the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from freud.errors import DamagedFileError

_WRAPPERS = {
    "_orig_mod",  # torch.compile
    "module",  # DataParallel, DistributedDataParallel, DeepSpeed
    "_fsdp_wrapped_module",  # FSDP
    "_checkpoint_wrapped_module",  # activation checkpointing
    "base_layer",  # PEFT: a layer beside its adapter
    "original_module",  # PEFT: a layer that was trained as a whole, as it was before (`adapters.py`)
}
_OUTERMOST = {"model", "whisper", "base_model"}  # names that the whole network has in transformers, Lightning and PEFT

# What files may hold beside the weights: it is left out where the tensor is what is said here. Nothing else is.
_LEFT_OUT: list[tuple[str, Callable[[Any], bool]]] = [
    (r"(encoder|decoder)\.version", lambda _: True),  # of the file's layout; transformers leaves it out as well
    (r"(decoder\.)?alignment_heads", lambda _: True),  # openai-whisper: which heads tell the times of words
    (r"decoder\.mask", lambda mask: _is_causal_mask(mask)),  # openai-whisper: the network makes its own
    (r".*\.k_proj\.bias", lambda bias: not bias.any()),  # zeros: Whisper's keys have no bias
]

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)

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


def unwrapped(name: str) -> str:
    """A tensor's name without the parts that wrappers put into it."""
    parts = [part for part in name.split(".") if part not in _WRAPPERS]
    while len(parts) > 1 and parts[0] in _OUTERMOST:
        del parts[0]
    return ".".join(parts)


def from_openai(name: str) -> str:
    """Hugging Face's name of a tensor of openai-whisper."""
    for pattern, replacement in _OPENAI_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def join(tensors: Iterable[tuple[str, Any]], source: str) -> dict[str, Tensor]:
    """Tensors by name, each checked to be one of numbers.

    Raises:
        DamagedFileError: an entry is no tensor, is quantized, or two of one name differ.
    """
    joined: dict[str, Tensor] = {}
    for name, tensor in tensors:
        if _is_left_out(name, tensor):
            continue
        _check(name, tensor, source)
        if name in joined and not _equal(joined[name], tensor):
            raise DamagedFileError(f"{source}: holds two different tensors {name}; remove the one that is not meant")
        joined[name] = tensor.detach()  # a file may hold parameters in training
    if "conv1.weight" in joined:  # an encoder saved by itself
        joined = {name if name.startswith("encoder.") else f"encoder.{name}": tensor for name, tensor in joined.items()}
    return joined


def _is_left_out(name: str, tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and any(
        re.fullmatch(pattern, name) and is_harmless(tensor) for pattern, is_harmless in _LEFT_OUT
    )


def _is_causal_mask(mask: Tensor) -> bool:
    """Whether mask [L, L] is 0 where a token sees another and -inf where it does not."""
    return mask.ndim == 2 and torch.equal(mask, torch.full_like(mask, -torch.inf).triu_(1))


def _check(name: str, tensor: Any, source: str) -> None:
    if not isinstance(tensor, Tensor):
        what = "expected tensors by name at the top of the file; save the model's state_dict by itself"
        raise DamagedFileError(f"{source}: {name} is no tensor but {type(tensor).__name__}; {what}")
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise DamagedFileError(f"{source}: {name} is not a plain tensor; save it dense and dequantized, in float32")
    if tensor.dtype not in FLOATS:
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise DamagedFileError(
            f"{source}: {name} is not a tensor of floating-point numbers that can be used as they are, but {dtype}; "
            "if the weights are quantized, dequantize them and save them in float16 or float32"
        )
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise DamagedFileError(f"{source}: {name} claims {tensor.numel()} numbers, more than the file holds; refused")


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.double(), other.double())
