"""SAELens's layout: what is written, what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from freud.errors import DamagedFileError, FreudError
from freud.saes import SAE, Options, TopK, load, save, train
from freud.saes.l1 import StandardSAE
from freud.saes.topk import TopKSAE

SHAPES = {"W_enc": (6, 20), "b_enc": (20,), "W_dec": (20, 6), "b_dec": (6,)}
METADATA = {"model": "tiny", "model_fingerprint": "a" * 16, "site": "encoder.blocks.2", "training": {"data": "b"}}


def weights(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(*shape, generator=generator) for name, shape in SHAPES.items()}


def topk() -> SAE:
    return TopKSAE(*weights().values(), k=5, metadata=dict(METADATA))


def standard() -> SAE:
    return StandardSAE(*weights().values(), metadata=dict(METADATA))


def tied() -> SAE:
    return StandardSAE(*weights().values(), metadata=dict(METADATA), apply_b_dec_to_input=False)


@pytest.mark.parametrize("make", [topk, standard, tied])
def test_round_trip(make: Any, tmp_path: Path) -> None:
    sae = make()
    assert sorted(p.name for p in tmp_path.iterdir()) == []
    files = save(sae, tmp_path)
    assert sorted(files) == sorted(p.name for p in tmp_path.iterdir()) == ["cfg.json", "sae_weights.safetensors"]
    loaded = load(tmp_path)
    assert type(loaded) is type(sae)
    for name, tensor in sae.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert loaded.apply_b_dec_to_input == sae.apply_b_dec_to_input
    assert loaded.config() == sae.config()
    assert METADATA.items() <= loaded.metadata.items()
    x = torch.randn(30, 6)
    assert torch.equal(loaded(x), sae(x))
    save(loaded, tmp_path / "..")  # and again: nothing is lost or added
    assert (tmp_path / ".." / "cfg.json").read_bytes() == (tmp_path / "cfg.json").read_bytes()


@pytest.mark.parametrize("make", [topk, standard, tied])
def test_the_fields_are_those_of_saelens(make: Any, tmp_path: Path) -> None:
    save(make(), tmp_path)
    config = json.loads((tmp_path / "cfg.json").read_text())
    metadata = config.pop("metadata")
    assert config == {
        "architecture": "topk" if make is topk else "standard",
        "d_in": 6,
        "d_sae": 20,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": make is not tied,
        "normalize_activations": "none",
        "reshape_activations": "none",
        **({"k": 5} if make is topk else {}),
    }
    assert metadata["sae_lens_version"] >= "6.0.0"
    assert (metadata["model_name"], metadata["hook_name"]) == ("tiny", "encoder.blocks.2")
    assert METADATA.items() <= metadata.items()
    assert {name: tuple(t.shape) for name, t in load_file(tmp_path / "sae_weights.safetensors").items()} == SHAPES


# ---- files of others


def edit(folder: Path, **fields: Any) -> None:
    """Set fields of cfg.json; None removes one."""
    path = folder / "cfg.json"
    config = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def test_a_decoder_whose_norms_scale_the_latents(tmp_path: Path) -> None:
    """SAELens: latents = topk(pre * |W_dec row|), reconstruction = (latents / |W_dec row|) W_dec + b_dec."""
    save(topk(), tmp_path)
    edit(tmp_path, rescale_acts_by_decoder_norm=True)
    w, x = weights(), torch.randn(40, 6)
    norms = w["W_dec"].norm(dim=1)
    pre = ((x - w["b_dec"]) @ w["W_enc"] + w["b_enc"]) * norms
    latents = torch.where(pre >= pre.sort(dim=1).values[:, -5:-4], pre.clamp(min=0), 0)
    sae = load(tmp_path)
    torch.testing.assert_close(sae.encode(x), latents, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sae(x), (latents / norms) @ w["W_dec"] + w["b_dec"], rtol=1e-4, atol=1e-4)


def test_what_a_file_leaves_out_is_as_in_saelens(tmp_path: Path) -> None:
    save(topk(), tmp_path)
    edit(tmp_path, apply_b_dec_to_input=None, metadata=None, normalize_activations=None, dtype=None, device=None)
    loaded = load(tmp_path)
    assert loaded.apply_b_dec_to_input
    assert loaded.metadata == {}


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    save(topk(), tmp_path)
    path = tmp_path / "sae_weights.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(path).items()}, path)
    assert all(p.dtype == torch.float32 for p in load(tmp_path).parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"architecture": "gated"}, r"sae_weights.safetensors: has no tensor b_gate"),
        ({"architecture": "transcoder"}, r'cfg.json: architecture "transcoder"; expected one of topk, standard'),
        ({"architecture": None}, r"cfg.json: architecture null; expected"),
        ({"architecture": [1]}, r"cfg.json: architecture \[1\]; expected"),
        ({"k": None}, r"cfg.json: k is None; expected a whole number between 1 and d_sae 20"),
        ({"k": 0}, r"cfg.json: k is 0; expected"),
        ({"k": 21}, r"cfg.json: k is 21; expected"),
        ({"k": "5"}, r"cfg.json: k is '5'; expected"),
        ({"k": True}, r"cfg.json: k is True; expected"),
        ({"normalize_activations": "other"}, r"cfg.json: normalize_activations is 'other'; expected one of none"),
        ({"normalize_activations": True}, r"normalize_activations is 'expected_average_only_in'; .*fold it"),
        ({"reshape_activations": "other"}, r"cfg.json: reshape_activations is 'other'; only 'none'"),
        ({"d_in": 7}, r"cfg.json: d_in is 7, but the tensors have 6"),
        ({"d_sae": 2**40}, r"cfg.json: d_sae is 1099511627776, but the tensors have 20"),
        ({"activation_fn_str": "tanh-relu"}, r"cfg.json: activation_fn_str is 'tanh-relu'; expected relu or topk"),
        ({"apply_b_dec_to_input": "no"}, r"apply_b_dec_to_input is 'no'; expected true or false"),
        ({"rescale_acts_by_decoder_norm": 1}, r"rescale_acts_by_decoder_norm is '1'; expected true or false"),
        ({"metadata": "x"}, r"cfg.json: metadata is 'x'; expected an object"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_one_line(tmp_path: Path, fields: Any, message: str) -> None:
    save(topk(), tmp_path)
    edit(tmp_path, **fields)
    with pytest.raises(FreudError, match=message) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W_enc": None}, "has no tensor W_enc"),
        ({"b_dec": None}, "has no tensor b_dec"),
        ({"W_enc": torch.zeros(20, 6)}, r"b_enc: shape \(20,\); expected \(6,\)"),
        ({"W_enc": torch.zeros(6)}, r"W_enc: shape \(6,\); expected \[d_in, d_sae\]"),
        ({"W_dec": torch.zeros(6, 20)}, r"W_dec: shape \(6, 20\); expected \(20, 6\)"),
        ({"b_enc": torch.zeros(19)}, r"b_enc: shape \(19,\)"),
        ({"W_dec": torch.zeros(20)}, r"W_dec: shape \(20,\)"),
    ],
)
@pytest.mark.parametrize("rescale", [False, True])
def test_tensors_that_cannot_be_used_are_named(tmp_path: Path, change: Any, message: str, rescale: bool) -> None:
    save(topk(), tmp_path)
    edit(tmp_path, rescale_acts_by_decoder_norm=rescale)
    path = tmp_path / "sae_weights.safetensors"
    tensors = {name: t for name, t in {**load_file(path), **change}.items() if t is not None}
    save_file(tensors, path)
    with pytest.raises(DamagedFileError, match=rf"sae_weights.safetensors: .*{message}.*download it again") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_other_tensors_are_named(tmp_path: Path) -> None:
    save(topk(), tmp_path)
    path = tmp_path / "sae_weights.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "W_skip": torch.zeros(6, 6)}, path)
    with pytest.raises(FreudError, match=r"holds W_skip, which is not a tensor of its kind; expected W_enc, b_enc"):
        load(tmp_path)
    save_file({**tensors, "W_enc": tensors["W_enc"].to(torch.float8_e4m3fn)}, path)
    with pytest.raises(DamagedFileError, match=r"W_enc is of dtype float8_e4m3fn, not of floating-point numbers"):
        load(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_damaged_weights_are_named(tmp_path: Path, damage: str) -> None:
    save(topk(), tmp_path)
    path = tmp_path / "sae_weights.safetensors"
    path.write_bytes({"cut": path.read_bytes()[:-4], "empty": b"", "text": b"hello, world"}[damage])
    with pytest.raises(DamagedFileError, match=r"sae_weights.safetensors: damaged") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_header_that_claims_more_than_the_file_holds(tmp_path: Path) -> None:
    save(topk(), tmp_path)
    path = tmp_path / "sae_weights.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["W_enc"] |= {"shape": [2**30, 2**30], "data_offsets": [0, 2**62]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(DamagedFileError, match=r"sae_weights.safetensors: damaged"):
        load(tmp_path)


def test_a_manifest_of_somebody_else_is_no_concern(tmp_path: Path) -> None:
    save(topk(), tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "web app"}')
    assert load(tmp_path).d_sae == 20


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"architecture": '])
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str) -> None:
    save(topk(), tmp_path)
    (tmp_path / "cfg.json").write_text(text)
    with pytest.raises(DamagedFileError, match=r"cfg.json: ") as error:
        load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(FreudError, match=r"has no cfg.json; expected the folder of an SAE"):
        load(tmp_path)
    save(topk(), tmp_path)
    (tmp_path / "sae_weights.safetensors").unlink()
    with pytest.raises(FreudError, match=r"has no sae_weights.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors"])
def test_a_flipped_byte_in_an_sae_of_ours_is_found(source: Any, tmp_path: Path, name: str) -> None:
    options = Options(steps=2, batch_size=64)
    train(source, TopK(d_sae=20, k=2), tmp_path / "sae", options=options, progress=False)
    path = tmp_path / "sae" / name
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    for use in (load, lambda out: train(source, TopK(d_sae=20, k=2), out, options=options, progress=False)):
        with pytest.raises(DamagedFileError, match=rf"{name}: its content has changed.*run `freud train` again"):
            use(tmp_path / "sae")
