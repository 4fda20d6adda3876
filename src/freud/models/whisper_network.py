"""Builds the network from a checkpoint's numbers, after checking every one of them.

Weights go straight into an empty network, so nothing is ever left at a random start: a tensor that is missing
or has the wrong shape is an error that names it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from freud.errors import DamagedFileError
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

NANO = {  # the shape of the stand-in for the bundled model
    "model_type": "whisper",
    "d_model": 192,
    "num_mel_bins": 80,
    "max_source_positions": 500,
    "encoder_layers": 4,
    "encoder_attention_heads": 3,
    "encoder_ffn_dim": 768,
    "vocab_size": 256,
    "max_target_positions": 64,
    "decoder_layers": 2,
    "decoder_attention_heads": 3,
    "decoder_ffn_dim": 768,
}


def checked_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The numbers that shape the network; the decoder's only if the checkpoint has a decoder.

    Raises:
        DamagedFileError: one is missing or cannot be.
    """
    names = _ENCODER + (_DECODER if _has_decoder(checkpoint) else ())
    config: dict[str, Any] = {name: checkpoint.config.get(name) for name in names}
    for name, value in config.items():
        if type(value) is not int or not 0 < value <= _LARGEST:
            raise _damaged(checkpoint, f"its configuration has {name} = {str(value)[:40]}; expected a size")
    for half in ("encoder", "decoder") if _has_decoder(checkpoint) else ("encoder",):
        heads, layers = config[f"{half}_attention_heads"], config[f"{half}_layers"]
        if config["d_model"] % heads:
            raise _damaged(checkpoint, f"its configuration has d_model = {config['d_model']} for {heads} {half} heads")
        found = sum(name.startswith(f"{half}.layers.") and name.endswith(".fc1.weight") for name in checkpoint.weights)
        if found != layers:  # before a network of that size is built
            raise _damaged(checkpoint, f"it has the weights of {found} {half} blocks; its configuration says {layers}")
    config["activation_function"] = checkpoint.config.get("activation_function", "gelu")
    if config["activation_function"] not in ACTIVATIONS:
        raise _damaged(checkpoint, f"unknown activation_function {str(config['activation_function'])[:40]!r}")
    return config


def empty_network(config: dict[str, Any]) -> Whisper:
    """The network, with a decoder if `config` has one, without storage for weights."""
    with torch.device("meta"):
        return Whisper(config)


def checked_weights(checkpoint: Checkpoint, network: Whisper) -> dict[str, Tensor]:
    """The weights that the network needs and no others, by name; the output projection is not one of its own.

    Raises:
        DamagedFileError: one is missing, has the wrong shape, or is not made of floating-point numbers.
    """
    shapes = {name: weight.shape for name, weight in network.state_dict().items()}
    if missing := [name for name in shapes if name not in checkpoint.weights]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise _damaged(checkpoint, f"it lacks the weights {missing[0]}{more}")
    for name, shape in shapes.items():
        tensor = checkpoint.weights[name]
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or not tensor.is_floating_point():
            raise _damaged(checkpoint, f"{name} is not a tensor of floating-point numbers")
        if tensor.shape != shape:
            raise _damaged(checkpoint, f"{name} has shape {list(tensor.shape)}; its configuration says {list(shape)}")
    return {name: checkpoint.weights[name] for name in shapes}


def fill(network: Whisper, weights: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> None:
    """Put the weights into an empty network, on the device and in the dtype, ready for inference."""
    network.load_state_dict({name: tensor.to(device, dtype) for name, tensor in weights.items()}, assign=True)
    network.requires_grad_(False).eval()


def random_checkpoint() -> Checkpoint:
    """A checkpoint of the `NANO` shape with random weights, the same on every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = Whisper({**NANO, "activation_function": "gelu"}).state_dict()
        for name, weight in weights.items():
            if "embed" in name:
                weight.normal_(std=0.02)
    return Checkpoint("nano", dict(NANO), weights)


def _has_decoder(checkpoint: Checkpoint) -> bool:
    return any(name.startswith("decoder.") for name in checkpoint.weights)


def _damaged(checkpoint: Checkpoint, problem: str) -> DamagedFileError:
    return DamagedFileError(f"{checkpoint.source}: {problem}; download or convert the model again")
