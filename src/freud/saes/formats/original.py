"""Checkpoints of the original FREUD (`.pth`), and of er537's code, which it grew from.

    topk: latents = the k largest of relu((x - b_dec) W^T + b);  x_hat = latents W_dec + b_dec
    l1:   latents = relu(x D + b);  x_hat = latents D^T          (tied; columns of D scaled to norm 1 at every use)

A dict with `model` (topk: `encoder.weight` W [d_sae, d_in], `encoder.bias` b, `W_dec` [d_sae, d_in], `b_dec`; l1:
`decoder.weight` D [d_in, d_sae], `encoder_bias` b) and `hparams`, which er537's files lack: those are always l1, and
their sizes are those of the tensors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.nn.functional import normalize

from freud.errors import DamagedFileError, FreudError
from freud.saes.formats import pickles, reading
from freud.saes.formats.sites import canonical
from freud.saes.l1 import StandardSAE
from freud.saes.sae import SAE
from freud.saes.topk import TopKSAE


def found(path: Path) -> bool:
    """Whether `path` is a file that may be in this layout: any checkpoint but dictionary_learning's `ae.pt`."""
    return path.is_file() and path.suffix != ".safetensors" and path.name != "ae.pt"


def load(path: Path) -> SAE:
    """Read an SAE that the original FREUD, or er537's code, wrote.

    Raises:
        FreudError: a variant that neither had.
        DamagedFileError: the file cannot be read, holds code, or its tensors do not fit together.
    """
    checkpoint = pickles.read(path)
    state = checkpoint.get("model") if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict):
        raise FreudError(f"{path}: has no dict `model`; expected a checkpoint of the original FREUD or of er537's code")
    hparams = checkpoint.get("hparams")
    if hparams is None:
        hparams = {"autoencoder_variant": "l1"}
    if not isinstance(hparams, dict):
        raise DamagedFileError(f"{path}: hparams is no dict; download it again")
    whisper = _dict(hparams, "whisper_config", path)
    metadata: dict[str, Any] = {"layout": "freud-original" if "hparams" in checkpoint else "er537"}
    if isinstance(whisper.get("model"), str):
        metadata["model"] = whisper["model"]
    if site := canonical(whisper.get("layer_name")):
        metadata["site"] = site
    match hparams.get("autoencoder_variant"):
        case "l1":
            sae, tensors = _l1(state, path, metadata), ("decoder.weight", "encoder_bias")
        case "topk":
            sae = _topk(state, path, _dict(hparams, "autoencoder_config", path), metadata)
            tensors = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")
        case other:
            raise FreudError(f"{path}: autoencoder_variant is {other!r}; expected 'l1' or 'topk'")
    reading.refuse_unknown(state, tensors, path)
    reading.check_width(hparams, {"activation_size": sae.d_in}, path)
    return sae


def _l1(state: dict[str, Any], path: Path, metadata: dict[str, Any]) -> SAE:
    decoder = reading.tensor(state, "decoder.weight", path, (None, None))
    d_in, d_sae = decoder.shape
    bias = reading.tensor(state, "encoder_bias", path, (d_sae,))
    decoder = normalize(decoder, dim=0)  # as the original does before every use
    return StandardSAE(
        decoder.contiguous(),
        bias.clone(),
        decoder.T.contiguous(),
        decoder.new_zeros(d_in),
        apply_b_dec_to_input=False,
        metadata=metadata,
    )


def _topk(state: dict[str, Any], path: Path, config: dict[str, Any], metadata: dict[str, Any]) -> SAE:
    encoder = reading.tensor(state, "encoder.weight", path, (None, None))
    d_sae, d_in = encoder.shape
    return TopKSAE(
        encoder.T.contiguous(),
        reading.tensor(state, "encoder.bias", path, (d_sae,)),
        reading.tensor(state, "W_dec", path, (d_sae, d_in)),
        reading.tensor(state, "b_dec", path, (d_in,)),
        k=reading.k({"k": 32, **config}, d_sae, path),  # 32 is the original's default
        metadata=metadata,
    )


def _dict(values: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    value = values.get(name, {})
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: {name} is no dict; download it again")
    return value
