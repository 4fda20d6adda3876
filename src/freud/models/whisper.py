"""Whisper: which module is which site, the forward pass, and transcription.

`query`, `key` and `value` are the projections' outputs before any scaling, which is what openai-whisper's
modules of those names return (it then scales both query and key by d_head^-1/4, transformers the query by
d_head^-1/2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from freud.audio import SAMPLE_RATE, SAMPLES_PER_FRAME
from freud.errors import FreudError
from freud.models import whisper_text, whisper_tokens, whisper_vocabulary
from freud.models.base import AudioModel, Hearing, PatternTap, Tap, Transcript, Write, same_shape
from freud.models.checkpoints import Checkpoint, fingerprint
from freud.models.edits import Edit
from freud.models.sites import Site
from freud.models.whisper_decoding import Search
from freud.models.whisper_layers import Decoder, Encoder, Whisper
from freud.models.whisper_tokens import Steering

ENCODER_RATE = SAMPLE_RATE / SAMPLES_PER_FRAME  # 50 frames a second


class WhisperModel(AudioModel):
    """A Whisper encoder, with its decoder where the checkpoint has one."""

    def __init__(
        self, name: str, fingerprint: str, network: Whisper, config: dict[str, Any], checkpoint: Checkpoint
    ) -> None:
        super().__init__()
        self.name = name
        self.fingerprint = fingerprint
        self.network = network
        self.encoder: Encoder = network.encoder
        self.config = config
        self.checkpoint = checkpoint
        self.frames_per_window = config["max_source_positions"]
        self.window_samples = self.frames_per_window * SAMPLES_PER_FRAME
        self.n_mels = config["num_mel_bins"]
        self.can_transcribe = network.decoder is not None
        weight = next(network.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        self.parameters = sum(p.numel() for p in network.parameters())
        self.sites, self._taps = {}, {}
        self._add_stack("encoder", network.encoder)
        if network.decoder is not None:
            self._add_stack("decoder", network.decoder)

    def _add_stack(self, half: str, stack: Encoder | Decoder) -> None:
        """Name the sites of the encoder or decoder, in the order in which they are computed."""
        rate = ENCODER_RATE if half == "encoder" else None
        path = f"model.{half}.layers"
        first = 0 if half == "encoder" else len(self.encoder.layers) + 1  # the decoder's blocks come after ln_post
        layers: Any = stack.layers
        for number, layer in enumerate(layers):
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
        self._add(norm, f"model.{half}.layer_norm", tap, self.config["d_model"], rate, first + len(layers))

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
        with self.lock:
            encoded: Tensor = self.encoder(mel.to(self.device, self.dtype))
            return encoded if tokens is None else self._decoder("decode")(tokens, encoded)

    def run_variants(self, mel: Tensor, variants: Sequence[Mapping[str, Write]]) -> list[Tensor]:
        if not variants:
            return []
        writes = [{self.site(name): write for name, write in variant.items()} for variant in variants]
        # A site inside block n needs all of block n again; the residual stream after it does not.
        first = min(
            (site.depth + site.residual for variant in writes for site in variant), default=len(self.encoder.layers)
        )
        boundary = f"encoder.blocks.{first - 1}"
        outputs = []
        with torch.inference_mode(), self.lock:
            x = self.encoder.stem(mel.to(self.device, self.dtype))
            for layer in self.encoder.layers[:first]:
                x = layer(x)
            for variant in writes:
                after = {site.name: write for site, write in variant.items() if site.name != boundary}
                here = [same_shape(site, write) for site, write in variant.items() if site.name == boundary]
                with self.hooked(write=after):
                    outputs.append(self.encoder.after(here[0](x) if here else x, first))
        return outputs

    def _check_tokens(self, tokens: Tensor, batch: int) -> Tensor:
        self._decoder("decode")
        longest, vocabulary = self.config["max_target_positions"], self.config["vocab_size"]
        if tokens.ndim != 2 or len(tokens) != batch or not 0 < tokens.shape[1] <= longest:
            raise FreudError(
                f"tokens must be [{batch}, 1 to {longest}], one row for each mel, not {list(tokens.shape)}"
            )
        if tokens.is_floating_point() or tokens.min() < 0 or tokens.max() >= vocabulary:
            raise FreudError(f"tokens must be whole numbers from 0 to {vocabulary - 1}")
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
        return self._decoder("decode").logits(self.run(mel, tokens))

    def _decoder(self, verb: str) -> Decoder:
        if self.network.decoder is None:
            raise FreudError(
                f"{self.name} has only an encoder and cannot {verb}; load a whole checkpoint, such as tiny"
            )
        return self.network.decoder

    @property
    def decoder(self) -> Decoder:
        """The decoder of a model that can transcribe.

        Raises:
            FreudError: it cannot.
        """
        return self._decoder("transcribe")

    def hear(
        self,
        encoded: Tensor,
        *,
        language: str | None = None,
        task: str | None = None,
        search: Search | None = None,
        scored: Sequence[int] = (),
        alike: bool = False,
    ) -> list[Hearing]:
        language = whisper_tokens.language_token(self.steering, language, task)
        with self.lock, torch.inference_mode():
            return whisper_text.hear(self, encoded, language, task, search or Search(), scored, alike)

    def reread(self, encoded: Tensor, hearing: Hearing) -> None:
        with self.lock, torch.inference_mode():
            self.decoder(torch.tensor([hearing.tokens], device=self.device), encoded)

    @cached_property
    def steering(self) -> Steering:
        """The token ids that steer decoding."""
        return whisper_tokens.steering(self.checkpoint)

    @cached_property
    def text(self) -> Callable[[Sequence[int]], str]:
        """From token ids to text."""
        return whisper_vocabulary.text_decoder(self.checkpoint)

    def transcribe(
        self,
        audio: str | Path | np.ndarray,
        *,
        language: str | None = None,
        task: str | None = None,
        max_new_tokens: int | None = None,
        num_beams: int | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        edits: Sequence[Edit] = (),
        substitute: bool = False,
        pad_frames: bool = False,
    ) -> Transcript:
        _ = self.decoder  # before anything is read
        search = Search(max_new_tokens, num_beams, temperature, seed)
        return whisper_text.transcribe(self, audio, language, task, search, edits, substitute, pad_frames)


def build(checkpoint: Checkpoint, name: str, device: torch.device, dtype: torch.dtype) -> WhisperModel:
    """A model from a checkpoint; see `freud.models.load`."""
    from freud.models import whisper_network

    checkpoint = whisper_network.with_tied_weights(checkpoint)
    config = whisper_network.checked_config(checkpoint)
    network = whisper_network.empty_network(config)
    weights = whisper_network.checked_weights(checkpoint, network, dtype)
    whisper_network.fill(network, weights, device, dtype)
    words = dataclasses.replace(checkpoint, weights={})  # not to hold the weights twice
    model = WhisperModel(name, fingerprint(config, weights), network, config, words)
    if unused := sorted(whisper_network.unused(checkpoint)):
        model.notes = (f"not used: {', '.join(unused)}, a classifier above the encoder",)
    return model
