"""Folders of dictionary_learning (`ae.pt` and `config.json`), and AudioSAE's, which are of the same kind.

    AutoEncoder (standard):  relu((x - bias) E^T + e);  decoder.weight [d_in, d_sae], encoder.weight E [d_sae, d_in]
    AutoEncoderNew:          relu(x E^T + e), decoder.bias instead of bias
    GatedAutoEncoder:        gate_bias, mag_bias, r_mag, decoder_bias
    AutoEncoderTopK, BatchTopKSAE: b_dec, and the numbers k and threshold (-1: never set)
    JumpReluAutoEncoder, MatryoshkaBatchTopKSAE: W_enc [d_in, d_sae], b_enc, W_dec, b_dec, threshold

The class is in the configuration; where there is none, the names of the tensors tell. AudioSAE's folders are called
`layer_N`, counted from 1, hold BatchTopK SAEs, and want every frame scaled to norm 1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from freud.errors import DamagedFileError, FreudError
from freud.models.files import read_json
from freud.saes.formats import pickles, reading
from freud.saes.formats.sites import canonical
from freud.saes.gated import GatedSAE
from freud.saes.jumprelu import JumpReLUSAE
from freud.saes.l1 import StandardSAE
from freud.saes.sae import SAE
from freud.saes.topk import TopKSAE

WEIGHTS = "ae.pt"
CONFIG = "config.json"
LAYER = re.compile(r"layer_([1-9]\d*)")
STANDARD, NEW, GATED = "AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder"
TOPK, BATCH, MATRYOSHKA, JUMP = "AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE", "JumpReluAutoEncoder"
_LINEAR, _MATRICES = ("encoder.weight", "encoder.bias", "decoder.weight"), ("W_enc", "b_enc", "W_dec", "b_dec")
TENSORS = {
    STANDARD: (*_LINEAR, "bias"),
    NEW: (*_LINEAR, "decoder.bias"),
    GATED: ("encoder.weight", "decoder.weight", "gate_bias", "mag_bias", "r_mag", "decoder_bias"),
    TOPK: (*_LINEAR, "b_dec", "k", "threshold"),  # whose encode takes the k largest, and the threshold only if asked to
    BATCH: (*_LINEAR, "b_dec", "k", "threshold"),
    MATRYOSHKA: (*_MATRICES, "k", "threshold", "group_sizes"),  # the groups are of the training
    JUMP: (*_MATRICES, "threshold"),
}
CLASSES = (STANDARD, NEW, GATED, TOPK, BATCH, MATRYOSHKA, JUMP)


def found(path: Path) -> bool:
    """Whether `path` is a folder in this layout, AudioSAE's left out."""
    return (path / WEIGHTS).is_file() and not found_audiosae(path)


def found_audiosae(path: Path) -> bool:
    """Whether `path` is the folder of one of AudioSAE's layers."""
    return (path / WEIGHTS).is_file() and LAYER.fullmatch(path.resolve().name) is not None


def load(folder: Path) -> SAE:
    """Read an SAE that dictionary_learning wrote.

    Raises:
        FreudError: a class that is not supported.
        DamagedFileError: the files cannot be read, hold code, or do not fit together.
    """
    path = folder / WEIGHTS
    config = read_json(folder / CONFIG, "it") if (folder / CONFIG).is_file() else {}
    trainer = config.get("trainer", config)  # AudioSAE's has the settings one level up
    if not isinstance(trainer, dict):
        raise DamagedFileError(f"{folder / CONFIG}: trainer is no object; download it again")
    state = pickles.read(path)
    if not isinstance(state, dict):
        raise DamagedFileError(f"{path}: expected a dict of tensors; download it again")
    kind = trainer.get("dict_class") or _kind(state, path)
    metadata: dict[str, Any] = {"layout": "dictionary_learning"}
    if isinstance(trainer.get("lm_name"), str):
        metadata["model"] = trainer["lm_name"]
    if site := canonical(trainer.get("submodule_name")):
        metadata["site"] = site
    sae = _build(kind, state, trainer, path, metadata)
    reading.check_width(trainer, {"activation_dim": sae.d_in, "dict_size": sae.d_sae}, folder / CONFIG)
    return sae


def load_audiosae(folder: Path) -> SAE:
    """Read an SAE of AudioSAE, which takes frames scaled to norm 1 and is of the block before its number."""
    sae = load(folder)
    layer = LAYER.fullmatch(folder.resolve().name)
    if layer is None:
        raise FreudError(f"{folder}: expected a folder called layer_N; AudioSAE tells the block by it")
    sae.metadata |= {"layout": "audiosae", "site": f"encoder.blocks.{int(layer[1]) - 1}"}
    # "constant_norm_rescale" gives norm sqrt(d_in); the factor to norm 1 goes into the weights.
    factor = sae.d_in**-0.5
    sae.W_enc.mul_(factor)
    sae.W_dec.div_(factor)
    sae.b_dec.div_(factor)
    sae.normalize_activations = "constant_norm_rescale"
    return sae


def _kind(state: dict[str, Any], path: Path) -> str:
    """The class whose tensors these are."""
    match set(state):
        case names if names >= {"encoder.weight", "gate_bias"}:
            return GATED
        case names if names >= {"encoder.weight", "b_dec"}:
            return BATCH
        case names if names >= {"encoder.weight", "bias"}:
            return STANDARD
        case names if names >= {"encoder.weight", "decoder.bias"}:
            return NEW
        case names if names >= {"W_enc", "k"}:
            return MATRYOSHKA
        case names if names >= {"W_enc", "threshold"}:
            return JUMP
    raise FreudError(f"{path}: has none of the sets of tensors that dictionary_learning writes")


def _build(kind: Any, state: dict[str, Any], trainer: dict[str, Any], path: Path, metadata: dict[str, Any]) -> SAE:
    def tensor(name: str, *shape: int | None) -> Tensor:
        return reading.tensor(state, name, path, shape)

    if kind not in CLASSES:
        raise FreudError(f"{path.with_name(CONFIG)}: dict_class is {kind!r}; expected one of {', '.join(CLASSES)}")
    reading.refuse_unknown(state, TENSORS[kind], path)
    if kind in {MATRYOSHKA, JUMP}:
        w_enc = tensor("W_enc", None, None)
        d_in, d_sae = w_enc.shape
        weights = (w_enc, tensor("b_enc", d_sae), tensor("W_dec", d_sae, d_in), tensor("b_dec", d_in))
        if kind == MATRYOSHKA:
            return _batch(weights, state, trainer, path, metadata)
        threshold = tensor("threshold", d_sae)
        return JumpReLUSAE(*weights, threshold=threshold, apply_b_dec_to_input=False, metadata=metadata)
    w_enc = tensor("encoder.weight", None, None).T.contiguous()
    d_in, d_sae = w_enc.shape
    w_dec = tensor("decoder.weight", d_in, d_sae).T.contiguous()
    match kind:
        case "GatedAutoEncoder":
            named = {"b_gate": "gate_bias", "b_mag": "mag_bias", "r_mag": "r_mag"}
            biases = {ours: tensor(theirs, d_sae) for ours, theirs in named.items()}
            return GatedSAE(w_enc, w_dec, tensor("decoder_bias", d_in), **biases, metadata=metadata)
        case "AutoEncoder":
            weights = (w_enc, tensor("encoder.bias", d_sae), w_dec, tensor("bias", d_in))
            return StandardSAE(*weights, metadata=metadata)
        case "AutoEncoderNew":
            weights = (w_enc, tensor("encoder.bias", d_sae), w_dec, tensor("decoder.bias", d_in))
            return StandardSAE(*weights, apply_b_dec_to_input=False, metadata=metadata)
    weights = (w_enc, tensor("encoder.bias", d_sae), w_dec, tensor("b_dec", d_in))
    if kind == TOPK:
        return TopKSAE(*weights, k=_k(state, trainer, d_sae, path), metadata=metadata)
    return _batch(weights, state, trainer, path, metadata)


def _batch(
    weights: tuple[Tensor, ...], state: dict[str, Any], trainer: dict[str, Any], path: Path, metadata: dict[str, Any]
) -> SAE:
    """A BatchTopK SAE: jumprelu with its one threshold, or, if that was never set, the k largest of each frame."""
    d_sae = len(weights[1])
    threshold = reading.tensor(state, "threshold", path, ()) if "threshold" in state else torch.tensor(-1.0)
    reading.check_finite({"threshold": threshold}, path)
    if threshold >= 0:
        return JumpReLUSAE(*weights, threshold=threshold.expand(d_sae).clone(), metadata=metadata)
    return TopKSAE(*weights, k=_k(state, trainer, d_sae, path), metadata={**metadata, "threshold": "never set"})


def _k(state: dict[str, Any], trainer: dict[str, Any], d_sae: int, path: Path) -> int:
    if "k" in state:
        return reading.k({"k": int(reading.tensor(state, "k", path, (), whole=True))}, d_sae, path)
    return reading.k(trainer, d_sae, path.with_name(CONFIG))
