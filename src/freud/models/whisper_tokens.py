"""Whisper's vocabulary: which token ids steer decoding, and the text that the others stand for.

A Hugging Face folder says both in `generation_config.json` and `tokenizer.json`. An OpenAI `.pt` has
neither: there the layout follows from the vocabulary's size, and the text from any of three places, see `text_decoder`.
"""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.models.checkpoints import Checkpoint, download_tokenizer
from freud.models.files import one_line

_ENGLISH, _MULTILINGUAL, _WITH_CANTONESE = 51864, 51865, 51866  # sizes of OpenAI's three vocabularies
_BLANK = 220  # the token " "


@dataclass(frozen=True)
class Steering:
    """The token ids that steer decoding.

    Attributes:
        start, end: every text begins and ends with one. no_timestamps: asks for text only; None where there is none.
        languages, tasks: tokens by name (`<|en|>`, `transcribe`); none for a model of one language.
        suppress, suppress_first: never in a text, never its first token.
        max_length: largest number of tokens of a text, with its start.
    """

    start: int
    end: int
    max_length: int
    no_timestamps: int | None = None
    languages: dict[str, int] | None = None
    tasks: dict[str, int] | None = None
    suppress: tuple[int, ...] = ()
    suppress_first: tuple[int, ...] = ()

    def prompt(self, language: str | None, task: str) -> list[int]:
        """The tokens before a text: start, language and task if the model knows several, no timestamps."""
        tokens = [self.start]
        if self.languages and self.tasks and language is not None:
            tokens += [self.languages[language], self.tasks[task]]
        return tokens if self.no_timestamps is None else [*tokens, self.no_timestamps]

    def is_text(self, token: int, vocabulary: int) -> bool:
        """Whether a token stands for text; from `no_timestamps` on they are times."""
        control = {self.start, self.end, *(self.languages or {}).values(), *(self.tasks or {}).values()}
        return token not in control and token < (self.no_timestamps or vocabulary)


def steering(checkpoint: Checkpoint) -> Steering:
    """The token ids that steer decoding.

    Raises:
        FreudError: the checkpoint does not say, and its vocabulary is not one of OpenAI's.
        DamagedFileError: its generation_config.json makes no sense.
    """
    size, longest = checkpoint.config["vocab_size"], checkpoint.config["max_target_positions"]
    given = checkpoint.generation
    if given.get("decoder_start_token_id") is None:
        if size not in {_ENGLISH, _MULTILINGUAL, _WITH_CANTONESE}:
            raise FreudError(f"{checkpoint.source}: has no generation_config.json, which transcription needs")
        return _openai_steering(size, longest)

    def token(value: Any, name: str) -> int:
        if type(value) is not int or not 0 <= value < size:
            problem = f"generation_config.json has {name} = {str(value)[:40]}; expected a token below {size}"
            raise DamagedFileError(f"{checkpoint.source}: {problem}; download the model again")
        return value

    def tokens(name: str) -> Any:
        value = given.get(name)
        if isinstance(value, dict):
            return {str(key): token(each, name) for key, each in value.items()}
        return tuple(token(each, name) for each in (value if isinstance(value, list) else []))

    languages = tokens("lang_to_id") or {}
    several = given.get("is_multilingual", bool(languages)) and bool(languages)
    length = given.get("max_length")
    return Steering(
        start=token(given["decoder_start_token_id"], "decoder_start_token_id"),
        end=token(given.get("eos_token_id"), "eos_token_id"),
        max_length=min(length, longest) if isinstance(length, int) and length > 0 else longest,
        no_timestamps=None
        if given.get("no_timestamps_token_id") is None
        else token(given["no_timestamps_token_id"], "no_timestamps_token_id"),
        languages=languages if several else None,
        tasks=(tokens("task_to_id") or {}) if several else None,
        suppress=tokens("suppress_tokens"),
        suppress_first=tokens("begin_suppress_tokens"),
    )


def _openai_steering(size: int, longest: int) -> Steering:
    """OpenAI's vocabularies are text, end, start, languages, six tasks and marks, and 1501 timestamps."""
    from transformers.models.whisper.configuration_whisper import NON_SPEECH_TOKENS, NON_SPEECH_TOKENS_MULTI
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    end = 50256 if size == _ENGLISH else 50257
    start = end + 1
    names = list(LANGUAGES)[: 100 if size == _WITH_CANTONESE else 99]
    translate = start + 1 + len(names)
    transcribe, start_of_lm, start_of_previous, no_speech, no_timestamps = range(translate + 1, translate + 6)
    symbols = NON_SPEECH_TOKENS if size == _ENGLISH else NON_SPEECH_TOKENS_MULTI
    marks = [start, translate, transcribe, start_of_lm, start_of_previous, no_speech]
    several = size != _ENGLISH
    return Steering(
        start=start,
        end=end,
        max_length=longest,
        no_timestamps=no_timestamps,
        languages={f"<|{code}|>": start + 1 + i for i, code in enumerate(names)} if several else None,
        tasks={"transcribe": transcribe, "translate": translate} if several else None,
        suppress=(*(token for token in symbols if token < end), *marks),
        suppress_first=(_BLANK, end),
    )


def language_token(steering: Steering, language: str | None, task: str) -> str | None:
    """The token of a language given as code or name; None if it is to be detected, or there is only one.

    Raises:
        UnknownNameError: the model does not know the language or the task.
    """
    if not steering.languages or steering.tasks is None:
        if language not in {None, "en", "english", "English"} or task != "transcribe":
            raise FreudError("this model only transcribes English; load a multilingual one, such as tiny")
        return None
    if task not in steering.tasks:
        raise UnknownNameError(f"unknown task {task!r}: this model has {', '.join(steering.tasks)}")
    if language is None:
        return None
    if (token := f"<|{language.lower()}|>") in steering.languages:
        return token
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    token = f"<|{TO_LANGUAGE_CODE.get(language.lower())}|>"
    if token not in steering.languages:
        known = ", ".join(name.strip("<|>") for name in steering.languages)
        raise UnknownNameError(f"unknown language {language!r}: this model has {known}")
    return token


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
