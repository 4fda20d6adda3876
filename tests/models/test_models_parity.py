"""Every site against the module of the same name in openai-whisper, with the same weights in both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import whisper.model
from torch import Tensor
from twin import to_transformers

import freud.models
from freud.models.base import AudioModel

pytestmark = pytest.mark.numeric

TOLERANCE = 1e-4  # of the largest value at the site


def openai_activations(model: whisper.model.Whisper, mel: Tensor, tokens: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What each module of openai-whisper returns, by its name in that package, and the logits."""
    found: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():
        if name.endswith("attn"):

            def attention(module: Any, args: Any, output: Any, name: str = name) -> None:
                found[name] = output[0]
                found[f"{name}.pattern"] = output[1].softmax(-1)

            handles.append(module.register_forward_hook(attention))
        elif name.endswith("attn.out"):
            site = name.removesuffix("out") + "heads"
            handles.append(module.register_forward_pre_hook(lambda _, args, site=site: found.update({site: args[0]})))
        elif "blocks." in name or name in {"encoder.ln_post", "decoder.ln"}:
            handles.append(module.register_forward_hook(lambda _, args, out, name=name: found.update({name: out})))
    with torch.inference_mode(), whisper.model.disable_sdpa():
        logits = model(mel, tokens)
    for handle in handles:
        handle.remove()
    return found, logits


def relative(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max())


def compare(reference: whisper.model.Whisper, model: AudioModel, mel: Tensor, tokens: Tensor) -> None:
    theirs, logits = openai_activations(reference, mel, tokens)
    ours = model.activations(mel, list(model.sites), tokens=tokens)
    assert list(ours) == list(model.sites)
    for name, site in model.sites.items():
        assert site.width == ours[name].shape[1 if name.endswith("pattern") else -1], name
        assert float(theirs[name].std()) > 1e-4, f"{name} hardly varies, so this test would prove nothing"
        assert relative(ours[name], theirs[name]) < TOLERANCE, name
    assert relative(model.logits(mel, tokens), logits) < TOLERANCE


def test_all_sites_of_a_small_model(reference: Any, model: AudioModel, mel: Tensor) -> None:
    tokens = torch.randint(0, 500, (2, 9), generator=torch.Generator().manual_seed(3))
    compare(reference, model, mel, tokens)
    assert len(model.sites) == 3 * 9 + 1 + 2 * 15 + 1


def test_all_sites_at_the_size_of_tiny(make_openai: Callable[..., tuple[Any, Path]]) -> None:
    reference, path = make_openai(
        n_audio_ctx=1500,
        n_audio_state=384,
        n_audio_head=6,
        n_audio_layer=4,
        n_text_ctx=448,
        n_text_state=384,
        n_text_head=6,
        n_text_layer=4,
    )
    mel = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(4))
    compare(reference, freud.models.load(str(path)), mel, torch.tensor([[258, 259, 359, 363, 11, 12]]))


@pytest.mark.parametrize("dims", [{"n_mels": 128, "n_vocab": 51866}, {"n_vocab": 51864}])
def test_other_vocabularies_and_mels(make_openai: Callable[..., tuple[Any, Path]], dims: dict[str, int]) -> None:
    reference, path = make_openai(**dims, n_audio_layer=1, n_text_layer=1)
    model = freud.models.load(str(path))
    mel = torch.randn(1, dims.get("n_mels", 80), 200, generator=torch.Generator().manual_seed(5))
    compare(reference, model, mel, torch.tensor([[1, 2, 3]]))


def test_a_batch_is_its_windows(model: AudioModel, mel: Tensor) -> None:
    sites = ["encoder.blocks.2", "encoder.blocks.1.mlp.1", "encoder.blocks.0.attn.pattern"]
    together = model.activations(mel, sites)
    for row in range(len(mel)):
        alone = model.activations(mel[row : row + 1], sites)
        for name in sites:
            torch.testing.assert_close(alone[name][0], together[name][row], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bit_for_bit_the_network_of_transformers(pt_file: Path, mel: Tensor, dtype: torch.dtype) -> None:
    ours = freud.models.load(str(pt_file), dtype=dtype)
    theirs = to_transformers(ours)
    tokens = torch.randint(0, 500, (2, 9), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected = theirs(input_features=mel.to(dtype), decoder_input_ids=tokens)
        assert torch.equal(ours.run(mel), expected.encoder_last_hidden_state)
        assert torch.equal(ours.logits(mel, tokens), expected.logits)
