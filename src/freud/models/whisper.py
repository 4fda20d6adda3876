"""Whisper, on transformers' network: which module is which site, the forward pass, and transcription.

`query`, `key` and `value` are the projections' outputs before any scaling, which is what openai-whisper's
modules of those names return (it then scales both query and key by d_head^-1/4, transformers the query by
d_head^-1/2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from freud.audio import SAMPLE_RATE, SAMPLES_PER_FRAME
from freud.errors import FreudError
from freud.models.base import AudioModel, PatternTap, Tap, Transcript
from freud.models.checkpoints import Checkpoint, fingerprint
from freud.models.sites import Site

if TYPE_CHECKING:
    from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

ENCODER_RATE = SAMPLE_RATE / SAMPLES_PER_FRAME  # 50 frames a second


class WhisperModel(AudioModel):
    """A Whisper encoder, with its decoder where the checkpoint has one."""

    def __init__(
        self,
        name: str,
        fingerprint: str,
        encoder: Any,
        network: WhisperForConditionalGeneration | None,
        checkpoint: Checkpoint,
    ) -> None:
        config = encoder.config
        self.name = name
        self.fingerprint = fingerprint
        self.encoder = encoder
        self.network = network
        self.checkpoint = checkpoint
        self.frames_per_window = config.max_source_positions
        self.window_samples = self.frames_per_window * SAMPLES_PER_FRAME
        self.n_mels = config.num_mel_bins
        self.can_transcribe = network is not None
        weight = next(encoder.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        self.parameters = sum(p.numel() for p in (network or encoder).parameters())
        self.sites, self._taps = {}, {}
        self._add_stack("encoder", encoder)
        if network is not None:
            self._add_stack("decoder", network.model.decoder)

    def _add_stack(self, half: str, stack: Any) -> None:
        """Name the sites of the encoder or decoder, in the order in which they are computed."""
        rate = ENCODER_RATE if half == "encoder" else None
        path = f"model.{half}.layers"
        first = 0 if half == "encoder" else len(self.encoder.layers) + 1  # the decoder's blocks come after ln_post
        for number, layer in enumerate(stack.layers):
            depth, block, alias = first + number, f"{half}.blocks.{number}", f"{path}.{number}"
            self._add_attention(
                f"{block}.attn", f"{alias}.self_attn", layer.self_attn, half == "decoder", rate, rate, depth
            )
            if half == "decoder":
                audio = ENCODER_RATE  # keys and values of cross-attention are made from encoder frames
                self._add_attention(
                    f"{block}.cross_attn",
                    f"{alias}.encoder_attn",
                    layer.encoder_attn,
                    False,
                    rate,
                    audio,
                    depth,
                )
            self._add(
                f"{block}.mlp.1",
                f"{alias}.activation_fn",
                Tap(layer.activation_fn),
                layer.fc1.out_features,
                rate,
                depth,
            )
            self._add(f"{block}.mlp", f"{alias}.fc2", Tap(layer.fc2), layer.fc2.out_features, rate, depth)
            self._add(block, alias, Tap(layer), layer.fc2.out_features, rate, depth)
        norm = "encoder.ln_post" if half == "encoder" else "decoder.ln"
        tap = Tap(stack.layer_norm)
        self._add(norm, f"model.{half}.layer_norm", tap, stack.config.d_model, rate, first + len(stack.layers))

    def _add_attention(
        self,
        name: str,
        alias: str,
        attention: Any,
        causal: bool,
        query_rate: float | None,
        key_rate: float | None,
        depth: int,
    ) -> None:
        q, k, v, out = attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj
        width, heads = attention.embed_dim, attention.num_heads
        self._add(f"{name}.query", f"{alias}.q_proj", Tap(q), width, query_rate, depth)
        self._add(f"{name}.key", f"{alias}.k_proj", Tap(k), width, key_rate, depth)
        self._add(f"{name}.value", f"{alias}.v_proj", Tap(v), width, key_rate, depth)
        self._add(f"{name}.pattern", "", PatternTap(q, k, heads, causal), heads, query_rate, depth)
        self._add(f"{name}.heads", f"{alias}.out_proj.input", Tap(out, at_input=True), width, query_rate, depth)
        self._add(name, alias, Tap(out), width, query_rate, depth)

    def _add(self, name: str, alias: str, tap: Tap | PatternTap, width: int, rate: float | None, depth: int) -> None:
        self._taps[name] = tap
        self.sites[name] = Site(
            name=name,
            width=width,
            frames_per_second=rate,
            privileged=name.endswith(".mlp.1"),
            writable=isinstance(tap, Tap),
            alias=alias,
            depth=depth,
            residual=name.split(".")[-2] == "blocks",
        )

    def log_mel(self, samples: Sequence[np.ndarray]) -> Tensor:
        """Log-mel input for windows of audio.

        Args:
            samples: arrays of 16 kHz mono audio, none longer than `window_samples`; padded with zeros.

        Returns:
            [B, n_mels, 2 * frames_per_window] in the model's dtype on its device.

        Raises:
            FreudError: an array is longer than a window.
        """
        from freud.audio import log_mel

        padded = torch.zeros(len(samples), self.window_samples)
        for row, window in zip(padded, samples, strict=True):
            if len(window) > self.window_samples:
                raise FreudError(f"{len(window)} samples do not fit a window of {self.window_samples}; cut them first")
            row[: len(window)] = torch.as_tensor(window, dtype=torch.float32)
        return log_mel(padded, self.n_mels).to(self.device, self.dtype)

    def run(self, mel: Tensor, tokens: Tensor | None = None) -> Tensor:
        """One forward pass: `encoder.ln_post` [B, T, d], or with `tokens` [B, L] `decoder.ln` [B, L, d].

        Raises:
            FreudError: `mel` is not [B, n_mels, 2 * frames_per_window], or `tokens` do not suit the decoder.
        """
        expected = (self.n_mels, 2 * self.frames_per_window)
        if mel.ndim != 3 or tuple(mel.shape[1:]) != expected:
            raise FreudError(
                f"{self.name} takes mel of shape [batch, {expected[0]}, {expected[1]}], not {list(mel.shape)}"
            )
        if tokens is not None:
            tokens = self._check_tokens(tokens, len(mel))
        encoded: Tensor = self.encoder(mel.to(self.device, self.dtype)).last_hidden_state
        if tokens is None:
            return encoded
        decoder: Any = self._whole("decode").model.decoder
        return decoder(input_ids=tokens, encoder_hidden_states=encoded, use_cache=False).last_hidden_state

    def _check_tokens(self, tokens: Tensor, batch: int) -> Tensor:
        config: Any = self.encoder.config
        if tokens.ndim != 2 or len(tokens) != batch or not 0 < tokens.shape[1] <= config.max_target_positions:
            raise FreudError(
                f"tokens must be [{batch}, 1 to {config.max_target_positions}], one row for each mel,"
                f" not {list(tokens.shape)}"
            )
        if tokens.is_floating_point() or tokens.min() < 0 or tokens.max() >= config.vocab_size:
            raise FreudError(f"tokens must be whole numbers from 0 to {config.vocab_size - 1}")
        return tokens.to(self.device)

    @torch.inference_mode()
    def logits(self, mel: Tensor, tokens: Tensor) -> Tensor:
        """What the decoder predicts after each of the given tokens (teacher forcing): [B, L, vocabulary].

        Args:
            mel: [B, n_mels, 2 * frames_per_window].
            tokens: [B, L] token ids.

        Raises:
            FreudError: the model has no decoder, or a shape is wrong.
        """
        network: Any = self._whole("decode")
        return network.proj_out(self.run(mel, tokens))

    def _whole(self, verb: str) -> WhisperForConditionalGeneration:
        if self.network is None:
            raise FreudError(
                f"{self.name} has only an encoder and cannot {verb}; load a whole checkpoint, such as tiny"
            )
        return self.network

    def transcribe(
        self,
        audio: str | Path | np.ndarray,
        *,
        language: str | None = None,
        task: str = "transcribe",
        max_new_tokens: int | None = None,
        num_beams: int = 1,
    ) -> Transcript:
        from freud.models.whisper_text import transcribe

        self._whole("transcribe")
        if self.random_weights:
            raise FreudError(f"{self.name} has random weights in this build and cannot transcribe; load tiny")
        return transcribe(self, audio, language, task, max_new_tokens, num_beams)


def build(checkpoint: Checkpoint, name: str, device: torch.device, dtype: torch.dtype) -> WhisperModel:
    """A model from a checkpoint; see `freud.models.load`."""
    from freud.models import whisper_network

    config = whisper_network.checked_config(checkpoint)
    encoder, network = whisper_network.empty_network(config)
    weights = whisper_network.checked_weights(checkpoint, encoder, network)
    whisper_network.fill(encoder, network, weights, device, dtype)
    words = dataclasses.replace(checkpoint, weights={})  # not to hold the weights twice
    return WhisperModel(name, fingerprint(config, weights), encoder, network, words)


def random_nano(device: torch.device, dtype: torch.dtype) -> WhisperModel:
    """A stand-in for the bundled model: a small Whisper with random weights, always the same ones."""
    from freud.models import whisper_network

    model = build(whisper_network.random_checkpoint(), "nano", device, dtype)
    model.random_weights = True
    model.can_transcribe = False
    return model
