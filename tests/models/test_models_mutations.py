"""Altered checkpoints are read as another reader reads them, or refused in one line that names the file: never else.

Each change is made to a whole small checkpoint. What is read is compared with transformers (a folder) or openai-whisper
(a `.pt`) on the same files; where those refuse, with the checkpoint as it was before.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import whisper.model
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

import freud.models
from freud.errors import FreudError

MEL = torch.randn(1, 4, 20, generator=torch.Generator().manual_seed(1))
TOKENS = torch.tensor([[1, 2, 3]])
DIMS = dict(n_mels=4, n_audio_ctx=10, n_audio_state=8, n_audio_head=2, n_audio_layer=1, n_vocab=40, n_text_ctx=12,
            n_text_state=8, n_text_head=2, n_text_layer=1)  # fmt: skip
JUNK = [None, -1, 0, 3, 1.5, "x", "", [], {}, True, 10**12, [[1]], {"a": 1}]
Mutation = tuple[str, Callable[[Path], None]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mutations") / "base"
    config = WhisperConfig(
        d_model=8, num_mel_bins=4, max_source_positions=10, max_target_positions=12, vocab_size=40, encoder_layers=1,
        decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8,
        init_std=0.5, pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        WhisperForConditionalGeneration(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def pt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mutations") / "base.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = whisper.model.Whisper(whisper.model.ModelDimensions(**DIMS))
        for weight in made.parameters():
            weight.data.normal_(std=0.5)
    torch.save({"dims": asdict(made.dims), "model_state_dict": made.state_dict()}, path)
    return path


def ours(path: Path) -> Tensor:
    model: Any = freud.models.load(str(path))
    return model.logits(MEL, TOKENS)


def by_transformers(path: Path) -> Tensor:
    with torch.inference_mode():
        model, report = WhisperForConditionalGeneration.from_pretrained(path, output_loading_info=True)
        if missing := report["missing_keys"] - {"proj_out.weight", "model.encoder.embed_positions.weight"}:
            raise ValueError(f"made up {missing}")
        return model.eval()(input_features=MEL, decoder_input_ids=TOKENS).logits


def by_openai(path: Path) -> Tensor:
    value = torch.load(path, weights_only=True)
    model = whisper.model.Whisper(whisper.model.ModelDimensions(**value["dims"]))
    model.load_state_dict(value["model_state_dict"])
    with torch.inference_mode():
        return model.eval()(MEL, TOKENS).float()


def outcome(path: Path, oracle: Callable[[Path], Tensor], before: Tensor) -> str:
    """ "read", "refused" or "wrong"; any other exception than ours ends the test."""
    said = None
    try:
        logits = ours(path)
    except FreudError as error:
        said, logits = str(error), torch.zeros(0)
    if said is not None:
        assert "\n" not in said
        assert path.name in said
        return "refused"
    try:
        expected = oracle(path)
    except Exception:  # the other reader refuses what must then have been without a meaning
        expected = before
    same = logits.shape == expected.shape and torch.allclose(logits, expected, rtol=1e-3, atol=1e-3)
    return "read" if same else "wrong"


def run(base: Path, mutations: Iterator[Mutation], to: Path, oracle: Callable[[Path], Tensor]) -> Counter[str]:
    before, counts = oracle(base), Counter()
    assert torch.allclose(ours(base), before, rtol=1e-4, atol=1e-4)
    for name, mutate in mutations:
        path = to / base.name
        if path.is_dir():
            shutil.rmtree(path)
        (shutil.copytree if base.is_dir() else shutil.copy)(base, path)
        mutate(path)
        result = outcome(path, oracle, before)
        assert result != "wrong", name
        counts[result] += 1
    return counts


def changes_of(weights: dict[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Each tensor taken out, renamed, doubled, of another dtype or shape, or with a value that is no number."""
    for name, tensor in weights.items():
        others = {n: t for n, t in weights.items() if n != name}
        yield f"{name} dropped", others
        yield f"{name} renamed", {**others, f"{name}x": tensor}
        yield f"{name} wrapped", {**others, f"module.{name}": tensor}
        yield f"{name} doubled", {**weights, f"_orig_mod.{name}": tensor.clone()}
        yield f"{name} twice", {**weights, f"_orig_mod.{name}": tensor + 1}
        yield f"{name} added to", {**weights, f"{name}_scale": tensor.clone()}
        for dtype in (torch.float16, torch.float64, torch.int8, torch.float8_e4m3fn, torch.complex64):
            yield f"{name} as {dtype}", {**others, name: tensor.to(dtype)}
        yield f"{name} transposed", {**others, name: tensor.movedim(0, -1).contiguous()}
        yield f"{name} short", {**others, name: tensor[1:].clone()}
        yield f"{name} flat", {**others, name: tensor.flatten()}
        for value in (torch.nan, torch.inf, 1e39):
            damaged = tensor.double() if value == 1e39 else tensor.clone()
            damaged.view(-1)[-1] = value
            yield f"{name} with {value}", {**others, name: damaged}


def save(weights: dict[str, Tensor], path: Path) -> None:
    save_file({name: tensor.clone() for name, tensor in weights.items()}, path, metadata={"format": "pt"})


def test_tensors_of_a_folder(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    mutations = (
        (name, lambda path, changed=changed: save(changed, path / "model.safetensors"))
        for name, changed in list(changes_of(weights))[::13]  # not a divisor of the kinds of change: all are met
    )
    counts = run(folder, mutations, tmp_path, by_transformers)
    assert counts["read"] > 10
    assert counts["refused"] > 30


def test_tensors_of_a_pt(pt: Path, tmp_path: Path) -> None:
    value = torch.load(pt, weights_only=True)
    mutations = (
        (name, lambda path, changed=changed: torch.save({**value, "model_state_dict": changed}, path))
        for name, changed in list(changes_of(value["model_state_dict"]))[::13]
    )
    counts = run(pt, mutations, tmp_path, by_openai)
    assert counts["read"] > 10
    assert counts["refused"] > 30


def test_fields_of_the_configuration(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    mutations = (
        (f"{name} = {value!r}", lambda path, name=name, value=value: write(path, {**config, name: value}))
        for number, name in enumerate([*config, "quantization_config", "hidden_size", "layer_norm_eps"])
        for value in JUNK[number % 6 :: 6]
    )
    counts = run(folder, mutations, tmp_path, by_transformers)
    assert counts["read"] > 30
    assert counts["refused"] > 20


def write(path: Path, config: dict[str, Any]) -> None:
    (path / "config.json").write_text(json.dumps(config))


def test_sizes_of_a_pt(pt: Path, tmp_path: Path) -> None:
    value = torch.load(pt, weights_only=True)
    mutations = (
        (f"{name} = {junk!r}", lambda path, name=name, junk=junk: torch.save(
            {**value, "dims": {**value["dims"], name: junk}}, path))
        for name in value["dims"]
        for junk in JUNK
    )  # fmt: skip
    assert run(pt, mutations, tmp_path, by_openai)["refused"] > 80


def bytes_of(path: Path) -> list[int]:
    """Places to cut or flip: all over a pickle, the header of a safetensors file and some of what follows."""
    size = path.stat().st_size
    if path.suffix != ".safetensors":
        return list(range(0, size, max(1, size // 60)))
    header = min(size, 8 + int.from_bytes(path.read_bytes()[:8], "little"))
    return [*range(0, header, 131), *range(header, size, (size - header) // 8)]


def flip(path: Path, at: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def cut(path: Path, at: int) -> None:
    path.write_bytes(path.read_bytes()[:at])


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "pytorch_model.bin"])
def test_bytes_of_a_folder(folder: Path, tmp_path: Path, name: str) -> None:
    base = tmp_path / "whole"
    shutil.copytree(folder, base)
    if name == "pytorch_model.bin":
        torch.save(load_file(base / "model.safetensors"), base / name)
        (base / "model.safetensors").unlink()
    (tmp_path / "to").mkdir()
    places = bytes_of(base / name)

    def mutations() -> Iterator[Mutation]:
        for number, at in enumerate(places):
            yield f"cut at {at}", lambda path, at=at: cut(path / name, at)
            yield f"bit {number % 8} of {at}", lambda path, at=at, bit=number % 8: flip(path / name, at, bit)

    assert run(base, mutations(), tmp_path / "to", by_transformers)["refused"] >= len(places)


def test_bytes_of_a_pt(pt: Path, tmp_path: Path) -> None:
    places = bytes_of(pt)

    def mutations() -> Iterator[Mutation]:
        for number, at in enumerate(places):
            yield f"cut at {at}", lambda path, at=at: cut(path, at)
            yield f"bit {number % 8} of {at}", lambda path, at=at, bit=number % 8: flip(path, at, bit)

    assert run(pt, mutations(), tmp_path, by_openai)["refused"] >= len(places)
