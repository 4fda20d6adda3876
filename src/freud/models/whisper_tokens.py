"""Whisper's vocabulary: which token ids steer decoding, and the text that the others stand for.

A Hugging Face folder says both in `generation_config.json` and `tokenizer.json`. An OpenAI `.pt` has
neither: there the layout follows from the vocabulary's size, and the text from any of three places, see `text_decoder`.
"""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freud.errors import DamagedFileError, FreudError
from freud.models.checkpoints import Checkpoint, download_tokenizer, one_line

if TYPE_CHECKING:
    from transformers.generation.configuration_utils import GenerationConfig

_STEERING = (  # what transformers' generate for Whisper needs; other entries could change how it decodes
    "decoder_start_token_id",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "no_timestamps_token_id",
    "prev_sot_token_id",
    "is_multilingual",
    "lang_to_id",
    "task_to_id",
    "suppress_tokens",
    "begin_suppress_tokens",
    "max_length",
)
_ENGLISH, _MULTILINGUAL, _WITH_CANTONESE = 51864, 51865, 51866  # sizes of OpenAI's three vocabularies
_BLANK = 220  # the token " "


def generation_config(checkpoint: Checkpoint) -> GenerationConfig:
    """The token ids that steer decoding.

    Raises:
        FreudError: the checkpoint does not say, and its vocabulary is not one of OpenAI's.
    """
    from transformers.generation.configuration_utils import GenerationConfig

    size = checkpoint.config.get("vocab_size")
    if checkpoint.generation.get("decoder_start_token_id") is not None:
        steering = {key: checkpoint.generation[key] for key in _STEERING if key in checkpoint.generation}
    elif size in {_ENGLISH, _MULTILINGUAL, _WITH_CANTONESE}:
        steering = _openai_steering(size)
    else:
        raise FreudError(f"{checkpoint.source}: has no generation_config.json, which transcription needs")
    steering["max_length"] = min(
        steering.get("max_length") or checkpoint.config["max_target_positions"],
        checkpoint.config["max_target_positions"],
    )
    return GenerationConfig(**steering)


def _openai_steering(size: int) -> dict[str, Any]:
    """OpenAI's vocabularies are text, end, start, languages, six tasks and marks, and 1501 timestamps."""
    from transformers.models.whisper.configuration_whisper import NON_SPEECH_TOKENS, NON_SPEECH_TOKENS_MULTI
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    end = 50256 if size == _ENGLISH else 50257
    start = end + 1
    languages = list(LANGUAGES)[: 100 if size == _WITH_CANTONESE else 99]
    translate = start + 1 + len(languages)
    transcribe, start_of_lm, start_of_previous, no_speech, no_timestamps = range(translate + 1, translate + 6)
    symbols = NON_SPEECH_TOKENS if size == _ENGLISH else NON_SPEECH_TOKENS_MULTI
    marks = [start, translate, transcribe, start_of_lm, start_of_previous, no_speech]
    steering: dict[str, Any] = {
        "decoder_start_token_id": start,
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "no_timestamps_token_id": no_timestamps,
        "prev_sot_token_id": start_of_previous,
        "is_multilingual": size != _ENGLISH,
        "suppress_tokens": [*(token for token in symbols if token < end), *marks],
        "begin_suppress_tokens": [_BLANK, end],
    }
    if size != _ENGLISH:
        steering["lang_to_id"] = {f"<|{code}|>": start + 1 + i for i, code in enumerate(languages)}
        steering["task_to_id"] = {"transcribe": transcribe, "translate": translate}
    return steering


def text_decoder(checkpoint: Checkpoint) -> Callable[[Sequence[int]], str]:
    """A function from token ids to text, without special tokens.

    It uses the `tokenizer.json` beside the weights; for OpenAI's vocabularies otherwise the tables of the
    openai-whisper package, if it is installed, or the tokenizer of a model on the Hugging Face hub.

    Raises:
        FreudError: there is none.
    """
    beside = checkpoint.folder / "tokenizer.json" if checkpoint.folder else None
    if beside and beside.is_file():
        return _from_tokenizer(beside)
    size = checkpoint.config.get("vocab_size")
    if size not in {_ENGLISH, _MULTILINGUAL, _WITH_CANTONESE}:
        raise FreudError(f"{checkpoint.source}: has no tokenizer.json, which transcription needs")
    package = importlib.util.find_spec("whisper")
    name = "gpt2.tiktoken" if size == _ENGLISH else "multilingual.tiktoken"
    for place in (package.submodule_search_locations or []) if package else []:
        if (table := Path(place) / "assets" / name).is_file():
            return _from_table(table)
    repo = {_ENGLISH: "openai/whisper-tiny.en", _MULTILINGUAL: "openai/whisper-tiny"}.get(
        size, "openai/whisper-large-v3"
    )
    return _from_tokenizer(download_tokenizer(repo))


def _from_tokenizer(path: Path) -> Callable[[Sequence[int]], str]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more specific
        raise DamagedFileError(f"{path}: not a tokenizer ({one_line(error)}); download the model again") from None
    return lambda ids: tokenizer.decode(list(ids), skip_special_tokens=True)


def _from_table(path: Path) -> Callable[[Sequence[int]], str]:
    """Lines of a token's bytes in base 64 and its rank; special tokens are not among them."""
    pairs = (line.split() for line in path.read_bytes().splitlines() if line)
    texts = {int(rank): base64.b64decode(token) for token, rank in pairs}
    return lambda ids: b"".join(texts.get(token, b"") for token in ids).decode("utf-8", errors="replace")
