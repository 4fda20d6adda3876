"""SAELens's layout (version 6 and later): `cfg.json` and `sae_weights.safetensors` (DESIGN.md section 7).

A folder written here loads in SAELens as it is; what an audio model adds (site, model fingerprint, frames a second)
goes into `metadata`, where SAELens keeps facts about the run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from freud import artifacts
from freud.errors import DamagedFileError, FreudError
from freud.saes.l1 import StandardSAE
from freud.saes.sae import SAE, ShapeError
from freud.saes.topk import TopKSAE

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
TENSORS = ("W_enc", "b_enc", "W_dec", "b_dec")
SAELENS_VERSION = "6.0.0"  # the layout's version, which SAELens checks


def save(sae: SAE, folder: Path) -> list[str]:
    """Write `sae` into `folder` and return the names of the files."""
    config = {
        "architecture": sae.architecture,
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "dtype": str(sae.W_enc.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": "none",
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
        save_file({name: tensor.detach().contiguous() for name, tensor in sae.state_dict().items()}, temporary)
    return [CONFIG, WEIGHTS]


def load(folder: Path | str) -> SAE:
    """Read an SAE in SAELens's layout.

    Raises:
        FreudError: no such files, or a kind of SAE that is not supported.
        DamagedFileError: the files cannot be read or do not fit together.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FreudError(f"{folder}: has no {name}; expected the folder of an SAE in SAELens's layout")
        if (folder / artifacts.MANIFEST).is_file():  # one of ours, which knows what the files must hold
            artifacts.read(folder, "train").file(name)
    config = artifacts.read_json(folder / CONFIG)
    for field, expected in (("normalize_activations", "none"), ("reshape_activations", "none")):
        if config.get(field, expected) != expected:
            raise FreudError(f"{folder / CONFIG}: {field} is {config[field]!r}; only {expected!r} can be read")
    metadata = config.get("metadata", {})
    if not isinstance(metadata, dict):
        raise FreudError(f"{folder / CONFIG}: metadata is {metadata!r}; expected an object")
    weights = _weights(folder / WEIGHTS)
    options: dict[str, Any] = {
        "apply_b_dec_to_input": bool(config.get("apply_b_dec_to_input", True)),
        "metadata": metadata,
    }
    try:
        match config.get("architecture"):
            case "topk":
                sae = TopKSAE(*weights.values(), k=0, **options)
                sae.k = _k(config, sae.d_sae, folder)
                if config.get("rescale_acts_by_decoder_norm", False):  # it chooses by latents times norm
                    norms = sae.W_dec.norm(dim=1)
                    sae.W_enc.mul_(norms)
                    sae.b_enc.mul_(norms)
                    sae.W_dec.div_(norms[:, None])
                return sae
            case "standard":
                return StandardSAE(*weights.values(), **options)
            case other:
                raise FreudError(f"{folder / CONFIG}: architecture {json.dumps(other)}; expected topk or standard")
    except ShapeError as error:
        raise DamagedFileError(f"{folder / WEIGHTS}: {error}; train or download it again") from None


def _weights(path: Path) -> dict[str, Tensor]:
    """The four tensors as float32, in the order that an SAE takes them."""
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DamagedFileError(f"{path}: damaged ({error}); train or download it again") from None
    for name in TENSORS:
        if name not in weights:
            raise DamagedFileError(f"{path}: has no tensor {name}; train or download it again")
    return {name: weights[name].float() for name in TENSORS}


def _k(config: dict[str, Any], d_sae: int, folder: Path) -> int:
    k = config.get("k")
    if type(k) is not int or not 1 <= k <= d_sae:
        raise FreudError(f"{folder / CONFIG}: k is {k!r}; expected a whole number between 1 and d_sae {d_sae}")
    return k
