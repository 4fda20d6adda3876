"""LoRA adapters in every place and spelling, against the arithmetic written out here; others are refused by name."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import freud.models
from freud.errors import FreudError
from freud.models.base import AudioModel

Weights = dict[str, Tensor]
RANK, ALPHA = 4, 6
PREFIX = "base_model.model."
CONFIG: dict[str, Any] = {
    "peft_type": "LORA",
    "r": RANK,
    "lora_alpha": ALPHA,
    "target_modules": ["q_proj", "v_proj"],
    "bias": "none",
    "inference_mode": True,
    "lora_dropout": 0.1,
    "fan_in_fan_out": False,
    "init_lora_weights": True,
}
TARGETS = [
    "model.encoder.layers.0.self_attn.q_proj",
    "model.encoder.layers.2.self_attn.v_proj",
    "model.decoder.layers.1.encoder_attn.q_proj",
]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) / 2


@pytest.fixture
def base(hf_folder: Path) -> Weights:
    return load_file(hf_folder / "model.safetensors")


@pytest.fixture
def parts(base: Weights) -> dict[str, tuple[Tensor, Tensor]]:
    """A [r, in] and B [out, r] of each target."""
    return {
        module: (
            draw(RANK, base[f"{module}.weight"].shape[1], seed=i),
            draw(len(base[f"{module}.weight"]), RANK, seed=i),
        )
        for i, module in enumerate(TARGETS)
    }


def tensors(parts: dict[str, tuple[Tensor, Tensor]], prefix: str = PREFIX, suffix: str = ".weight") -> Weights:
    return {f"{prefix}{m}.lora_{k}{suffix}": t for m, pair in parts.items() for k, t in zip("AB", pair, strict=True)}


def merged(base: Weights, parts: dict[str, tuple[Tensor, Tensor]], scale: float = ALPHA / RANK) -> Weights:
    out = dict(base)
    for module, (a, b) in parts.items():
        out[f"{module}.weight"] = base[f"{module}.weight"] + scale * b @ a
    return out


def write(folder: Path, weights: Weights, name: str = "adapter_model.safetensors", **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    if name.endswith(".safetensors"):
        save_file({k: t.clone().contiguous() for k, t in weights.items()}, folder / name, metadata={"format": "pt"})
    else:
        torch.save(weights, folder / name)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **config}))
    return folder


def check(folder: Path, weights: Weights, hf_folder: Path, tmp_path: Path, mel: Tensor) -> AudioModel:
    """The folder is the model with these weights: the same activations and logits."""
    expected_folder = tmp_path / "expected"
    shutil.copytree(hf_folder, expected_folder)
    for file in expected_folder.glob("adapter*"):
        file.unlink()
    save_file(weights, expected_folder / "model.safetensors", metadata={"format": "pt"})
    expected: Any = freud.models.load(str(expected_folder))
    model: Any = freud.models.load(str(folder))
    tokens = torch.tensor([[1, 2, 3], [4, 5, 6]])
    torch.testing.assert_close(model.run(mel), expected.run(mel), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.logits(mel, tokens), expected.logits(mel, tokens), rtol=1e-4, atol=1e-4)
    plain: Any = freud.models.load(str(fresh(hf_folder, tmp_path)))
    assert (model.logits(mel, tokens) - plain.logits(mel, tokens)).abs().max() > 1e-2, "this test proves nothing"
    return model


def fresh(hf_folder: Path, tmp_path: Path) -> Path:
    """The base without anything beside it."""
    folder = tmp_path / "plain"
    if not folder.exists():
        shutil.copytree(hf_folder, folder, ignore=shutil.ignore_patterns("adapter*"))
    return folder


def message(folder: Path) -> str:
    with pytest.raises(FreudError) as caught:
        freud.models.load(str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_model.bin"])
@pytest.mark.parametrize("where", ["absolute", "relative", "beside"])
def test_an_adapter_of_its_own(
    hf_folder: Path, base: Weights, parts: Any, tmp_path: Path, mel: Tensor, where: str, name: str
) -> None:
    folder = {"absolute": tmp_path / "adapter", "relative": tmp_path / "adapter", "beside": hf_folder}[where]
    path = {"absolute": str(hf_folder), "relative": "../small", "beside": "openai/whisper-tiny"}[where]
    write(folder, tensors(parts), name, base_model_name_or_path=path)
    model = check(folder, merged(base, parts), hf_folder, tmp_path, mel)
    assert model.name == folder.name
    assert model.can_transcribe


@pytest.mark.parametrize(
    "spell",
    [
        lambda base, parts: {**base, **tensors(parts, "", ".default.weight")},
        lambda base, parts: {**base, **tensors(parts, "", ".weight")},
        lambda base, parts: {**base, **tensors(parts, "", "")},  # loralib
        lambda base, parts: {
            **{
                PREFIX + (n.replace(".weight", ".base_layer.weight") if n.removesuffix(".weight") in parts else n): t
                for n, t in base.items()
            },
            **tensors(parts, suffix=".default.weight"),
        },
        lambda base, parts: {
            f"_orig_mod.module.{PREFIX}{n}": t for n, t in {**base, **tensors(parts, "", ".other.weight")}.items()
        },
    ],
)
@pytest.mark.parametrize("pickled", [False, True])
def test_an_adapter_in_the_file_of_the_weights(
    hf_folder: Path,
    base: Weights,
    parts: Any,
    tmp_path: Path,
    mel: Tensor,
    spell: Callable[..., Weights],
    pickled: bool,
) -> None:
    weights = spell(base, parts)
    fresh(hf_folder, tmp_path)
    if pickled:
        (hf_folder / "model.safetensors").unlink()
        torch.save(weights, hf_folder / "pytorch_model.bin")
    else:
        save_file(weights, hf_folder / "model.safetensors", metadata={"format": "pt"})
    assert re.search(r"holds a LoRA adapter \(.*_proj\) that is not merged, and no adapter_config", message(hf_folder))
    (hf_folder / "adapter_config.json").write_text(json.dumps(CONFIG))
    check(hf_folder, merged(base, parts), tmp_path / "plain", tmp_path, mel)


def test_the_scale(hf_folder: Path, base: Weights, parts: Any, tmp_path: Path, mel: Tensor) -> None:
    rslora = write(tmp_path / "rs", tensors(parts), base_model_name_or_path=str(hf_folder), use_rslora=True)
    check(rslora, merged(base, parts, ALPHA / math.sqrt(RANK)), hf_folder, tmp_path, mel)


def test_ranks_and_scales_by_pattern(hf_folder: Path, base: Weights, tmp_path: Path, mel: Tensor) -> None:
    """As PEFT: the first pattern that the end of a module's name matches."""
    first, second, third = TARGETS
    sizes = {first: (2, 10), second: (RANK, 3), third: (5, ALPHA)}
    parts = {m: (draw(r, 64, seed=r), draw(64, r, seed=r)) for m, (r, _) in sizes.items()}
    config = {
        "rank_pattern": {"encoder.layers.0.self_attn.q_proj": 2, r"^model\.decoder.*q_proj": 5},
        "alpha_pattern": {r"0\.self_attn\.q_proj": 10, "v_proj": 3},
    }
    folder = write(tmp_path / "adapter", tensors(parts), base_model_name_or_path=str(hf_folder), **config)
    expected = dict(base)
    for module, (rank, alpha) in sizes.items():
        a, b = parts[module]
        expected[f"{module}.weight"] = base[f"{module}.weight"] + alpha / rank * b @ a
    check(folder, expected, hf_folder, tmp_path, mel)


def test_dora(hf_folder: Path, base: Weights, parts: Any, tmp_path: Path, mel: Tensor) -> None:
    magnitude = {module: draw(64, seed=7).abs() + 0.5 for module in parts}
    weights = tensors(parts) | {f"{PREFIX}{m}.lora_magnitude_vector": t for m, t in magnitude.items()}
    folder = write(tmp_path / "adapter", weights, base_model_name_or_path=str(hf_folder), use_dora=True)
    expected = merged(base, parts)
    for module, sizes in magnitude.items():
        rows = expected[f"{module}.weight"]
        expected[f"{module}.weight"] = sizes[:, None] * rows / rows.norm(dim=1, keepdim=True)
    check(folder, expected, hf_folder, tmp_path, mel)
    write(folder, weights, base_model_name_or_path=str(hf_folder))
    assert "has a lora_magnitude_vector, but its adapter_config.json says use_dora = False" in message(folder)


def test_biases_and_layers_that_were_trained_whole(
    hf_folder: Path, base: Weights, parts: Any, tmp_path: Path, mel: Tensor
) -> None:
    bias, norm = draw(64, seed=3), 1 + draw(64, seed=4) / 10
    name, whole = f"{TARGETS[0]}.bias", "model.decoder.layer_norm.weight"
    weights = tensors(parts) | {f"{PREFIX}{TARGETS[0]}.base_layer.bias": bias, PREFIX + whole: norm}
    weights[f"{PREFIX}{TARGETS[1]}.lora_B.bias"] = bias
    config = {"bias": "lora_only", "modules_to_save": ["layer_norm"], "lora_bias": True}
    folder = write(tmp_path / "adapter", weights, base_model_name_or_path=str(hf_folder), **config)
    expected = merged(base, parts) | {name: bias, whole: norm}
    expected[f"{TARGETS[1]}.bias"] = base[f"{TARGETS[1]}.bias"] + ALPHA / RANK * bias
    check(folder, expected, hf_folder, tmp_path, mel)


def test_a_convolution(hf_folder: Path, base: Weights, tmp_path: Path, mel: Tensor) -> None:
    a, b = draw(RANK, 80, 3), draw(64, RANK, 1)
    weights = {f"{PREFIX}model.encoder.conv1.lora_A.weight": a, f"{PREFIX}model.encoder.conv1.lora_B.weight": b}
    folder = write(tmp_path / "adapter", weights, base_model_name_or_path=str(hf_folder))
    name = "model.encoder.conv1.weight"
    x = draw(1, 80, 50)
    delta = ALPHA / RANK * torch.nn.functional.conv1d(torch.nn.functional.conv1d(x, a, padding=1), b)
    change = ALPHA / RANK * (b[:, :, 0] @ a.flatten(1)).view_as(base[name])
    torch.testing.assert_close(torch.nn.functional.conv1d(x, change, padding=1), delta, rtol=1e-4, atol=1e-4)
    check(folder, base | {name: base[name] + change}, hf_folder, tmp_path, mel)


@pytest.mark.parametrize("what", ["embedding", "projection", "copy of the embedding", "embedding in place"])
def test_what_is_tied_to_an_adapted_module_stays(
    hf_folder: Path, base: Weights, tmp_path: Path, mel: Tensor, what: str
) -> None:
    """As PEFT computes before anything is merged: the adapter is of one module, not of its twin."""
    name, twin = "model.decoder.embed_tokens.weight", "proj_out.weight"
    embedding = base[name]
    a, b = draw(RANK, len(embedding)), draw(64, RANK)
    config: dict[str, Any] = {}
    match what:
        case "embedding":
            module = f"{PREFIX}model.decoder.embed_tokens"
            weights = {f"{module}.lora_embedding_A": a, f"{module}.lora_embedding_B": b}
            expected = {name: embedding + ALPHA / RANK * (b @ a).T, twin: embedding}
        case "projection":
            weights = {f"{PREFIX}proj_out.lora_A.weight": b.T, f"{PREFIX}proj_out.lora_B.weight": a.T}
            expected = {name: embedding, twin: embedding + ALPHA / RANK * a.T @ b.T}
        case "copy of the embedding":
            config = {"modules_to_save": ["embed_tokens"]}
            weights = {PREFIX + name: 2 * embedding}
            expected = {name: 2 * embedding, twin: embedding}
        case _:
            weights = {PREFIX + name: 2 * embedding}
            expected = {name: 2 * embedding}
    folder = write(tmp_path / "adapter", weights, base_model_name_or_path=str(hf_folder), **config)
    check(folder, base | expected, hf_folder, tmp_path, mel)


def test_a_dump_of_a_whole_peft_model(hf_folder: Path, base: Weights, parts: Any, tmp_path: Path, mel: Tensor) -> None:
    fresh(hf_folder, tmp_path)
    weights = {PREFIX + n: t for n, t in base.items()} | tensors(parts, suffix=".default.weight")
    norm = "model.decoder.layer_norm"
    for part in ("weight", "bias"):
        weights[f"{PREFIX}{norm}.original_module.{part}"] = weights.pop(f"{PREFIX}{norm}.{part}")
        weights[f"{PREFIX}{norm}.modules_to_save.default.{part}"] = base[f"{norm}.{part}"] + 1
    save_file(weights, hf_folder / "model.safetensors", metadata={"format": "pt"})
    (hf_folder / "adapter_config.json").write_text(json.dumps(CONFIG))
    expected = merged(base, parts) | {f"{norm}.{part}": base[f"{norm}.{part}"] + 1 for part in ("weight", "bias")}
    check(hf_folder, expected, hf_folder, tmp_path, mel)


def test_an_adapter_of_an_encoder(theirs: Any, parts: Any, base: Weights, tmp_path: Path, mel: Tensor) -> None:
    theirs.model.encoder.save_pretrained(tmp_path / "encoder")
    module = "layers.0.self_attn.q_proj"
    a, b = parts[f"model.encoder.{module}"]
    weights = {f"{PREFIX}{module}.lora_A.weight": a, f"{PREFIX}{module}.lora_B.weight": b}
    adapter = write(tmp_path / "adapter", weights, base_model_name_or_path="../encoder")
    model = freud.models.load(str(adapter))
    weights = load_file(tmp_path / "encoder" / "model.safetensors")
    weights[f"{module}.weight"] = weights[f"{module}.weight"] + ALPHA / RANK * b @ a
    save_file(weights, tmp_path / "encoder" / "model.safetensors", metadata={"format": "pt"})
    torch.testing.assert_close(model.run(mel), freud.models.load(str(tmp_path / "encoder")).run(mel))


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"peft_type": "IA3"}, "peft_type is 'IA3'; only LORA can be read"),
        ({"peft_type": "PREFIX_TUNING"}, "peft_type is 'PREFIX_TUNING'"),
        ({"peft_type": "ADALORA"}, "peft_type is 'ADALORA'"),
        ({"peft_type": None}, "peft_type is None"),
        ({"init_lora_weights": "pissa_niter_16"}, "init_lora_weights is 'pissa_niter_16', which changes the base"),
        ({"init_lora_weights": ["x"]}, "init_lora_weights is ['x']"),
        ({"layer_replication": [[0, 2]]}, "layer_replication is [[0, 2]], which cannot be read"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices is [3]"),
        ({"use_dora": True}, "has no lora_magnitude_vector, but its adapter_config.json says use_dora = True"),
        ({"r": 8}, "has rank 4; its adapter_config.json says 8"),
        ({"r": None}, "adapter_config.json has r = None; expected a number"),
        ({"lora_alpha": "16"}, "adapter_config.json has lora_alpha = 16; expected a number"),
        ({"lora_alpha": float("nan")}, "adapter_config.json has lora_alpha = nan; expected a number"),
        ({"rank_pattern": {"(": 3}}, "has a rank_pattern that is no pattern"),
        ({"rank_pattern": [1]}, "has a rank_pattern that is no pattern"),
        ({"base_model_name_or_path": None}, "does not say what it is an adapter of"),
        ({"base_model_name_or_path": "/absent"}, "the base model /absent is not there"),
        ({"base_model_name_or_path": "."}, "names . as its base model, which is based on it in turn"),
    ],
)
def test_adapters_that_cannot_be_merged(hf_folder: Path, parts: Any, tmp_path: Path, config: Any, says: str) -> None:
    folder = write(tmp_path / "adapter", tensors(parts), **{"base_model_name_or_path": str(hf_folder), **config})
    assert says in message(folder)


def test_tensors_that_do_not_fit(hf_folder: Path, parts: Any, base: Weights, tmp_path: Path) -> None:
    def told(weights: Weights, **config: Any) -> str:
        return message(write(tmp_path / "adapter", weights, base_model_name_or_path=str(hf_folder), **config))

    a, b = f"{PREFIX}{TARGETS[0]}.lora_A.weight", f"{PREFIX}{TARGETS[0]}.lora_B.weight"
    good = tensors(parts)
    assert "q_proj has lora_A; expected lora_A and lora_B" in told({k: t for k, t in good.items() if k != b})
    assert "has A [4, 63] and B [64, 4] for a weight [64, 64]" in told(good | {a: draw(4, 63)})
    assert "for a weight [64, 64]" in told(good | {b: draw(64, 3)})
    assert "changes encoder.layers.9.fc1, which the base model does not have" in told(
        {n.replace("0.self_attn.q_proj", "9.fc1"): t for n, t in good.items()}
    )
    assert "holds the adapters default, other; keep one" in told(
        tensors(parts, suffix=".default.weight") | tensors(parts, suffix=".other.weight")
    )
    assert "holds encoder.layers.0.self_attn.q_proj.ia3_l" in told(good | {f"{PREFIX}{TARGETS[0]}.ia3_l": draw(64)})
    assert "holds prompt_embeddings" in told(good | {"prompt_embeddings": draw(64)})
    assert "q_proj.weight has values that are not finite" in told(good | {a: torch.full((4, 64), torch.nan)})
    assert "lora_A is not a tensor of floating-point" in told(good | {a: torch.ones(4, 64, dtype=torch.int8)})
    assert "embed_tokens.weight has shape [501, 64]; the base model has [500, 64]" in told(
        good | {f"{PREFIX}model.decoder.embed_tokens.weight": draw(501, 64)}
    )
    assert "holds no tensors" in told({})


def test_half_of_an_adapter(hf_folder: Path, parts: Any, base: Weights, tmp_path: Path) -> None:
    write(tmp_path / "adapter", tensors(parts), base_model_name_or_path=str(hf_folder))
    (tmp_path / "adapter" / "adapter_config.json").unlink()
    assert "is an adapter without its adapter_config.json" in message(tmp_path / "adapter")
    (hf_folder / "adapter_config.json").write_text(json.dumps(CONFIG))
    assert "has adapter_config.json, but no adapter_model.safetensors" in message(hf_folder)
    save_file(base | tensors(parts, ""), hf_folder / "model.safetensors")
    write(hf_folder, tensors(parts))
    assert "holds an adapter in its weights and one beside them" in message(hf_folder)


def test_loralib_in_a_pt(pt_file: Path, tmp_path: Path) -> None:
    value = torch.load(pt_file, weights_only=True)
    for letter, shape in (("A", (RANK, 64)), ("B", (64, RANK))):
        value["model_state_dict"][f"encoder.blocks.0.attn.query.lora_{letter}"] = draw(*shape)
    torch.save(value, tmp_path / "lora.pt")
    assert "holds a LoRA adapter (encoder.layers.0.self_attn.q_proj) that is not merged" in message(
        tmp_path / "lora.pt"
    )
