"""Altered SAE files of every layout are read as their tool computes, or refused in one line: never anything else.

The oracle is arithmetic on the tensors and settings that an altered file really holds, written out for each layout.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from freud.errors import FreudError
from freud.saes import load

D, M, K = 4, 12, 3
JUNK = [None, -1, 0, 2, 1.5, "x", [], {}, True, 10**12]
Weights = dict[str, Tensor]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


X = draw(30, D, seed=9)


def largest(pre: Tensor, k: int) -> Tensor:
    values, places = pre.relu().topk(k, dim=-1)
    return torch.zeros_like(pre).scatter(-1, places, values)


def largest_by_magnitude(pre: Tensor, k: int) -> Tensor:
    places = pre.abs().topk(k, dim=-1).indices
    return torch.zeros_like(pre).scatter(-1, places, pre.gather(-1, places))


# ---- layouts: how a folder is made, and x_hat by its tool's formula from what the folder holds


def write_sparsify(folder: Path, weights: Weights, config: dict[str, Any]) -> None:
    save_file(weights, folder / "sae.safetensors")
    (folder / "cfg.json").write_text(json.dumps(config))


def sparsify(weights: Weights, config: dict[str, Any]) -> Tensor:
    x = X if config.get("transcode") else X - weights["b_dec"].float()
    pre = x @ weights["encoder.weight"].float().T + weights["encoder.bias"].float()
    choose = largest_by_magnitude if config.get("signed") else largest
    return choose(pre, config["k"]) @ weights["W_dec"].float() + weights["b_dec"].float()


def write_saelens(folder: Path, weights: Weights, config: dict[str, Any]) -> None:
    save_file(weights, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(config))


def saelens(weights: Weights, config: dict[str, Any]) -> Tensor:
    w = {name: tensor.float() for name, tensor in weights.items()}
    x, scale = X, 1.0
    if config.get("normalize_activations") == "constant_norm_rescale":
        scale = X.norm(dim=1, keepdim=True) / D**0.5
        x = X / scale
    pre = (x - w["b_dec"] if config.get("apply_b_dec_to_input", True) else x) @ w["W_enc"]
    match config["architecture"]:
        case "topk":
            f = largest(pre + w["b_enc"], config["k"])
        case "abstopk":
            f = largest_by_magnitude(pre + w["b_enc"], config["k"])
        case "jumprelu":
            f = (pre + w["b_enc"]).relu() * (pre + w["b_enc"] > w["threshold"])
        case "gated":
            f = (pre + w["b_gate"] > 0) * (w["r_mag"].exp() * pre + w["b_mag"]).relu()
        case _:
            f = (pre + w["b_enc"]).relu()
    return (f @ w["W_dec"] + w["b_dec"]) * scale


def write_dictionary(folder: Path, weights: Weights, config: dict[str, Any]) -> None:
    torch.save(weights, folder / "ae.pt")
    (folder / "config.json").write_text(json.dumps({"trainer": config}))


def dictionary(weights: Weights, config: dict[str, Any]) -> Tensor:
    w = {name: tensor.float() for name, tensor in weights.items()}
    pre = (X - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]
    k = int(weights["k"]) if "k" in weights else config["k"]
    threshold = float(w.get("threshold", torch.tensor(-1.0)))
    if config.get("dict_class") == "AutoEncoderTopK" or threshold < 0:
        f = largest(pre, k)
    else:
        f = pre.relu() * (pre > threshold)
    return f @ w["decoder.weight"].T + w["b_dec"]


def write_original(folder: Path, weights: Weights, config: dict[str, Any]) -> None:
    torch.save({"model": weights, "hparams": config, "optimizer": {"state": [torch.ones(3)]}}, folder / "bestval.pth")


def original(weights: Weights, config: dict[str, Any]) -> Tensor:
    w = {name: tensor.float() for name, tensor in weights.items()}
    if config["autoencoder_variant"] == "l1":
        unit = normalize(w["decoder.weight"], dim=0)
        return (X @ unit + w["encoder_bias"]).relu() @ unit.T
    pre = (X - w["b_dec"]) @ w["encoder.weight"].T + w["encoder.bias"]
    return largest(pre, config.get("autoencoder_config", {}).get("k", 32)) @ w["W_dec"] + w["b_dec"]


SPARSIFY = {"encoder.weight": draw(M, D), "encoder.bias": draw(M), "W_dec": draw(M, D, seed=1), "b_dec": draw(D)}
SPARSIFY_CONFIG = {"activation": "topk", "expansion_factor": 3, "normalize_decoder": True, "num_latents": 0, "k": K,
                   "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": D}  # fmt: skip
LENS = {"W_enc": draw(D, M), "b_enc": draw(M), "W_dec": draw(M, D, seed=1), "b_dec": draw(D)}
LENS_CONFIG = {"d_in": D, "d_sae": M, "dtype": "float32", "device": "cpu", "apply_b_dec_to_input": True,
               "normalize_activations": "none", "reshape_activations": "none", "metadata": {}}  # fmt: skip
GATED = {name: tensor for name, tensor in LENS.items() if name != "b_enc"}
LINEAR = {"encoder.weight": draw(M, D), "encoder.bias": draw(M), "decoder.weight": draw(D, M, seed=1), "b_dec": draw(D)}
DICTIONARY_CONFIG = {"activation_dim": D, "dict_size": M, "k": K, "lm_name": "openai/whisper-small"}
HPARAMS = {"autoencoder_config": {"k": K}, "activation_size": D,
           "whisper_config": {"model": "tiny", "layer_name": "encoder.blocks.2"}}  # fmt: skip
LAYOUTS: dict[str, tuple[Callable[..., None], Callable[..., Tensor], str, Weights, dict[str, Any]]] = {
    "sparsify": (write_sparsify, sparsify, "sae.safetensors", SPARSIFY, SPARSIFY_CONFIG),
    "sparsify signed": (write_sparsify, sparsify, "sae.safetensors", SPARSIFY, {**SPARSIFY_CONFIG, "signed": True}),
    **{
        f"saelens {kind}": (write_saelens, saelens, "sae_weights.safetensors",
                            {**(GATED if kind == "gated" else LENS), **more},
                            {**LENS_CONFIG, "architecture": kind, **settings})
        for kind, more, settings in (
            ("topk", {}, {"k": K}), ("abstopk", {}, {"k": K}), ("standard", {}, {}),
            ("jumprelu", {"threshold": draw(M).abs()}, {}),
            ("gated", {"b_gate": draw(M), "b_mag": draw(M, seed=2), "r_mag": draw(M, seed=3) / 4}, {}),
        )
    },
    "dictionary_learning": (write_dictionary, dictionary, "ae.pt",
                            {**LINEAR, "k": torch.tensor(K), "threshold": torch.tensor(0.4)},
                            {**DICTIONARY_CONFIG, "dict_class": "BatchTopKSAE"}),
    "freud-original topk": (write_original, original, "bestval.pth", SPARSIFY,
                            {**HPARAMS, "autoencoder_variant": "topk"}),
    "freud-original l1": (write_original, original, "bestval.pth",
                          {"decoder.weight": draw(D, M), "encoder_bias": draw(M)},
                          {**HPARAMS, "autoencoder_variant": "l1"}),
}  # fmt: skip


def changes(weights: Weights, config: dict[str, Any]) -> Iterator[tuple[str, Weights, dict[str, Any]]]:
    """Each tensor and each setting altered, one at a time."""
    for name, tensor in weights.items():
        others = {n: t for n, t in weights.items() if n != name}
        yield f"{name} dropped", others, config
        yield f"{name} renamed", {**others, f"{name}x": tensor}, config
        yield f"{name} added to", {**weights, f"{name}_scale": tensor.clone()}, config
        for dtype in (torch.float16, torch.float64, torch.int8, torch.float8_e4m3fn, torch.complex64, torch.bool):
            yield f"{name} as {dtype}", {**others, name: tensor.to(dtype)}, config
        if tensor.ndim:
            yield f"{name} short", {**others, name: tensor[1:].clone()}, config
            yield f"{name} transposed", {**others, name: tensor.movedim(0, -1).contiguous()}, config
            yield f"{name} expanded", {**others, name: tensor[None].clone()}, config
        for value in (torch.nan, torch.inf, -torch.inf, 1e39):
            damaged = tensor.double() if value == 1e39 else tensor.float().clone()
            damaged.view(-1)[-1] = value
            yield f"{name} with {value}", {**others, name: damaged}, config
    for name in config:
        yield f"{name} dropped", weights, {n: v for n, v in config.items() if n != name}
        for value in JUNK:
            yield f"{name} = {value!r}", weights, {**config, name: value}
    yield "an unknown setting", weights, {**config, "lookup_table": "x"}


def outcome(path: Path, expected: Callable[[], Tensor], before: Tensor) -> str:
    said, x_hat = None, torch.zeros(0)
    try:
        sae = load(path)
    except FreudError as error:
        said = str(error)
    else:
        x_hat = sae(X)
    if said is not None:
        assert "\n" not in said
        assert path.name in said
        return "refused"
    try:
        wanted = expected()
    except Exception:  # the formula has no value: then what was altered must be without a meaning
        wanted = before
    return "read" if torch.allclose(x_hat, wanted, rtol=1e-2, atol=1e-2) else "wrong"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensors_and_settings(tmp_path: Path, layout: str) -> None:
    write, formula, name, weights, config = LAYOUTS[layout]
    before, counts = formula(weights, config), Counter[str]()
    for what, tensors, settings in [("nothing", weights, config), *list(changes(weights, config))[::3]]:
        folder = tmp_path / "altered"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write(folder, {n: t.clone() for n, t in tensors.items()}, settings)
        path = folder / name if name.endswith(".pth") else folder
        result = outcome(path, lambda t=tensors, s=settings: formula(t, s), before)
        assert result != "wrong", what
        assert result == "read" or what != "nothing"
        counts[result] += 1
    assert counts["read"] > 5
    assert counts["refused"] > 10


@pytest.mark.parametrize(
    "layout", ["sparsify signed", "saelens jumprelu", "dictionary_learning", "freud-original topk"]
)
def test_bytes(tmp_path: Path, layout: str) -> None:
    write, formula, name, weights, config = LAYOUTS[layout]
    folder = tmp_path / "altered"
    folder.mkdir()
    write(folder, weights, config)
    before, counts = formula(weights, config), Counter[str]()
    files = sorted(folder.iterdir())
    path = folder / name if name.endswith(".pth") else folder
    for file in files:
        whole = file.read_bytes()

        def held() -> Tensor:
            """What the altered file holds, by its own reader."""
            if name.endswith(".safetensors"):
                return formula(load_file(folder / name), json.loads((folder / "cfg.json").read_text()))
            value = torch.load(folder / name, weights_only=True)
            if name == "ae.pt":
                return formula(value, json.loads((folder / "config.json").read_text())["trainer"])
            return formula(value["model"], value["hparams"])

        for at in range(0, len(whole), max(1, len(whole) // 30)):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << at % 8
            for data in (whole[:at], bytes(flipped)):
                file.write_bytes(data)
                result = outcome(path, held, before)
                assert result != "wrong", f"{file.name} at {at}, {len(data)} bytes"
                counts[result] += 1
        file.write_bytes(whole)
    assert counts["refused"] > 30
