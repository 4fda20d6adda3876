"""Which token ids steer Whisper's decoding: the prompt, and what may follow.

A Hugging Face folder says it in `generation_config.json`, or else in `config.json`, and is understood as transformers'
`generate` understands it (`tests/models/test_models_prompts.py`), but that text is asked for without timestamps. An
OpenAI `.pt` says nothing: there the layout follows from the vocabulary's size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from freud.errors import DamagedFileError, FreudError, UnknownNameError
from freud.models.checkpoints import Checkpoint
from freud.models.whisper_vocabulary import ENGLISH, OPENAI, WITH_CANTONESE

_BLANK = 220  # the token " "
_MOST_BEAMS = 100  # that a checkpoint may ask for: more is a mistake, and fills the memory

# Fields of a generation config that change greedy decoding and are not computed here, and the values that do nothing.
_UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1,),
    "encoder_repetition_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "bad_words_ids": ([],),
    "sequence_bias": ({}, []),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "forced_eos_token_id": (),
    "exponential_decay_length_penalty": (),
    "guidance_scale": (1,),
    "penalty_alpha": (0,),
    "dola_layers": (),
    "constraints": ([],),
    "force_words_ids": ([],),
    "num_beam_groups": (1,),
    "diversity_penalty": (0,),
    "watermarking_config": (),
    "stop_strings": ([],),
    "max_time": (),
    "no_speech_threshold": (),
}
_OF_BEAMS: dict[str, tuple[Any, ...]] = {"length_penalty": (1,), "early_stopping": (False,)}  # with several beams


@dataclass(frozen=True)
class Steering:
    """The token ids that steer decoding.

    Attributes:
        start: the first token of every text. end: the token that ends one; ends: every token that does.
        no_timestamps: asks for text only; None where there is none.
        languages, tasks: tokens by name (`<|en|>`, `transcribe`); none for a model of one language.
        multilingual: whether the user may ask for a language or a task.
        language, task: what the checkpoint asks for where the user does not; a name as in `languages`, `tasks`.
        forced: the tokens after the start where neither language nor task is asked for; None stands for the language.
        suppress, suppress_first: never in a text, never its first token.
        max_length: largest number of tokens of a text.
        num_beams: of the search, where the user does not say.
    """

    start: int
    end: int
    max_length: int
    no_timestamps: int | None = None
    languages: dict[str, int] | None = None
    multilingual: bool = True
    tasks: dict[str, int] | None = None
    suppress: tuple[int, ...] = ()
    suppress_first: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    language: str | None = None
    task: str | None = None
    forced: tuple[int | None, ...] = ()
    num_beams: int = 1

    def prompt(self, language: str | None = None, task: str | None = None, detected: str | None = None) -> list[int]:
        """The tokens before a text.

        Args:
            language: what the user asks for, as in `languages`.
            task: what the user asks for, as in `tasks`.
            detected: the language where none is asked for and one is to be detected; see `detects`.
        """
        place = (self.languages or {}).get(detected or "")
        tokens = (place if token is None else token for token in self._template(language, task))
        return [token for token in tokens if token is not None]

    def detects(self, language: str | None, task: str | None) -> bool:
        """Whether the language of a text must be detected before its prompt is known."""
        return bool(self.languages) and None in self._template(language, task)

    def language_of(self, prompt: list[int]) -> str | None:
        """The language that a prompt asks for, as in `languages`."""
        return next((name for name, token in (self.languages or {}).items() if prompt[1:2] == [token]), None)

    def _template(self, language: str | None, task: str | None) -> list[int | None]:
        """The prompt with None in the place of a language that is to be detected."""
        language, task = language or self.language, task or self.task
        languages, tasks = self.languages or {}, self.tasks or {}
        tokens: list[int | None] = [self.start, *(self.forced if language is None and task is None else ())]
        if language in languages:
            tokens[1:2] = [languages[language]]
        elif languages and len(tokens) == 1:
            tokens.append(None)
        elif not languages:
            tokens = [token for token in tokens if token is not None]
        tokens[2:] = [token for token in tokens[2:] if token is not None]
        if task in tasks:
            tokens.append(tasks[task])
        elif language in languages and tasks:
            tokens.append(tasks["transcribe"])
        if self.no_timestamps is not None and tokens[-1] != self.no_timestamps:
            tokens.append(self.no_timestamps)
        return tokens


def steering(checkpoint: Checkpoint) -> Steering:
    """The token ids that steer decoding.

    Raises:
        FreudError: the checkpoint does not say, and its vocabulary is not one of OpenAI's; or it asks for something
            that is not computed here.
        DamagedFileError: its generation config makes no sense.
    """
    config, generation = checkpoint.config, checkpoint.generation
    size, longest = config["vocab_size"], config["max_target_positions"]
    if checkpoint.openai or (generation is None and config.get("decoder_start_token_id") is None):
        if size not in OPENAI:
            raise FreudError(f"{checkpoint.source}: has no generation_config.json, which transcription needs")
        return _openai_steering(size, longest)
    reader = _Reader(checkpoint.source, size, config, generation)
    reader.check_supported()
    languages, tasks = reader.named_tokens("lang_to_id"), reader.named_tokens("task_to_id")
    ends = reader.tokens("eos_token_id", single=True)
    if not ends:
        raise reader.wrong("eos_token_id", "the token that ends a text")
    start, no_timestamps = reader.one("decoder_start_token_id"), reader.one("no_timestamps_token_id")
    if start is None:
        raise reader.wrong("decoder_start_token_id", "the token that starts a text")
    if languages and tasks and "transcribe" not in tasks:
        raise reader.wrong("task_to_id", "a token for transcribe")
    steering = Steering(
        start=start,
        end=ends[0],
        max_length=reader.length(longest),
        no_timestamps=no_timestamps,
        languages=languages,
        multilingual=reader.values.get("is_multilingual", True) is not False,
        tasks=tasks,
        suppress=reader.tokens("suppress_tokens"),
        suppress_first=reader.tokens("begin_suppress_tokens"),
        ends=ends,
        language=reader.choice("language", languages),
        task=reader.choice("task", tasks),
        forced=reader.forced(),
        num_beams=reader.number("num_beams", most=_MOST_BEAMS) or 1,
    )
    if (limit := reader.number("max_new_tokens")) and limit + len(steering.prompt()) > longest:
        raise reader.wrong("max_new_tokens", f"at most {longest} with the prompt, which is what the decoder holds")
    return steering


class _Reader:
    """Reads the fields of a generation config, as transformers takes them, with one line for what is wrong."""

    def __init__(self, source: str, size: int, config: Mapping[str, Any], generation: Mapping[str, Any] | None) -> None:
        self.source, self.size, self.config = source, size, config
        self.file = "config.json" if generation is None else "generation_config.json"
        if generation is None:  # then transformers takes them from there, where null is as good as nothing
            generation = {"eos_token_id": 50256, **{name: v for name, v in config.items() if v is not None}}
            if "begin_suppress_tokens" not in config:
                generation["begin_suppress_tokens"] = [_BLANK, 50256]
            of_words = ("lang_to_id", "task_to_id", "no_timestamps_token_id", "language", "task", "is_multilingual")
            generation = {name: v for name, v in generation.items() if name not in of_words}
        self.values = generation

    def wrong(self, name: str, expected: str) -> DamagedFileError:
        value = str(self.values.get(name))[:40]
        return DamagedFileError(f"{self.source}: {self.file} has {name} = {value}; expected {expected}")

    def check_supported(self) -> None:
        fields = _UNSUPPORTED | (_OF_BEAMS if (self.number("num_beams") or 1) > 1 else {})
        for name, harmless in fields.items():
            if (value := self.values.get(name)) is not None and value not in harmless:
                what = "which is not computed here; take it out, and the text is the greedy one"
                raise FreudError(f"{self.source}: {self.file} asks for {name} = {str(value)[:40]}, {what}")
        for name in ("lang_to_id", "no_timestamps_token_id"):
            if name in self.values and self.values[name] in (None, {}):
                raise self.wrong(name, "tokens, or no such entry")

    def token(self, value: Any, name: str) -> int:
        if type(value) is not int or not 0 <= value < self.size:
            raise self.wrong(name, f"tokens below {self.size}")
        return value

    def one(self, name: str) -> int | None:
        value = self.values.get(name)
        return None if value is None else self.token(value, name)

    def tokens(self, name: str, *, single: bool = False) -> tuple[int, ...]:
        """The token ids of a list; with `single` a number is a list of one, and without nothing is one of none."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, list):
            if not single:
                raise self.wrong(name, "a list of tokens")
            value = [value]
        return tuple(self.token(item, name) for item in value or [])

    def named_tokens(self, name: str) -> dict[str, int] | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.wrong(name, "tokens by name")
        return {str(key): self.token(item, name) for key, item in value.items()} if value else None

    def number(self, name: str, most: int | None = None) -> int | None:
        value = self.values.get(name)
        if value is not None and (type(value) is not int or value < 1 or (most and value > most)):
            raise self.wrong(name, "a whole number above 0" + (f", at most {most}" if most else ""))
        return value

    def length(self, longest: int) -> int:
        """Where the config says nothing, transformers would stop after 20 tokens, which is nobody's wish."""
        return min(self.number("max_new_tokens") or self.number("max_length") or longest, longest)

    def choice(self, name: str, tokens: dict[str, int] | None) -> str | None:
        """The language or task that the config asks for."""
        value = self.values.get(name)
        if value is None:
            return None
        known = _language_name(value, tokens or {}) if name == "language" and isinstance(value, str) else value
        if not isinstance(known, str) or known not in (tokens or {}):
            names = ", ".join(tokens or {}) or "no such entry, as it has no tokens for one"
            raise self.wrong(name, f"one of {names}" if tokens else names)
        return known

    def forced(self) -> tuple[int | None, ...]:
        """`forced_decoder_ids`: pairs of a place, counted on from 1, and a token or null."""
        pairs = self.values.get("forced_decoder_ids")
        pairs = self.config.get("forced_decoder_ids") if pairs is None else pairs
        if pairs is None:
            return ()
        expected = "pairs of places from 1 on and tokens: [[1, token], [2, token]]"
        if not isinstance(pairs, list) or not pairs or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            raise self.wrong("forced_decoder_ids", expected)
        if pairs[0][0] != 1:  # transformers then forces nothing
            return ()
        if [place for place, _ in pairs] != list(range(1, len(pairs) + 1)):
            raise self.wrong("forced_decoder_ids", expected)
        return tuple(None if token is None else self.token(token, "forced_decoder_ids") for _, token in pairs)


def _openai_steering(size: int, longest: int) -> Steering:
    """OpenAI's vocabularies are text, end, start, languages, six tasks and marks, and 1501 timestamps."""
    from transformers.models.whisper.configuration_whisper import NON_SPEECH_TOKENS, NON_SPEECH_TOKENS_MULTI
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    end = 50256 if size == ENGLISH else 50257
    start = end + 1
    names = list(LANGUAGES)[: 100 if size == WITH_CANTONESE else 99]
    translate = start + 1 + len(names)
    transcribe, start_of_lm, start_of_previous, no_speech, no_timestamps = range(translate + 1, translate + 6)
    symbols = NON_SPEECH_TOKENS if size == ENGLISH else NON_SPEECH_TOKENS_MULTI
    marks = [start, translate, transcribe, start_of_lm, start_of_previous, no_speech]
    several = size != ENGLISH
    return Steering(
        start=start,
        end=end,
        max_length=longest,
        no_timestamps=no_timestamps,
        languages={f"<|{code}|>": start + 1 + i for i, code in enumerate(names)} if several else None,
        tasks={"transcribe": transcribe, "translate": translate} if several else None,
        ends=(end,),
        forced=(None, transcribe) if several else (),
        suppress=(*(token for token in symbols if token < end), *marks),
        suppress_first=(_BLANK, end),
    )


def _language_name(language: str, languages: Mapping[str, int]) -> str | None:
    """A language given as token, code or name, as in `languages`; None if it is not there."""
    for name in (language.lower(), f"<|{language.lower()}|>"):
        if name in languages:
            return name
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    name = f"<|{TO_LANGUAGE_CODE.get(language.lower())}|>"
    return name if name in languages else None


def language_token(steering: Steering, language: str | None, task: str | None) -> str | None:
    """The language that the user asks for, or else the checkpoint, as in `languages`; None if neither does.

    Raises:
        UnknownNameError: the model does not know the language or the task.
    """
    if not steering.multilingual or not steering.languages:
        if language not in {None, "en", "english", "English"} or task not in {None, "transcribe"}:
            raise FreudError("this model only transcribes English; load a multilingual one, such as tiny")
        return None
    if task is not None and task not in (steering.tasks or {}):
        raise UnknownNameError(f"unknown task {task!r}: this model has {', '.join(steering.tasks or ['none'])}")
    if language is None:
        return steering.language
    if (name := _language_name(language, steering.languages)) is None:
        known = ", ".join(name.strip("<|>") for name in steering.languages)
        raise UnknownNameError(f"unknown language {language!r}: this model has {known}")
    return name
