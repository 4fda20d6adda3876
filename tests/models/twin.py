"""The same weights in transformers, to compare with and to save as it saves."""

from __future__ import annotations

from typing import Any

from freud.models.whisper import WhisperModel


def to_transformers(model: WhisperModel) -> Any:
    """transformers' own Whisper with the weights of a model."""
    from transformers.models.whisper.configuration_whisper import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

    tokens = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"))
    config = {name: value for name, value in model.config.items() if name != "model_type"}
    theirs = WhisperForConditionalGeneration(WhisperConfig(**config, **tokens, decoder_start_token_id=0)).eval()
    theirs.model.load_state_dict(model.network.state_dict())
    return theirs.to(model.dtype)
