"""Prompt, tokens and text are those of transformers' `generate` for the same folder, however its files are altered.

Each row of a table alters the generation config, the configuration or the tokenizer of a small folder. Where
transformers raises, ours is refused in one line.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import whisper
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer
from transformers.models.whisper.configuration_whisper import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration
from transformers.models.whisper.tokenization_whisper import LANGUAGES

import freud
from freud.discovery import demo_folder
from freud.errors import FreudError
from freud.models import whisper_text, whisper_tokens, whisper_vocabulary
from freud.models.catalog import nano_folder
from freud.models.checkpoints import Checkpoint
from freud.models.whisper_decoding import Search, decode
from freud.models.whisper_layers import Cache

END, START, HINDI, TRANSLATE, TRANSCRIBE, SILENT = 50257, 50258, 50276, 50358, 50359, 50363
GENERATION = {
    "decoder_start_token_id": START,
    "eos_token_id": END,
    "pad_token_id": END,
    "bos_token_id": END,
    "no_timestamps_token_id": SILENT,
    "lang_to_id": {f"<|{code}|>": 50259 + number for number, code in enumerate(list(LANGUAGES)[:99])},
    "task_to_id": {"transcribe": TRANSCRIBE, "translate": TRANSLATE},
    "is_multilingual": True,
    "max_length": 448,
    "suppress_tokens": [],
    "begin_suppress_tokens": [],
    "prev_sot_token_id": 50361,
}
NEW_TOKENS = 6
ABSENT = object()


@pytest.fixture(scope="module")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Whisper with random weights and OpenAI's multilingual vocabulary, whose first tokens tell its prompt."""
    folder = tmp_path_factory.mktemp("prompts") / "random"
    sizes = {f"{half}_{name}": 1 for half in ("encoder", "decoder") for name in ("layers",)}
    sizes |= {f"{half}_{name}": 2 for half in ("encoder", "decoder") for name in ("attention_heads",)}
    config = WhisperConfig(
        vocab_size=51865, d_model=32, **sizes, encoder_ffn_dim=32, decoder_ffn_dim=32, max_source_positions=100,
        max_target_positions=64, init_std=0.4, pad_token_id=END, bos_token_id=END, eos_token_id=END,
        decoder_start_token_id=START, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        WhisperForConditionalGeneration(config).save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    return folder


def alter(path: Path, values: dict[str, Any] | None, changes: dict[str, Any]) -> None:
    """Write a JSON object with changes; `ABSENT` takes an entry out, and no values mean no file."""
    if values is None:
        path.unlink(missing_ok=True)
        return
    path.write_text(json.dumps({k: v for k, v in {**values, **changes}.items() if v is not ABSENT}))


def altered(base: Path, to: Path, generation: dict[str, Any] | None, config: dict[str, Any] | None = None) -> Path:
    """A copy of the random folder with changes; `generation` None leaves its file out."""
    to.mkdir()
    (to / "model.safetensors").symlink_to(base / "model.safetensors")
    alter(to / "config.json", json.loads((base / "config.json").read_text()), config or {})
    alter(to / "generation_config.json", None if generation is None else GENERATION, generation or {})
    return to


def theirs(folder: Path, mels: Sequence[torch.Tensor], **asked: Any) -> list[list[int]]:
    """Prompt and tokens of transformers for each input, with the end."""
    model = WhisperForConditionalGeneration.from_pretrained(folder)
    if getattr(model.generation_config, "return_timestamps", False):
        asked["return_timestamps"] = False  # ours never asks for them
    asked |= {"return_dict_in_generate": True, "force_unique_generate_call": True}
    with torch.inference_mode():
        return [model.generate(mel, **asked).sequences[0].tolist() for mel in mels]


def ours(
    folder: Path, mels: Sequence[torch.Tensor], language: str | None = None, task: str | None = None, **search: Any
) -> tuple[list[list[int]], tuple[int, ...]]:
    """Prompt and tokens of ours for each input, without the end; and the tokens that end a text."""
    model: Any = freud.models.load(str(folder))
    asked = whisper_tokens.language_token(model.steering, language, task)
    texts = []
    with torch.inference_mode():
        for mel in mels:
            encoded = model.run(mel)
            prompt = whisper_text.prompt_for(model, encoded, asked, task, Cache())
            (text,) = decode(model.decoder, encoded, prompt, model.steering, Search(**search))
            texts.append([*prompt, *text.tokens])
    return texts, model.steering.ends


def inputs(*seeds: int) -> list[torch.Tensor]:
    return [torch.randn(1, 80, 200, generator=torch.Generator().manual_seed(seed)) / 2 for seed in seeds]


def forced(*tokens: int | None, first: int = 1) -> list[list[int | None]]:
    return [[first + number, token] for number, token in enumerate(tokens)]


TABLE: dict[str, dict[str, Any]] = {
    "as it is": {},
    "language": {"generation": {"language": "hi"}},
    "language by name": {"generation": {"language": "Hindi", "task": "transcribe"}},
    "language by token": {"generation": {"language": "<|hi|>"}},
    "language and task": {"generation": {"language": "de", "task": "translate"}},
    "task alone": {"generation": {"task": "translate"}},
    "language without tasks": {"generation": {"language": "hi", "task_to_id": ABSENT}},
    "language for one language": {"generation": {"language": "hi", "is_multilingual": False}},
    "one language, many tokens": {"generation": {"is_multilingual": False}},
    "forced": {"generation": {"forced_decoder_ids": forced(HINDI, TRANSCRIBE, SILENT)}},
    "forced to translate": {"generation": {"forced_decoder_ids": forced(HINDI, TRANSLATE)}},
    "forced, language open": {"generation": {"forced_decoder_ids": forced(None, TRANSLATE)}},
    "forced, task open": {"generation": {"forced_decoder_ids": forced(HINDI, None)}},
    "forced, language open and no languages": {
        "generation": {"forced_decoder_ids": forced(None, TRANSLATE), "lang_to_id": ABSENT}
    },
    "forced from the second place": {"generation": {"forced_decoder_ids": forced(TRANSLATE, first=2)}},
    "forced, and a task": {"generation": {"forced_decoder_ids": forced(HINDI, TRANSCRIBE), "task": "translate"}},
    "forced in config.json": {"config": {"forced_decoder_ids": forced(HINDI, TRANSLATE)}},
    "forced in both": {
        "generation": {"forced_decoder_ids": forced(50261, TRANSLATE)},
        "config": {"forced_decoder_ids": forced(HINDI, TRANSCRIBE)},
    },
    "no languages": {"generation": {"lang_to_id": ABSENT}},
    "no mark for no timestamps": {"generation": {"no_timestamps_token_id": ABSENT}},
    "timestamps": {"generation": {"return_timestamps": True}},
    "suppressed": {"generation": {"suppress_tokens": list(range(0, 50000, 2))}},
    "suppressed first": {"generation": {"begin_suppress_tokens": list(range(1, 50000, 2))}},
    "suppressed null": {
        "generation": {"suppress_tokens": None, "begin_suppress_tokens": None},
        "config": {"suppress_tokens": list(range(0, 50000, 16)), "begin_suppress_tokens": list(range(1, 50000, 16))},
    },
    "several ends": {"generation": {"eos_token_id": [END, *range(0, 50000, 9)], "pad_token_id": END}},
    "one end in a list": {"generation": {"eos_token_id": [END]}},
    "beams": {"generation": {"num_beams": 3}},
    "sampling that generate turns off": {"generation": {"do_sample": True, "temperature": 0.7, "top_k": 5}},
    "a length": {"generation": {"max_length": 5}, "new": None},
    "the whole length": {"new": None},
    "the user's length before the checkpoint's": {"generation": {"max_length": 3}},
    "the user's length before the checkpoint's new tokens": {"generation": {"max_new_tokens": 3}},
    "new tokens": {"generation": {"max_new_tokens": 7}, "new": None},
    "no generation config": {"generation": None},
    "no generation config, forced": {"generation": None, "config": {"forced_decoder_ids": forced(50259, TRANSCRIBE)}},
    "no generation config, suppressed": {
        "generation": None,
        "config": {"suppress_tokens": list(range(0, 50000, 16)), "begin_suppress_tokens": list(range(1, 50000, 16))},
    },
    "no generation config, defaults": {"generation": None, "config": {"begin_suppress_tokens": ABSENT}},
    "the user's language": {"generation": {"language": "hi", "task": "translate"}, "asked": {"language": "de"}},
    "the user's task": {"generation": {"language": "hi", "task": "translate"}, "asked": {"task": "transcribe"}},
    "the user's language before forced": {
        "generation": {"forced_decoder_ids": forced(HINDI, TRANSLATE)}, "asked": {"language": "de"}
    },
    "the user's task before forced": {
        "generation": {"forced_decoder_ids": forced(HINDI, TRANSCRIBE)}, "asked": {"task": "translate"}
    },
    "embeddings scaled, which transformers does not": {"config": {"scale_embedding": True}},
    "dropout": {"config": {"dropout": 0.5, "attention_dropout": 0.5, "encoder_layerdrop": 1.0}},
    "augmentation": {"config": {"apply_spec_augment": True, "mask_time_prob": 1.0}},
    "another activation": {"config": {"activation_function": "relu"}},
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE)
def test_prompt_and_tokens_are_those_of_generate(random_folder: Path, tmp_path: Path, row: str) -> None:
    case = {"generation": {}, "config": {}, "asked": {}, "new": NEW_TOKENS, **TABLE[row]}
    folder = altered(random_folder, tmp_path / "altered", case["generation"], case["config"])
    length = {} if case["new"] is None else {"max_new_tokens": case["new"]}
    tokens, ends = ours(folder, inputs(1), **case["asked"], **length)
    expected = theirs(folder, inputs(1), **case["asked"], **length)
    for text in expected:
        while text[-1] in ends:
            del text[-1]
    assert tokens == expected


REFUSED: dict[str, dict[str, Any]] = {
    "decoder_start_token_id": {"decoder_start_token_id": ABSENT},
    "decoder_start_token_id = [1, 2]": {"decoder_start_token_id": [1, 2]},
    "lang_to_id": {"lang_to_id": None},
    "no_timestamps_token_id": {"no_timestamps_token_id": None},
    "language": {"language": "klingon"},
    "language = hi": {"language": "hi", "lang_to_id": ABSENT},
    "task": {"task": "sing"},
    "task = translate": {"task": "translate", "task_to_id": ABSENT},
    "forced_decoder_ids": {"forced_decoder_ids": []},
    "forced_decoder_ids = [[1, 50276]": {"forced_decoder_ids": [[1, HINDI], [3, TRANSLATE]]},
    "max_new_tokens": {"max_new_tokens": 500},
    "": dict.fromkeys(GENERATION, ABSENT),
}


@pytest.mark.parametrize("field", REFUSED)
def test_where_transformers_raises_ours_names_the_field(random_folder: Path, tmp_path: Path, field: str) -> None:
    folder = altered(random_folder, tmp_path / "altered", REFUSED[field])
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever it is that transformers raises
        theirs(folder, inputs(1))
    with pytest.raises(FreudError, match=r"generation_config\.json") as caught:
        ours(folder, inputs(1))
    assert field in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lang_to_id", {}), ("lang_to_id", [1]), ("lang_to_id", {"<|en|>": 10**9}), ("task_to_id", "transcribe"),
        ("eos_token_id", None), ("eos_token_id", []), ("eos_token_id", -1), ("eos_token_id", True),
        ("no_timestamps_token_id", [50363]), ("max_length", "448"), ("max_length", 0), ("num_beams", 50257),
        ("suppress_tokens", 5), ("begin_suppress_tokens", [[1]]), ("forced_decoder_ids", [[1, "x"]]),
        ("language", ["hi"]), ("task", 3),
    ],
)  # fmt: skip
def test_fields_without_a_meaning_are_named(random_folder: Path, tmp_path: Path, field: str, value: Any) -> None:
    folder = altered(random_folder, tmp_path / "altered", {field: value})
    with pytest.raises(FreudError, match=rf"generation_config\.json has {field} = ") as caught:
        ours(folder, inputs(1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"repetition_penalty": 1.3},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 3},
        {"forced_eos_token_id": END},
        {"bad_words_ids": [[5]]},
        {"no_speech_threshold": 0.6},
        {"num_beams": 2, "length_penalty": 2.0},
    ],
)
def test_what_would_change_the_text_is_refused_by_name(
    random_folder: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = altered(random_folder, tmp_path / "altered", change)
    name = list(change)[-1]
    with pytest.raises(FreudError, match=rf"generation_config\.json asks for {name} = ") as caught:
        ours(folder, inputs(1))
    assert "\n" not in str(caught.value)


def test_values_that_do_nothing_are_no_reason_to_refuse(random_folder: Path, tmp_path: Path) -> None:
    change = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0, "length_penalty": 2.0}
    folder = altered(random_folder, tmp_path / "altered", {**change, "forced_eos_token_id": None})
    assert ours(folder, inputs(1), max_new_tokens=5)[0] == theirs(folder, inputs(1), max_new_tokens=5)


# ---- texts


def with_word(folder: Path, where: str, number: int = 265, content: str = "silly", *, special: bool = False) -> None:
    """Add a word to nano's tokenizer, by one of the files that can."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": not special, "special": special}
    if where == "tokenizer.json":
        value = json.loads((folder / where).read_text())
        value["added_tokens"].append({"id": number, "content": content, **flags})
    elif where == "tokenizer_config.json":
        value = json.loads((folder / where).read_text())
        value.setdefault("added_tokens_decoder", {})[str(number)] = {"content": content, **flags}
    else:
        value = {content: number}
    (folder / where).write_text(json.dumps(value))


def split_tokenizer(folder: Path) -> None:
    """As folders were before tokenizer.json: vocab.json, merges.txt and added_tokens.json."""
    value = json.loads((folder / "tokenizer.json").read_text())
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in value["model"]["merges"]]
    (folder / "vocab.json").write_text(json.dumps(value["model"]["vocab"]))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
    (folder / "added_tokens.json").write_text(
        json.dumps({**{entry["content"]: entry["id"] for entry in value["added_tokens"]}, "silly": 265})
    )
    (folder / "tokenizer.json").unlink()


TOKENIZERS: dict[str, Any] = {
    "as it is": lambda folder: None,
    "a word": lambda folder: with_word(folder, "tokenizer.json"),
    "a special word": lambda folder: with_word(folder, "tokenizer.json", special=True),
    "a word with a space": lambda folder: with_word(folder, "tokenizer.json", content=" of noise"),
    "a word beyond a gap": lambda folder: with_word(folder, "tokenizer.json", 270),
    "a word in the configuration": lambda folder: with_word(folder, "tokenizer_config.json"),
    "a special word in the configuration": lambda folder: with_word(folder, "tokenizer_config.json", special=True),
    "a word in a file of its own": lambda folder: with_word(folder, "added_tokens.json"),
    "two names for a word": lambda folder: [
        with_word(folder, "tokenizer.json"), with_word(folder, "tokenizer_config.json", content="other")
    ],
    "timestamps": lambda folder: [
        with_word(folder, "tokenizer.json", 265 + i, f"<|{i / 50:.2f}|>") for i in range(6)
    ],
    "a word behind timestamps": lambda folder: [
        *(with_word(folder, "tokenizer.json", 265 + i, f"<|{i / 50:.2f}|>") for i in range(3)),
        with_word(folder, "tokenizer.json", 268),
    ],
    "no tokenizer.json": split_tokenizer,
}  # fmt: skip


@pytest.mark.parametrize("row", TOKENIZERS)
def test_texts_are_those_of_the_tokenizer(tmp_path: Path, row: str) -> None:
    folder = tmp_path / "words"
    shutil.copytree(nano_folder(), folder)
    TOKENIZERS[row](folder)
    expected = AutoTokenizer.from_pretrained(folder)
    read = whisper_vocabulary.text_decoder(Checkpoint("words", {"vocab_size": 300}, {}, folder=folder))
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        tokens = torch.randint(0, 275, (12,), generator=generator)
        tokens[::3] = torch.randint(250, 275, (4,), generator=generator)
        if 257 in tokens or 262 in tokens:  # transformers takes these for the start and the text before it
            continue
        assert read(tokens.tolist()) == expected.decode(tokens, skip_special_tokens=True)


def test_added_words_are_heard(tmp_path: Path) -> None:
    """A word beyond the vocabulary has a row in the embedding, is decoded and is in the text."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "added"
    shutil.copytree(nano_folder(), folder)
    with_word(folder, "tokenizer.json")
    weights = load_file(folder / "model.safetensors")
    embedding = weights["model.decoder.embed_tokens.weight"]
    weights["model.decoder.embed_tokens.weight"] = torch.cat([embedding, embedding[82:83] * 1.05])  # louder than "s"
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    alter(folder / "config.json", json.loads((folder / "config.json").read_text()), {"vocab_size": 266})
    model: Any = freud.models.load(str(folder))
    corpus = freud.corpus.read(demo_folder())
    spoken = next(clip for clip in corpus if clip.transcript and "s" in clip.transcript)
    samples = freud.audio.load(corpus.audio_path(spoken))
    heard = model.transcribe(samples)
    assert "silly" in heard.text
    tokens = WhisperForConditionalGeneration.from_pretrained(folder).generate(model.log_mel([samples]))[0]
    assert heard.text == AutoTokenizer.from_pretrained(folder).decode(tokens, skip_special_tokens=True).strip()


def test_a_pt_has_openais_vocabulary_whatever_lies_beside_it(
    make_openai: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shutil.copy(make_openai(n_vocab=51865)[1], tmp_path / "model.pt")
    shutil.copy(nano_folder() / "tokenizer.json", tmp_path / "tokenizer.json")
    model: Any = freud.models.load(str(path))
    assert model.text([2425, 1002]) == " Hello world"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)  # without the package a foreign one is no help
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FreudError, match="cannot download openai/whisper-tiny from"):
        whisper_vocabulary.text_decoder(model.checkpoint)


@pytest.mark.shared
def test_a_tokenizer_of_openais_vocabulary_beside_a_pt_is_used(
    shared: Path, make_openai: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shutil.copy(make_openai(n_vocab=51864)[1], tmp_path / "model.pt")
    shutil.copy(shared / "models" / "whisper-tiny.en" / "tokenizer.json", tmp_path / "tokenizer.json")
    model: Any = freud.models.load(str(path))
    from_table = model.text(range(0, 50256, 7))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert whisper_vocabulary.text_decoder(model.checkpoint)(range(0, 50256, 7)) == from_table


def test_checksums_are_those_of_openais_tables() -> None:
    letters = byte_letters()
    for name, size in (("gpt2", whisper_vocabulary.ENGLISH), ("multilingual", whisper_vocabulary.MULTILINGUAL)):
        path = Path(whisper.__file__).parent / "assets" / f"{name}.tiktoken"
        table = [line.split() for line in path.read_bytes().splitlines() if line]
        vocabulary = {"".join(letters[byte] for byte in base64.b64decode(token)): int(rank) for token, rank in table}
        tokenizer = Tokenizer(models.BPE(vocabulary, []))
        assert whisper_vocabulary.text_checksum(tokenizer, size) == whisper_vocabulary.CHECKSUMS[name]


def byte_letters() -> dict[int, str]:
    """GPT-2's writing of bytes: printable ones as they are, the others as letters from 256 on, in order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}
