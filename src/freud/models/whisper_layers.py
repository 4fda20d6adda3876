"""Whisper's network: log-mel in, encoder frames out, then text tokens one after the other with a cache.

Modules have the names they have in transformers, so that its checkpoints fit as they are, and compute bit for bit
what its modules do (`tests/models/test_models_parity.py`). They are our own because importing transformers' takes four
seconds, longer than an edit may take from the command line.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS = {"gelu": nn.GELU, "gelu_new": lambda: nn.GELU(approximate="tanh"), "relu": nn.ReLU, "silu": nn.SiLU}


class Cache:
    """Keys and values of the tokens decoded so far and of the audio, for each decoder block.

    Attributes:
        length: tokens so far.
        own, cross: (keys, values) by block, each [rows, heads, tokens or frames, d_head].
    """

    def __init__(self) -> None:
        self.length = 0
        self.own: dict[int, KeysValues] = {}
        self.cross: dict[int, KeysValues] = {}

    def only_audio(self) -> Cache:
        """A cache of the same audio that has decoded nothing yet."""
        fresh = Cache()
        fresh.cross = dict(self.cross)
        return fresh

    def split(self, row: int) -> tuple[Cache, Cache]:
        """Caches of the same audio that have decoded nothing yet: of the rows before this one, and of the others."""
        first, rest = Cache(), Cache()
        first.cross = {block: (k[:row], v[:row]) for block, (k, v) in self.cross.items()}
        rest.cross = {block: (k[row:], v[row:]) for block, (k, v) in self.cross.items()}
        return first, rest

    def take_audio(self, *parts: Cache) -> None:
        """The audio of these caches' rows, one after the other, becomes that of this one."""
        for block in parts[0].cross:
            keys, values = zip(*(part.cross[block] for part in parts), strict=True)
            self.cross[block] = torch.cat(keys), torch.cat(values)

    def cut(self, rows: Tensor, length: int) -> Cache:
        """A cache of these rows [kept], of their audio and their first `length` tokens."""
        part = Cache()
        part.own = {block: (k[rows], v[rows]) for block, (k, v) in self.own.items()}
        part.cross = {block: (k[rows], v[rows]) for block, (k, v) in self.cross.items()}
        part.forget(length)
        return part

    def forget(self, length: int) -> None:
        """Keep the first `length` tokens."""
        self.length = length
        self.own = {block: (k[:, :, :length], v[:, :, :length]) for block, (k, v) in self.own.items()}

    def select(self, rows: Tensor) -> None:
        """Keep these rows [kept] of the tokens' part, in this order; rows of the same audio may trade places."""
        self.own = {block: (keys[rows], values[rows]) for block, (keys, values) in self.own.items()}


KeysValues = tuple[Tensor, Tensor]  # each [B, heads, S, d_head]


class Attention(nn.Module):
    """Multi-head attention; the query is scaled before the product, as in the published checkpoints' code."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.embed_dim, self.num_heads = width, heads
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, x: Tensor, source: Tensor | None, past: KeysValues | None = None, *, causal: bool = False
    ) -> tuple[Tensor, KeysValues]:
        """Attend from x [rows, T, width], and return that and the keys and values, for a later call.

        Args:
            x: where queries come from.
            source: where keys and values come from, [B, S, width]; None to use `past` as it is.
            past: keys and values before those of `source`.
            causal: a position sees no later one.
        """
        query = self._heads(self.q_proj(x) * (self.embed_dim // self.num_heads) ** -0.5)
        keys, values = past if source is None and past else (None, None)
        if source is not None:
            keys, values = self._heads(self.k_proj(source)), self._heads(self.v_proj(source))
            if past:
                keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)
        assert keys is not None
        assert values is not None
        rows, length = x.shape[:2]
        if rows > len(keys):  # rows of the same audio (beams) are so many queries of it
            query = query.unflatten(0, (len(keys), -1)).transpose(1, 2).flatten(2, 3)
        mask = None
        if causal and past:
            mask = torch.ones(length, keys.shape[2], dtype=torch.bool, device=x.device).tril(keys.shape[2] - length)
        mixed = F.scaled_dot_product_attention(
            query, keys, values, attn_mask=mask, scale=1.0, is_causal=causal and mask is None
        )
        if rows > len(keys):
            mixed = mixed.unflatten(2, (-1, length)).transpose(1, 2).flatten(0, 1)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), (keys, values)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2).contiguous()  # [B, heads, T, d_head]


class Block(nn.Module):
    """What a block of the encoder and one of the decoder share."""

    def __init__(self, width: int, heads: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.activation_fn = ACTIVATIONS[activation]()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def mlp(self, x: Tensor) -> Tensor:
        return x + self.fc2(self.activation_fn(self.fc1(self.final_layer_norm(x))))


class EncoderBlock(Block):
    def forward(self, x: Tensor) -> Tensor:
        normed = self.self_attn_layer_norm(x)
        x = self.mlp(x + self.self_attn(normed, normed)[0])
        if x.dtype == torch.float16:  # massive activations
            limit = torch.finfo(x.dtype).max - 1000
            x = x.clamp(-limit, limit)
        return x


class DecoderBlock(Block):
    def __init__(self, width: int, heads: int, hidden: int, activation: str) -> None:
        super().__init__(width, heads, hidden, activation)
        self.encoder_attn = Attention(width, heads)
        self.encoder_attn_layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, encoded: Tensor, cache: Cache, number: int) -> Tensor:
        normed = self.self_attn_layer_norm(x)
        mixed, cache.own[number] = self.self_attn(normed, normed, cache.own.get(number), causal=x.shape[1] > 1)
        x = x + mixed
        audio = cache.cross.get(number)
        normed = self.encoder_attn_layer_norm(x)
        mixed, cache.cross[number] = self.encoder_attn(normed, None if audio else encoded, audio)
        return self.mlp(x + mixed)


def _embedding(size: int, width: int) -> nn.Embedding:
    """An embedding that draws no random weights: without storage to draw them into, torch loads its compiler first."""
    return nn.Embedding(size, width, _weight=torch.zeros(size, width))


class Encoder(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["d_model"]
        self.conv1 = nn.Conv1d(config["num_mel_bins"], width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(width, width, kernel_size=3, stride=2, padding=1)
        self.embed_positions = _embedding(config["max_source_positions"], width)
        self.layers = nn.ModuleList(
            EncoderBlock(
                width, config["encoder_attention_heads"], config["encoder_ffn_dim"], config["activation_function"]
            )
            for _ in range(config["encoder_layers"])
        )
        self.layer_norm = nn.LayerNorm(width)

    def stem(self, mel: Tensor) -> Tensor:
        """mel [B, n_mels, 2 T] to what the first block sees, [B, T, width]."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel))))
        return x.transpose(1, 2) + self.embed_positions.weight

    def forward(self, mel: Tensor) -> Tensor:
        """mel [B, n_mels, 2 T] to [B, T, width]."""
        return self.after(self.stem(mel), 0)

    def after(self, x: Tensor, block: int) -> Tensor:
        """From what block number `block` sees to the output; one past the last leaves the final norm."""
        for layer in self.layers[block:]:
            x = layer(x)
        return self.layer_norm(x)


class Decoder(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = config["d_model"]
        self.embed_tokens = _embedding(config["vocab_size"], width)
        self.embed_positions = _embedding(config["max_target_positions"], width)
        self.layers = nn.ModuleList(
            DecoderBlock(
                width, config["decoder_attention_heads"], config["decoder_ffn_dim"], config["activation_function"]
            )
            for _ in range(config["decoder_layers"])
        )
        self.layer_norm = nn.LayerNorm(width)
        untied = not config.get("tie_word_embeddings", True)
        self.proj_out = nn.Linear(width, config["vocab_size"], bias=False) if untied else None

    def forward(self, tokens: Tensor, encoded: Tensor, cache: Cache | None = None) -> Tensor:
        """What the decoder makes of each token: [rows, L, width].

        Args:
            tokens: [rows, L]; those that follow what is in the cache.
            encoded: [B, T, width]; rows / B consecutive rows of tokens belong to each.
            cache: is added to; left out, nothing is kept.
        """
        cache = cache or Cache()
        x = self.embed_tokens(tokens) + self.embed_positions.weight[cache.length : cache.length + tokens.shape[1]]
        for number, layer in enumerate(self.layers):
            x = layer(x, encoded, cache, number)
        cache.length += tokens.shape[1]
        return self.layer_norm(x)

    def logits(self, x: Tensor) -> Tensor:
        """[..., width] to [..., vocabulary]; the output projection is the embedding, unless the model has another."""
        return F.linear(x, (self.proj_out or self.embed_tokens).weight)


class Whisper(nn.Module):
    """The encoder, and the decoder if the configuration has one."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config) if "vocab_size" in config else None
