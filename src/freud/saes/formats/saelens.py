"""SAELens's layout (version 6 and later): `cfg.json` and `sae_weights.safetensors` (DESIGN.md section 7).

A folder written here loads in SAELens as it is; what an audio model adds (site, model fingerprint, frames a second)
goes into `metadata`, where SAELens keeps facts about the run. BatchTopK and Matryoshka SAEs are jumprelu once trained,
in SAELens as here. Of the kinds SAELens has, those that are no dictionary of one site (transcoders), or keep state
between frames, are refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from freud import artifacts
from freud.errors import DamagedFileError, FreudError
from freud.models.files import read_json
from freud.saes.abstopk import AbsTopKSAE
from freud.saes.formats import reading
from freud.saes.formats.sites import canonical
from freud.saes.gated import GatedSAE
from freud.saes.jumprelu import JumpReLUSAE
from freud.saes.l1 import StandardSAE
from freud.saes.sae import NORMALIZATIONS, SAE, ShapeError
from freud.saes.topk import TopKSAE

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
SAELENS_VERSION = "6.0.0"  # the layout's version, which SAELens checks
TENSORS = {  # in the order in which the classes take them, then those they take by name
    "topk": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "standard": ("W_enc", "b_enc", "W_dec", "b_dec"),
    "jumprelu": ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"),
    "gated": ("W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"),
    "abstopk": ("W_enc", "b_enc", "W_dec", "b_dec"),
}
TRAINING = {"batchtopk", "matryoshka_batchtopk"}  # jumprelu with one threshold, while SAELens trains them


def found(path: Path) -> bool:
    """Whether `path` is a folder in this layout."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def save(sae: SAE, folder: Path) -> list[str]:
    """Write `sae` into `folder` and return the names of the files."""
    config = {
        "architecture": sae.architecture,
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "dtype": str(sae.W_enc.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": sae.normalize_activations,
        "reshape_activations": "none",
        **sae.config(),
        "metadata": {
            "sae_lens_version": SAELENS_VERSION,
            "model_name": sae.metadata.get("model"),
            "hook_name": sae.metadata.get("site"),
            **sae.metadata,
        },
    }
    artifacts.write_json(folder / CONFIG, config)
    with artifacts.replacing(folder / WEIGHTS) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in sae.state_dict().items()}, temporary)
    return [CONFIG, WEIGHTS]


def load(folder: Path) -> SAE:
    """Read an SAE in SAELens's layout.

    Raises:
        FreudError: no such files, or a kind of SAE that is not supported.
        DamagedFileError: the files cannot be read or do not fit together.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FreudError(f"{folder}: has no {name}; expected the folder of an SAE in SAELens's layout")
    config = _current(read_json(folder / CONFIG, "it"))
    path = folder / CONFIG
    if config["normalize_activations"] not in NORMALIZATIONS:
        raise FreudError(
            f"{path}: normalize_activations is {config['normalize_activations']!r}; expected one of "
            f"{', '.join(NORMALIZATIONS)}: fold it into the weights in SAELens"
        )
    # hook_z flattens the heads of a frame into one vector, which is what our attn.heads sites hold anyway
    if config["reshape_activations"] not in ("none", "hook_z"):
        raise FreudError(f"{path}: reshape_activations is {config['reshape_activations']!r}; only 'none' can be read")
    metadata = config["metadata"]
    if not isinstance(metadata, dict):
        raise FreudError(f"{path}: metadata is {metadata!r}; expected an object")
    options: dict[str, Any] = {
        "apply_b_dec_to_input": reading.switch(config, "apply_b_dec_to_input", path),
        "normalize_activations": config["normalize_activations"],
        "metadata": _named(metadata),
    }
    architecture = config["architecture"]
    by_norm = reading.switch(config, "rescale_acts_by_decoder_norm", path)
    for name in ("activation_fn", "activation_fn_str"):  # of before version 6
        if config.get(name) not in (None, "relu", "topk"):
            raise FreudError(f"{path}: {name} is {str(config[name])[:40]!r}; expected relu or topk")
    tensors = reading.safetensors(folder / WEIGHTS)
    if (
        isinstance(architecture, str)
        and architecture in TRAINING
        and "topk_threshold" in tensors
        and "b_enc" in tensors
    ):
        tensors["threshold"] = tensors.pop("topk_threshold").float().expand_as(tensors["b_enc"]).clone()
        if by_norm and "W_dec" in tensors:  # it is one for latents times norm
            tensors["threshold"] /= tensors["W_dec"].float().norm(dim=-1)
        architecture = "jumprelu"
    if not isinstance(architecture, str) or architecture not in TENSORS:
        raise FreudError(f"{path}: architecture {json.dumps(architecture)}; expected one of {', '.join(TENSORS)}")
    weights = _weights(tensors, TENSORS[architecture], folder / WEIGHTS)
    try:
        sae = _build(architecture, weights, config, options, folder)
    except ShapeError as error:
        raise DamagedFileError(f"{folder / WEIGHTS}: {error}; train or download it again") from None
    reading.check_width(config, {"d_in": sae.d_in, "d_sae": sae.d_sae}, path)
    if by_norm:  # it chooses by latents times norm
        SAE.unit_decoder(sae)  # so scaling each latent by its own norm, which TopK's own avoids, is what it means
    return sae


def _build(
    architecture: str, weights: dict[str, Tensor], config: dict[str, Any], options: dict[str, Any], folder: Path
) -> SAE:
    match architecture:
        case "topk" | "abstopk":
            sae = (TopKSAE if architecture == "topk" else AbsTopKSAE)(*weights.values(), k=0, **options)
            sae.k = reading.k(config, sae.d_sae, folder / CONFIG)
            return sae
        case "standard":
            return StandardSAE(*weights.values(), **options)
        case "jumprelu":
            threshold = weights.pop("threshold")
            return JumpReLUSAE(*weights.values(), threshold=threshold, **options)
        case _:
            named = {name: weights.pop(name) for name in ("b_gate", "b_mag", "r_mag")}
            return GatedSAE(*weights.values(), **named, **options)


def _weights(tensors: dict[str, Tensor], names: tuple[str, ...], path: Path) -> dict[str, Tensor]:
    """The tensors as float32, in the order that an SAE takes them."""
    for name in names:
        if name not in tensors:
            raise DamagedFileError(f"{path}: has no tensor {name}; train or download it again")
    if "scaling_factor" in tensors and not torch.equal(
        tensors["scaling_factor"], torch.ones_like(tensors["scaling_factor"])
    ):
        raise FreudError(f"{path}: has a finetuning scaling_factor; fold it into W_dec in SAELens")
    reading.refuse_unknown({name for name in tensors if name != "scaling_factor"}, names, path)
    for name in names:
        reading.check_floats(tensors[name], name, path)
    return {name: tensors[name].float() for name in names}


def _named(metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata with our names for the site and the model, where SAELens's say them."""
    named = dict(metadata)
    if "site" not in named and (site := canonical(metadata.get("hook_name"))):
        named["site"] = site
    if "model" not in named and isinstance(metadata.get("model_name"), str):
        named["model"] = metadata["model_name"]
    return named


def _current(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration as version 6 would have it: older ones keep facts about the run beside the architecture."""
    config = dict(config)
    if "metadata" not in config:
        kept = ("model_name", "hook_name", "hook_point")
        metadata = {name.replace("hook_point", "hook_name"): config[name] for name in kept if name in config}
        config["metadata"] = metadata
        kwargs = config.get("activation_fn_kwargs")
        if "topk" in (config.get("activation_fn_str"), config.get("activation_fn")) and isinstance(kwargs, dict):
            config |= {"architecture": "topk", "k": kwargs.get("k")}
        elif "hook_name" in metadata:
            config.setdefault("architecture", "standard")
    scaled = config.get("normalize_activations")
    if scaled is None or isinstance(scaled, bool):
        config["normalize_activations"] = "expected_average_only_in" if scaled else "none"
    config.setdefault("architecture", None)
    config.setdefault("apply_b_dec_to_input", True)
    config.setdefault("reshape_activations", "none")
    return config
