"""The network and its tokenizer: the ordinary Whisper classes of transformers, made small.

`encode` and `decode` run the modules of `WhisperForConditionalGeneration` on windows shorter than the
model's own, which its `forward` refuses; training on short windows is several times cheaper. On a full
window they compute what `forward` computes (checked by `python recipes/nano/model.py`).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

WINDOW = 10  # seconds
FRAME = 320  # samples of one encoder position
POSITIONS = WINDOW * 16_000 // FRAME
MAX_TOKENS = 256
SPECIAL = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
EOT, SOT, EN, TRANSLATE, TRANSCRIBE, START_OF_LM, START_OF_PREV, NO_SPEECH, NO_TIMESTAMPS = range(256, 265)
PROMPT = (SOT, EN, TRANSCRIBE, NO_TIMESTAMPS)


def byte_characters() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte, in the order of Whisper's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(rest)}


VOCABULARY = {character: i for i, character in enumerate(byte_characters().values())}
TOKEN_OF = {chr(b): VOCABULARY[c] for b, c in byte_characters().items() if b < 128}


def build_processor() -> WhisperProcessor:
    """A byte-level Whisper tokenizer without merges, so that a token is a character, and the mel front
    end.
    """
    vocabulary = VOCABULARY | {token: 256 + i for i, token in enumerate(SPECIAL)}
    tokenizer = WhisperTokenizer(
        vocab=vocabulary,
        merges=[],
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL[1:]),
        model_max_length=MAX_TOKENS,
    )
    return WhisperProcessor(WhisperFeatureExtractor(feature_size=80, chunk_length=WINDOW), tokenizer)


def build_model() -> WhisperForConditionalGeneration:
    """The untrained network."""
    config = WhisperConfig(
        vocab_size=256 + len(SPECIAL),
        num_mel_bins=80,
        d_model=192,
        encoder_layers=4,
        encoder_attention_heads=4,
        encoder_ffn_dim=768,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=768,
        max_source_positions=POSITIONS,
        max_target_positions=MAX_TOKENS,
        bos_token_id=EOT,
        eos_token_id=EOT,
        pad_token_id=EOT,
        decoder_start_token_id=SOT,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=EOT,
        eos_token_id=EOT,
        pad_token_id=EOT,
        decoder_start_token_id=SOT,
        max_length=MAX_TOKENS,
        is_multilingual=True,
        lang_to_id={"<|en|>": EN},
        task_to_id={"transcribe": TRANSCRIBE, "translate": TRANSLATE},
        no_timestamps_token_id=NO_TIMESTAMPS,
        prev_sot_token_id=START_OF_PREV,
        return_timestamps=False,
        suppress_tokens=[],
        begin_suppress_tokens=[],
        language="en",
        task="transcribe",
    )
    return model


def load_start(start: Path) -> WhisperForConditionalGeneration:
    """The model of a folder, or the averaged weights of a checkpoint, in float32."""
    if start.is_dir():
        return WhisperForConditionalGeneration.from_pretrained(start, dtype=torch.float32)
    model = build_model()
    average = torch.load(start, weights_only=True, map_location="cpu")["average"]
    model.load_state_dict(average, strict=False)  # the output layer is the embedding
    return model


@dataclass
class Decoded:
    """`logits` [batch, tokens, vocabulary]; `attention` [batch, layers, heads, tokens, positions], to the
    audio, if asked for.
    """

    logits: Tensor
    attention: Tensor | None


def _heads(x: Tensor, heads: int) -> Tensor:
    batch, length, width = x.shape
    return x.view(batch, length, heads, width // heads).transpose(1, 2)


def attend(module, x: Tensor, source: Tensor, causal: bool = False) -> Tensor:
    """The output of a WhisperAttention module."""
    projected = (module.q_proj(x), module.k_proj(source), module.v_proj(source))
    query, key, value = (_heads(y, module.num_heads) for y in projected)
    out = F.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=module.scaling)
    return module.out_proj(out.transpose(1, 2).flatten(2))


def attention(module, x: Tensor, source: Tensor) -> Tensor:
    """The weights of a WhisperAttention module, [batch, heads, queries, keys]."""
    query, key = _heads(module.q_proj(x), module.num_heads), _heads(module.k_proj(source), module.num_heads)
    return (query * module.scaling @ key.mT).softmax(-1)


def encode(model: WhisperForConditionalGeneration, mel: Tensor) -> Tensor:
    """Encoder output [batch, positions, width] of mel [batch, 80, 2 * positions], positions up to the
    window's.
    """
    encoder = model.model.encoder
    x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).transpose(1, 2)
    x = x + encoder.embed_positions.weight[: x.shape[1]]
    for layer in encoder.layers:
        h = layer.self_attn_layer_norm(x)
        x = x + attend(layer.self_attn, h, h)
        x = x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))
    return encoder.layer_norm(x)


def decode(
    model: WhisperForConditionalGeneration, states: Tensor, tokens: Tensor, with_attention: bool = False
) -> Decoded:
    """Next-token logits for tokens [batch, tokens] given the encoder's output."""
    decoder = model.model.decoder
    x = decoder.embed_tokens(tokens) + decoder.embed_positions.weight[: tokens.shape[1]]
    weights = []
    for layer in decoder.layers:
        h = layer.self_attn_layer_norm(x)
        x = x + attend(layer.self_attn, h, h, causal=True)
        h = layer.encoder_attn_layer_norm(x)
        if with_attention:  # computed once more, as the fused attention does not tell its weights
            weights.append(attention(layer.encoder_attn, h, states))
        x = x + attend(layer.encoder_attn, h, states)
        x = x + layer.fc2(F.gelu(layer.fc1(layer.final_layer_norm(x))))
    logits = model.proj_out(decoder.layer_norm(x))
    return Decoded(logits, torch.stack(weights, 1) if with_attention else None)


def check() -> None:
    """The functions above agree with transformers' own forward pass."""
    torch.manual_seed(0)
    model = build_model().eval()
    mel, tokens = torch.randn(2, 80, 2 * POSITIONS), torch.randint(0, 256, (2, 30))
    with torch.no_grad():
        expected = model(input_features=mel, decoder_input_ids=tokens).logits
        torch.testing.assert_close(decode(model, encode(model, mel), tokens).logits, expected)
    text = "the log, was"
    tokenizer = build_processor().tokenizer
    assert tokenizer(text, add_special_tokens=False).input_ids == [TOKEN_OF[c] for c in text]
    assert tokenizer(text).input_ids[:1] == [SOT], tokenizer(text)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters; agrees with transformers")


if __name__ == "__main__":
    check()
