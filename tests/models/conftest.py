"""Small Whispers with random weights, made by openai-whisper and saved as its checkpoints are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import whisper.model
from twin import to_transformers

import freud.models
from freud.models.base import AudioModel

SMALL = {
    "n_mels": 80,
    "n_audio_ctx": 100,
    "n_audio_state": 64,
    "n_audio_head": 4,
    "n_audio_layer": 3,
    "n_vocab": 500,
    "n_text_ctx": 64,
    "n_text_state": 64,
    "n_text_head": 2,
    "n_text_layer": 2,
}


@pytest.fixture(scope="session")
def make_openai(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., tuple[whisper.model.Whisper, Path]]:
    """make_openai(**dims): a model of the openai-whisper package, `SMALL` but for `dims`, and its checkpoint.

    The random weights are larger than is usual, so that every site varies and attention is not flat.
    """

    def make(**dims: int) -> tuple[whisper.model.Whisper, Path]:
        generator = torch.Generator().manual_seed(1)
        made = whisper.model.Whisper(whisper.model.ModelDimensions(**{**SMALL, **dims})).eval()
        for name, weight in made.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "ln" in name.split(".")[-2]:
                weight.data = 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)
            elif weight.ndim == 1 or "embedding" in name:
                weight.data = (0.1 if "token" in name else 0.5) * noise
            else:
                weight.data = 1.5 * noise / weight[0].numel() ** 0.5
        path = tmp_path_factory.mktemp("openai") / "small.pt"
        torch.save({"dims": asdict(made.dims), "model_state_dict": made.state_dict()}, path)
        return made, path

    return make


@pytest.fixture(scope="session")
def small(make_openai: Callable[..., Any]) -> tuple[whisper.model.Whisper, Path]:
    return make_openai()


@pytest.fixture(scope="session")
def reference(small: tuple[whisper.model.Whisper, Path]) -> whisper.model.Whisper:
    return small[0]


@pytest.fixture(scope="session")
def pt_file(small: tuple[whisper.model.Whisper, Path]) -> Path:
    return small[1]


@pytest.fixture(scope="session")
def model(pt_file: Path) -> AudioModel:
    """The same weights as `reference`; tests leave it as they found it."""
    return freud.models.load(str(pt_file))


@pytest.fixture
def mel() -> torch.Tensor:
    """Input for the small models: [2, 80, 200]."""
    return torch.randn(2, 80, 200, generator=torch.Generator().manual_seed(2)) / 2


@pytest.fixture(scope="session")
def theirs(model: Any) -> Any:
    """The small model in transformers; tests leave it as they found it."""
    return to_transformers(model)


@pytest.fixture
def hf_folder(theirs: Any, tmp_path: Path) -> Path:
    """The small model as a folder in Hugging Face layout, without a tokenizer."""
    theirs.save_pretrained(tmp_path / "small")
    return tmp_path / "small"
