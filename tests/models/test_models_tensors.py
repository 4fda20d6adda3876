"""Every tensor of a checkpoint is used, or refused by name; what is used is what transformers uses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import (
    WhisperForAudioClassification,
    WhisperForConditionalGeneration,
)

import freud.models
from freud.errors import FreudError
from freud.models.base import AudioModel

TOKENS = torch.tensor([[1, 2, 3], [4, 5, 6]])
EMBEDDING, PROJECTION = "model.decoder.embed_tokens.weight", "proj_out.weight"


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], Any], *, pickled: bool = False) -> None:
    """Change the tensors of a folder in place."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    if pickled:
        (folder / "model.safetensors").unlink()
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        save_file({k: t.clone() for k, t in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})


def edit_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def message(folder: Path, **options: Any) -> str:
    with pytest.raises(FreudError) as caught:
        freud.models.load(str(folder), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def check_against_transformers(folder: Path, mel: Tensor) -> Any:
    """Logits of both, for the same tokens."""
    model: Any = freud.models.load(str(folder))
    theirs = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = theirs(input_features=mel, decoder_input_ids=TOKENS).logits
    torch.testing.assert_close(model.logits(mel, TOKENS), expected, rtol=1e-4, atol=1e-4)
    return model


# ---- the output projection


def test_a_projection_of_its_own(hf_folder: Path, model: Any, mel: Tensor) -> None:
    rewrite(hf_folder, lambda w: w.update({PROJECTION: w[EMBEDDING].flip(0)}))
    untied = check_against_transformers(hf_folder, mel)
    assert not torch.allclose(untied.logits(mel, TOKENS), model.logits(mel, TOKENS))
    assert untied.fingerprint != model.fingerprint
    edit_json(hf_folder / "config.json", tie_word_embeddings=False)
    assert check_against_transformers(hf_folder, mel).fingerprint == untied.fingerprint


def test_a_projection_that_is_the_embedding(hf_folder: Path, model: Any, mel: Tensor) -> None:
    rewrite(hf_folder, lambda w: w.update({PROJECTION: w[EMBEDDING].clone()}))
    assert check_against_transformers(hf_folder, mel).fingerprint == model.fingerprint


def test_a_projection_alone_stands_for_the_embedding(hf_folder: Path, model: Any, mel: Tensor) -> None:
    rewrite(hf_folder, lambda w: w.update({PROJECTION: w.pop(EMBEDDING)}))
    assert check_against_transformers(hf_folder, mel).fingerprint == model.fingerprint
    edit_json(hf_folder / "config.json", tie_word_embeddings=False)
    assert "lacks the weights decoder.embed_tokens.weight" in message(hf_folder)


def test_a_projection_that_is_promised_and_not_there(hf_folder: Path) -> None:
    edit_json(hf_folder / "config.json", tie_word_embeddings=False)
    assert "lacks proj_out.weight, and its configuration has tie_word_embeddings = false" in message(hf_folder)


def test_projections_that_do_not_fit(hf_folder: Path) -> None:
    rewrite(hf_folder, lambda w: w.update({"proj_out.bias": torch.ones(500)}))
    assert "holds proj_out.bias, which a Whisper of this configuration does not have" in message(hf_folder)
    rewrite(hf_folder, lambda w: [w.pop("proj_out.bias"), w.update({PROJECTION: torch.ones(499, 64)})])
    assert "proj_out.weight has shape [499, 64]; the embedding has [500, 64]" in message(hf_folder)


# ---- names


@pytest.mark.parametrize(
    "rename",
    [
        lambda n: f"_orig_mod.{n}",
        lambda n: f"module._orig_mod.{n}",
        lambda n: f"whisper.{n}",
        lambda n: f"model.{n}",
        lambda n: f"base_model.model.{n}",
        lambda n: f"_orig_mod.module.base_model.model.{n}",
        lambda n: n.replace("encoder.", "encoder._orig_mod."),
        lambda n: n.replace("layers.0.", "layers.0._fsdp_wrapped_module._checkpoint_wrapped_module."),
        lambda n: n.removeprefix("model."),
    ],
)
def test_names_of_wrappers(hf_folder: Path, model: AudioModel, rename: Callable[[str], str]) -> None:
    def change(weights: dict[str, Tensor]) -> None:
        for name in list(weights):
            weights[rename(name)] = weights.pop(name)

    rewrite(hf_folder, change, pickled=len(rename("")) % 2 == 0)
    assert freud.models.load(str(hf_folder)).fingerprint == model.fingerprint


def test_wrappers_in_a_pt(pt_file: Path, model: AudioModel, tmp_path: Path) -> None:
    value = torch.load(pt_file, weights_only=True)
    state = {f"module._orig_mod.{name}": tensor for name, tensor in value["model_state_dict"].items()}
    torch.save({**value, "model_state_dict": state, "epoch": 3, "optimizer_state_dict": {"state": [torch.ones(3)]}},
               tmp_path / "a.pt")  # fmt: skip
    assert freud.models.load(str(tmp_path / "a.pt")).fingerprint == model.fingerprint
    torch.save({**value, "ema_state_dict": state}, tmp_path / "b.pt")
    assert "holds the tensors of ema_state_dict beside model_state_dict" in message(tmp_path / "b.pt")
    torch.save({**value, "model_state_dict": value["model_state_dict"] | {"extra.weight": torch.ones(3)}},
               tmp_path / "c.pt")  # fmt: skip
    assert "holds extra.weight, which a Whisper" in message(tmp_path / "c.pt")


def test_two_tensors_of_one_name(hf_folder: Path, model: AudioModel) -> None:
    name = "model.encoder.conv1.bias"
    rewrite(hf_folder, lambda w: w.update({f"module.{name}": w[name].clone()}))
    assert freud.models.load(str(hf_folder)).fingerprint == model.fingerprint
    rewrite(hf_folder, lambda w: w.update({f"module.{name}": w[name] + 1}))
    assert "holds two different tensors encoder.conv1.bias" in message(hf_folder)


def test_other_prefixes_are_named(hf_folder: Path) -> None:
    def change(weights: dict[str, Tensor]) -> None:
        for name in list(weights):
            weights[f"speech.{name}"] = weights.pop(name)

    rewrite(hf_folder, change)
    assert "0 encoder blocks, and a tensor speech.model.decoder" in message(hf_folder)


def test_tensors_that_nobody_knows(hf_folder: Path) -> None:
    for name in ("model.encoder.layers.0.adapter.weight", "ctc_head.weight", "model.encoder.layers.0.fc1.weight_scale"):
        rewrite(hf_folder, lambda w, name=name: w.update({name: torch.ones(3)}))
        assert f"holds {name.removeprefix('model.')}, which a Whisper of this configuration" in message(hf_folder)
        rewrite(hf_folder, lambda w, name=name: w.pop(name))


def test_what_is_left_out_is_harmless(hf_folder: Path, model: AudioModel, pt_file: Path, tmp_path: Path) -> None:
    def harmless(weights: dict[str, Tensor]) -> None:
        weights["model.encoder.version"] = torch.tensor([3.0])
        weights["model.encoder.layers.0.self_attn.k_proj.bias"] = torch.zeros(64)
        weights.pop("model.encoder.embed_positions.weight")

    value = torch.load(pt_file, weights_only=True)
    value["model_state_dict"] |= {
        "alignment_heads": torch.ones(2, 2, dtype=torch.bool).to_sparse(),
        "decoder.mask": torch.full((64, 64), -torch.inf).triu(1),
    }
    torch.save(value, tmp_path / "old.pt")
    assert freud.models.load(str(tmp_path / "old.pt")).fingerprint == model.fingerprint
    value["model_state_dict"]["decoder.mask"] = torch.zeros(64, 64)
    torch.save(value, tmp_path / "old.pt")
    assert "holds decoder.mask" in message(tmp_path / "old.pt")
    rewrite(hf_folder, lambda w: w.update({"model.encoder.layers.0.self_attn.k_proj.bias": torch.ones(64)}))
    assert "holds encoder.layers.0.self_attn.k_proj.bias" in message(hf_folder)
    rewrite(hf_folder, harmless)
    assert freud.models.load(str(hf_folder)).n_mels == 80


def test_positions_that_a_file_leaves_out_are_transformers_own(hf_folder: Path, mel: Tensor) -> None:
    rewrite(hf_folder, lambda w: w.pop("model.encoder.embed_positions.weight"))
    check_against_transformers(hf_folder, mel)


def test_a_classifier_is_an_encoder_and_says_what_is_not_used(tmp_path: Path, mel: Tensor) -> None:
    config = WhisperConfig(
        d_model=64, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=64, max_source_positions=100,
        num_labels=3, use_weighted_layer_sum=True, classifier_proj_size=8,
    )  # fmt: skip
    theirs = WhisperForAudioClassification(config).eval()
    theirs.save_pretrained(tmp_path / "classifier")
    ours = freud.models.load(str(tmp_path / "classifier"))
    assert not ours.can_transcribe
    assert "not used: classifier.bias, classifier.weight, layer_weights, projector" in ours.describe()["notes"]
    with torch.inference_mode():
        torch.testing.assert_close(ours.run(mel), theirs.encoder(mel).last_hidden_state, rtol=1e-4, atol=1e-4)


# ---- shards


def test_an_index_is_compared_with_its_files(theirs: Any, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    theirs.save_pretrained(folder, max_shard_size="300KB")
    shard, other = sorted(folder.glob("*.safetensors"))[:2]
    weights = load_file(shard)
    name = next(iter(weights))
    save_file({**weights, "extra": torch.ones(2)}, shard)
    assert "holds extra, which a Whisper" in message(folder)
    save_file({n: t for n, t in weights.items() if n != name}, shard)
    assert f"its index lists {name}, which no file holds" in message(folder)
    save_file(weights, shard)
    save_file({**load_file(other), name: weights[name] + 1}, other)
    assert f"holds two different tensors {name.removeprefix('model.')}" in message(folder)


def test_safetensors_before_pickles(hf_folder: Path, model: AudioModel) -> None:
    torch.save({"model.encoder.conv1.bias": torch.ones(3)}, hf_folder / "pytorch_model.bin")
    assert freud.models.load(str(hf_folder)).fingerprint == model.fingerprint


# ---- numbers


@pytest.mark.parametrize(
    ("field", "method"),
    [("quantization_config", "bitsandbytes"), ("compression_config", "sparseml"), ("quantization", "mlx")],
)
def test_quantized_by_configuration(hf_folder: Path, field: str, method: str) -> None:
    edit_json(hf_folder / "config.json", **{field: {"quant_method": method, "bits": 8}})
    assert f"{field} says that the weights are quantized ({method}); dequantize them" in message(hf_folder)


@pytest.mark.parametrize(
    "dtype",
    [torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.uint8, torch.bool, torch.complex64],
)
def test_quantized_by_dtype(hf_folder: Path, dtype: torch.dtype) -> None:
    name = "model.encoder.layers.1.fc1.weight"
    rewrite(hf_folder, lambda w: w.update({name: w[name].to(dtype)}), pickled=dtype.itemsize == 1)
    kind = str(dtype).removeprefix("torch.")
    said = message(hf_folder)
    assert "encoder.layers.1.fc1.weight is not a tensor of floating-point numbers" in said
    assert f"but {kind}; if the weights are quantized, dequantize them" in said


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(torch.nan, torch.float32), (torch.inf, torch.float16), (-torch.inf, torch.bfloat16), (torch.nan, torch.float64)],
)
def test_values_that_are_not_finite(hf_folder: Path, value: float, dtype: torch.dtype) -> None:
    def change(weights: dict[str, Tensor]) -> None:
        weights["model.decoder.layers.1.fc2.bias"] = weights["model.decoder.layers.1.fc2.bias"].to(dtype)
        weights["model.decoder.layers.1.fc2.bias"][17] = value

    rewrite(hf_folder, change)
    assert "decoder.layers.1.fc2.bias has values that are not finite" in message(hf_folder)


def test_values_beyond_the_dtype_that_is_asked_for(hf_folder: Path) -> None:
    name = "model.encoder.layers.1.fc1.bias"
    rewrite(hf_folder, lambda w: w[name].fill_(-1e6))
    assert "fc1.bias has values up to 1e+06, beyond float16; load it in float32" in message(
        hf_folder, dtype=torch.float16
    )
    freud.models.load(str(hf_folder), dtype=torch.bfloat16)
    rewrite(hf_folder, lambda w: w.update({name: w[name].double() * 1e60}))
    assert "beyond float32" in message(hf_folder)


def test_a_file_of_something_else(hf_folder: Path) -> None:
    weights = load_file(hf_folder / "model.safetensors")
    (hf_folder / "model.safetensors").unlink()
    torch.save({"state_dict": weights, "epoch": 3}, hf_folder / "pytorch_model.bin")
    assert "state_dict is no tensor but dict; expected tensors by name at the top" in message(hf_folder)
