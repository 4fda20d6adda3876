"""Builds the network from a checkpoint's numbers, after checking every one of them.

Weights go straight into an empty network, so nothing is ever left at a random start: a tensor that is missing,
unknown, not finite or of the wrong shape is an error that names it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from freud.errors import DamagedFileError, FreudError
from freud.models.checkpoints import Checkpoint
from freud.models.whisper_layers import ACTIVATIONS, Whisper

_ENCODER = (
    "d_model",
    "num_mel_bins",
    "max_source_positions",
    "encoder_layers",
    "encoder_attention_heads",
    "encoder_ffn_dim",
)
_DECODER = (
    "vocab_size",
    "max_target_positions",
    "decoder_layers",
    "decoder_attention_heads",
    "decoder_ffn_dim",
)
_LARGEST = 1 << 20  # of any size in a configuration; the vocabulary's is the largest in use, 51866

# The output projection of transformers' Whisper, which is outside its decoder; here it is a part of it.
_PROJECTION, _OWN_PROJECTION, _EMBEDDING = "proj_out.weight", "decoder.proj_out.weight", "decoder.embed_tokens.weight"
_POSITIONS = "encoder.embed_positions.weight"
# The head of WhisperForAudioClassification, above the encoder: no site depends on it.
CLASSIFIER = {"projector.weight", "projector.bias", "classifier.weight", "classifier.bias", "layer_weights"}


def with_tied_weights(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with an output projection of its own only where that is not the embedding.

    As in transformers: of two tied weights one is stored, by either name; where both are and differ, both are used.

    Raises:
        DamagedFileError: the configuration says that they are not tied, and the projection is not there.
    """
    weights = dict(checkpoint.weights)
    tied = checkpoint.config.get("tie_word_embeddings", True) is not False
    projection = weights.pop(_PROJECTION, None)
    if projection is None:
        if not tied and _EMBEDDING in weights:
            raise _damaged(checkpoint, f"it lacks {_PROJECTION}, and its configuration has tie_word_embeddings = false")
    elif _EMBEDDING not in weights and tied and _has_decoder(weights):
        weights[_EMBEDDING] = projection
    elif projection.shape != (shape := weights.get(_EMBEDDING, projection).shape):
        raise _damaged(checkpoint, f"{_PROJECTION} has shape {list(projection.shape)}; the embedding has {list(shape)}")
    elif _EMBEDDING in weights and not torch.equal(projection.double(), weights[_EMBEDDING].double()):
        weights[_OWN_PROJECTION] = projection
    return dataclasses.replace(checkpoint, weights=weights)


def checked_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The numbers that shape the network; the decoder's only if the checkpoint has a decoder.

    Raises:
        DamagedFileError: one is missing or cannot be.
    """
    has_decoder = _has_decoder(checkpoint.weights)
    names = _ENCODER + (_DECODER if has_decoder else ())
    config: dict[str, Any] = {name: checkpoint.config.get(name) for name in names}
    for name, value in config.items():
        if type(value) is not int or not 0 < value <= _LARGEST:
            raise _damaged(checkpoint, f"its configuration has {name} = {str(value)[:40]}; expected a size")
    for half in ("encoder", "decoder") if has_decoder else ("encoder",):
        heads, layers = config[f"{half}_attention_heads"], config[f"{half}_layers"]
        if config["d_model"] % heads:
            raise _damaged(checkpoint, f"its configuration has d_model = {config['d_model']} for {heads} {half} heads")
        blocks = sum(name.startswith(f"{half}.layers.") and name.endswith(".fc1.weight") for name in checkpoint.weights)
        if blocks != layers:  # before a network of that size is built
            first = f", and a tensor {min(checkpoint.weights)}" if checkpoint.weights and not blocks else ""
            problem = f"it has the weights of {blocks} {half} blocks{first}; its configuration says {layers}"
            raise _damaged(checkpoint, problem)
    activation = config["activation_function"] = checkpoint.config.get("activation_function", "gelu")
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise _damaged(checkpoint, f"unknown activation_function {str(activation)[:40]!r}")
    if _OWN_PROJECTION in checkpoint.weights:
        config["tie_word_embeddings"] = False
    return config


def empty_network(config: dict[str, Any]) -> Whisper:
    """The network, with a decoder if `config` has one, without storage for weights."""
    with torch.device("meta"):
        return Whisper(config)


def checked_weights(checkpoint: Checkpoint, network: Whisper, dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights of the network by name, every tensor of the checkpoint being one of them.

    Args:
        checkpoint: as of `with_tied_weights`.
        network: without storage.
        dtype: in which the weights are going to be used.

    Raises:
        DamagedFileError: one is missing, unknown, has the wrong shape, or is not finite, also in `dtype`.
    """
    shapes = {name: weight.shape for name, weight in network.state_dict().items()}
    if _POSITIONS not in checkpoint.weights:  # a constant, which some files leave out; transformers computes it as well
        constant = {_POSITIONS: _sinusoids(*shapes[_POSITIONS])}
        checkpoint = dataclasses.replace(checkpoint, weights=checkpoint.weights | constant)
    if missing := [name for name in shapes if name not in checkpoint.weights]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise _damaged(checkpoint, f"it lacks the weights {missing[0]}{more}")
    if unknown := sorted(set(checkpoint.weights) - set(shapes) - unused(checkpoint)):
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        problem = f"it holds {unknown[0]}{more}, which a Whisper of this configuration does not have"
        raise _damaged(checkpoint, f"{problem}: nothing is left out in silence")
    for name, shape in shapes.items():
        tensor = checkpoint.weights[name]
        if tensor.shape != shape:
            raise _damaged(checkpoint, f"{name} has shape {list(tensor.shape)}; its configuration says {list(shape)}")
        low, high = (float(value) for value in tensor.aminmax())  # one pass; NaN goes through
        if not -torch.inf < low <= high < torch.inf:
            raise _damaged(checkpoint, f"{name} has values that are not finite")
        if not torch.tensor([low, high], dtype=torch.float64).to(dtype).isfinite().all():
            kind = str(dtype).removeprefix("torch.")
            hint = "load it in float32 or bfloat16" if dtype == torch.float16 else "download the model again"
            raise FreudError(f"{checkpoint.source}: {name} has values up to {max(-low, high):g}, beyond {kind}; {hint}")
    return {name: checkpoint.weights[name] for name in shapes}


def _sinusoids(length: int, width: int) -> Tensor:
    """Whisper's encoder positions [length, width]: sines in the first half of the columns, cosines in the second."""
    rates = torch.exp(torch.arange(width // 2) * (-math.log(10000) / (width // 2 - 1)))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def unused(checkpoint: Checkpoint) -> set[str]:
    """Tensors that are known and not used: a classifier's head above an encoder without a decoder."""
    return set() if _has_decoder(checkpoint.weights) else CLASSIFIER & set(checkpoint.weights)


def fill(network: Whisper, weights: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
    """Put the weights into an empty network, on the device and in the dtype, ready for inference."""
    network.load_state_dict({name: tensor.to(device, dtype) for name, tensor in weights.items()}, assign=True)
    network.requires_grad_(False).eval()


def _has_decoder(weights: Mapping[str, Tensor]) -> bool:
    return any(name.startswith("decoder.") for name in weights)


def _damaged(checkpoint: Checkpoint, problem: str) -> DamagedFileError:
    return DamagedFileError(f"{checkpoint.source}: {problem}; download or convert the model again")
