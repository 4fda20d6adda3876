"""EleutherAI's sparsify: `<hookpoint>/cfg.json` and `sae.safetensors`, the folder named after the hookpoint.

    latents = the k largest of relu(x W^T + b), x less b_dec unless `transcode`;  x_hat = latents W_dec + b_dec
    signed:   the k entries of x W^T + b that are largest by magnitude   (files of 2024; sparsify reads them no longer)

with `encoder.weight` W [d_sae, d_in], `encoder.bias` b, `W_dec` [d_sae, d_in], `b_dec` [d_in]. A transcoder's latents
can be read, but it reconstructs another site; one with a skip connection is refused, as its output is no function of
its latents.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from freud import artifacts
from freud.errors import FreudError
from freud.models.files import read_json
from freud.saes.abstopk import AbsTopKSAE
from freud.saes.formats import reading
from freud.saes.formats.sites import canonical
from freud.saes.sae import SAE
from freud.saes.topk import TopKSAE

CONFIG = "cfg.json"
WEIGHTS = "sae.safetensors"
TENSORS = ("encoder.weight", "encoder.bias", "W_dec", "b_dec")
_SETTINGS = {  # those that are read, and those of sizes, training and provenance; any other is refused where it is on
    *("activation", "k", "signed", "skip_connection", "transcode", "d_in", "num_latents"),
    *("expansion_factor", "normalize_decoder", "multi_topk", "init_enc_as_dec_transpose"),
    *("lookup_max_order", "gram_table_hash"),  # of gram_lookup, which is refused
}


def found(path: Path) -> bool:
    """Whether `path` is a folder in this layout."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def load(path: Path) -> SAE:
    """Read an SAE that sparsify wrote.

    Raises:
        FreudError: a kind that cannot be used here.
        DamagedFileError: the files cannot be read or do not fit together.
    """
    config = read_json(path / CONFIG, "it")
    if config.get("activation", "topk") != "topk":
        raise FreudError(f"{path / CONFIG}: activation is {config['activation']!r}; only 'topk' can be read")
    if config.get("skip_connection"):
        raise FreudError(
            f"{path / CONFIG}: has a skip connection, so its output is no function of its latents; use one without"
        )
    reading.refuse_settings(config, _SETTINGS, path / CONFIG)
    signed, transcode = (reading.switch(config, name, path / CONFIG) for name in ("signed", "transcode"))
    weights = reading.safetensors(path / WEIGHTS)
    reading.refuse_unknown(weights, TENSORS, path / WEIGHTS)
    encoder = reading.tensor(weights, "encoder.weight", path / WEIGHTS, (None, None))
    d_sae, d_in = encoder.shape
    reading.check_width(config, {"d_in": d_in}, path / CONFIG)
    if config.get("num_latents"):  # 0 is expansion_factor times d_in
        reading.check_width(config, {"num_latents": d_sae}, path / CONFIG)
    metadata: dict[str, Any] = {"layout": "sparsify"}
    if site := canonical(path.resolve().name):
        metadata["site"] = site
    if transcode:
        metadata["transcoder"] = True
    kind = AbsTopKSAE if signed else TopKSAE
    return kind(
        encoder.T.contiguous(),
        reading.tensor(weights, "encoder.bias", path / WEIGHTS, (d_sae,)),
        reading.tensor(weights, "W_dec", path / WEIGHTS, (d_sae, d_in)),
        reading.tensor(weights, "b_dec", path / WEIGHTS, (d_in,)),
        k=reading.k(config, d_sae, path / CONFIG),
        apply_b_dec_to_input=not transcode,
        metadata=metadata,
    )


def save(sae: SAE, folder: Path) -> list[str]:
    """Write a TopK SAE for sparsify and return the names of the files; name the folder after the site.

    Raises:
        FreudError: it is of another architecture, or scales each frame, neither of which sparsify has.
    """
    if type(sae) is not TopKSAE or sae.normalize_activations != "none":
        what = "with frames scaled one by one" if type(sae) is TopKSAE else sae.architecture
        raise FreudError(f"{folder}: an SAE {what} has no place in sparsify's layout, which holds topk; use saelens")
    # sparsify subtracts b_dec from the input; where ours does not, its bias makes up for it
    shift = 0 if sae.apply_b_dec_to_input or sae.metadata.get("transcoder") else sae.b_dec @ sae.W_enc
    config = {
        "activation": "topk",
        "expansion_factor": max(1, round(sae.d_sae / sae.d_in)),
        "normalize_decoder": True,
        "num_latents": sae.d_sae,
        "k": sae.k,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": bool(sae.metadata.get("transcoder", False)),
        "d_in": sae.d_in,
    }
    weights = {
        "encoder.weight": sae.W_enc.T.contiguous(),
        "encoder.bias": (sae.b_enc + shift).contiguous(),
        "W_dec": sae.W_dec.contiguous(),
        "b_dec": sae.b_dec.contiguous(),
    }
    artifacts.write_json(folder / CONFIG, config)
    with artifacts.replacing(folder / WEIGHTS) as temporary:
        save_file({name: weight.detach().cpu() for name, weight in weights.items()}, temporary)
    return [CONFIG, WEIGHTS]
