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

from freud import artifacts
from freud.errors import DamagedFileError, FreudError
from freud.saes.l1 import StandardSAE
from freud.saes.sae import SAE
from freud.saes.topk import TopKSAE

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
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
    config = artifacts.read_json(folder / CONFIG)
    try:
        weights = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise DamagedFileError(f"{folder / WEIGHTS}: damaged ({error}); train or download it again") from None
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        if name not in weights:
            raise DamagedFileError(f"{folder / WEIGHTS}: has no tensor {name}; train or download it again")
    for field, supported in (("normalize_activations", "none"), ("reshape_activations", "none")):
        if config.get(field, supported) != supported:
            raise FreudError(f"{folder / CONFIG}: {field} is {config[field]!r}; only {supported!r} can be read")
    tensors = tuple(weights[name].float() for name in ("W_enc", "b_enc", "W_dec", "b_dec"))
    options: dict[str, Any] = {
        "apply_b_dec_to_input": bool(config.get("apply_b_dec_to_input", False)),
        "metadata": config.get("metadata", {}),
    }
    match config.get("architecture"):
        case "topk":
            return TopKSAE(*tensors, k=_positive(config, "k", folder), **options)
        case "standard":
            return StandardSAE(*tensors, **options)
        case other:
            raise FreudError(f"{folder / CONFIG}: architecture {json.dumps(other)}; expected topk or standard")


def _positive(config: dict[str, Any], field: str, folder: Path) -> int:
    value = config.get(field)
    if not isinstance(value, int) or value < 1:
        raise FreudError(f"{folder / CONFIG}: {field} is {value!r}; expected a whole number of at least 1")
    return value
