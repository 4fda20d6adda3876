"""Exchange with the real sae-lens package: what we write it reads, and what it writes we read, to 1e-5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize

from freud.saes import SAE, load, save
from freud.saes.abstopk import AbsTopKSAE
from freud.saes.gated import GatedSAE
from freud.saes.jumprelu import JumpReLUSAE
from freud.saes.l1 import StandardSAE
from freud.saes.topk import TopKSAE

pytestmark = pytest.mark.numeric

sae_lens = pytest.importorskip("sae_lens")

D, M, K = 8, 24, 5


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


X = 2 * draw(200, D, seed=5) + 0.5
WEIGHTS = (normalize(draw(D, M), dim=0), draw(M), normalize(draw(M, D), dim=1), draw(D))


def make(kind: str, **options: Any) -> SAE:
    weights = [w.clone() for w in WEIGHTS]
    match kind:
        case "topk":
            return TopKSAE(*weights, k=K, **options)
        case "abstopk":
            return AbsTopKSAE(*weights, k=K, **options)
        case "standard":
            return StandardSAE(*weights, **options)
        case "jumprelu":
            return JumpReLUSAE(*weights, threshold=draw(M, seed=1).abs(), **options)
    w_enc, _, w_dec, b_dec = weights
    named = {name: draw(M, seed=i) / 2 for i, name in enumerate(("b_gate", "b_mag", "r_mag"))}
    return GatedSAE(w_enc, w_dec, b_dec, **named, **options)


def same(ours: SAE, theirs: Any) -> None:
    """Equal latents and reconstructions to 1e-5."""
    torch.testing.assert_close(theirs.encode(X), ours.encode(X), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(theirs(X), ours(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["topk", "standard", "jumprelu", "gated", "abstopk"])
@pytest.mark.parametrize("subtracts", [False, True])
@pytest.mark.parametrize("scaled", ["none", "constant_norm_rescale", "layer_norm"])
def test_saelens_reads_what_we_write(kind: str, subtracts: bool, scaled: str, tmp_path: Path) -> None:
    ours = make(kind, apply_b_dec_to_input=subtracts, normalize_activations=scaled)
    ours.metadata = {"model": "tiny", "model_fingerprint": "0" * 16, "site": "encoder.blocks.2", "training": {"k": 1}}
    save(ours, tmp_path)
    theirs = sae_lens.SAE.load_from_disk(str(tmp_path))
    same(ours, theirs)
    assert theirs.cfg.architecture() == kind
    assert (theirs.cfg.metadata.model_name, theirs.cfg.metadata.hook_name) == ("tiny", "encoder.blocks.2")
    theirs.save_model(tmp_path / "theirs")
    back = load(tmp_path / "theirs")
    same(back, theirs)
    assert back.metadata["site"] == "encoder.blocks.2"
    assert back.metadata["training"] == {"k": 1}  # nothing is lost on the way


@pytest.mark.parametrize("kind", ["topk", "standard", "jumprelu", "gated", "abstopk"])
def test_we_read_what_saelens_makes(kind: str, tmp_path: Path) -> None:
    """An SAE of SAELens's own making, whose metadata names the site its way."""
    classes = {
        "topk": "TopKSAE",
        "standard": "StandardSAE",
        "jumprelu": "JumpReLUSAE",
        "gated": "GatedSAE",
        "abstopk": "AbsTopKSAE",
    }
    kind_of, config_of = sae_lens.registry.get_sae_class(kind)
    assert kind_of.__name__ == classes[kind]
    metadata = type(config_of(d_in=1, d_sae=1).metadata)(model_name="m", hook_name="model.encoder.layers.3")
    more = {"k": K} if kind.endswith("topk") else {}
    theirs = kind_of(config_of(d_in=D, d_sae=M, metadata=metadata, **more))
    with torch.no_grad():
        for i, parameter in enumerate(theirs.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=i))
    theirs.save_model(tmp_path)
    ours = load(tmp_path)
    same(ours, theirs)
    assert (ours.metadata["model"], ours.metadata["site"]) == ("m", "encoder.blocks.3")


@pytest.mark.parametrize("name", ["batchtopk", "matryoshka_batchtopk"])
@pytest.mark.parametrize("rescale", [False, True])
def test_batchtopk_as_saelens_finishes_and_as_it_trains_it(name: str, rescale: bool, tmp_path: Path) -> None:
    kind_of, config_of = sae_lens.registry.get_sae_training_class(name)
    more = {"matryoshka_widths": [6, M]} if name.startswith("matryoshka") else {}
    training = kind_of(config_of(d_in=D, d_sae=M, k=K, rescale_acts_by_decoder_norm=rescale, **more))
    with torch.no_grad():
        for i, parameter in enumerate(training.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=i))
        training.topk_threshold.fill_(0.7)
    training.save_inference_model(tmp_path / "finished")
    finished = sae_lens.SAE.load_from_disk(str(tmp_path / "finished"))
    ours = load(tmp_path / "finished")
    assert isinstance(ours, JumpReLUSAE)
    same(ours, finished)
    training.save_model(tmp_path / "training")  # a checkpoint of the training, with one threshold
    assert "topk_threshold" in load_file(tmp_path / "training" / "sae_weights.safetensors")
    same(load(tmp_path / "training"), finished)


def test_topk_that_chooses_by_decoder_norms(tmp_path: Path) -> None:
    config = sae_lens.TopKSAEConfig(d_in=D, d_sae=M, k=K, rescale_acts_by_decoder_norm=True)
    theirs = sae_lens.TopKSAE(config)
    with torch.no_grad():
        for i, parameter in enumerate(theirs.parameters()):
            parameter.copy_(draw(*parameter.shape, seed=i))
    theirs.save_model(tmp_path)
    same(load(tmp_path), theirs)


@pytest.mark.parametrize("kind", ["standard", "topk", "gated", "jumprelu"])
def test_files_of_before_version_6(kind: str, tmp_path: Path) -> None:
    """Facts about the run beside the architecture; TopK is an activation function; no metadata."""
    save(make(kind), tmp_path)
    config = {
        "architecture": "standard" if kind == "topk" else kind,
        "activation_fn_str": "topk" if kind == "topk" else "relu",
        "activation_fn_kwargs": {"k": K} if kind == "topk" else {},
        "d_in": D,
        "d_sae": M,
        "dtype": "float32",
        "model_name": "whisper-tiny",
        "hook_name": "encoder.blocks.1",
        "normalize_activations": False,
        "apply_b_dec_to_input": True,
        "sae_lens_training_version": "5.0.0",
    }
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    ours = load(tmp_path)
    same(ours, sae_lens.SAE.load_from_disk(str(tmp_path)))
    assert (ours.metadata["model"], ours.metadata["site"]) == ("whisper-tiny", "encoder.blocks.1")
    config["normalize_activations"] = True
    (tmp_path / "cfg.json").write_text(json.dumps(config))
    with pytest.raises(Exception, match="expected_average_only_in"):
        load(tmp_path)
