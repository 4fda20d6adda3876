"""The text that Whisper's tokens stand for.

A Hugging Face folder says it in `tokenizer.json`, or in `vocab.json` and the files beside it. OpenAI's vocabularies are
known without: from the tables of the openai-whisper package, if it is installed, or a model on the Hugging Face hub.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freud.errors import DamagedFileError, FreudError
from freud.models.checkpoints import Checkpoint, download_tokenizer
from freud.models.files import one_line, read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ENGLISH, MULTILINGUAL, WITH_CANTONESE = 51864, 51865, 51866  # sizes of OpenAI's three vocabularies
OPENAI = {ENGLISH, MULTILINGUAL, WITH_CANTONESE}
# `text_checksum` of OpenAI's two tables; a tokenizer.json of the same text has the same.
CHECKSUMS = {
    "gpt2": "acfe98314817f4375b03eb63ecfa42ad67adc19f77199e612d3551a9350697ac",
    "multilingual": "c3e28c60daa5956c08e02a08e82dc6ef4c8882805db4940d59343638234b6c6e",
}
_FILES = ("tokenizer.json", "vocab.json")  # the first that is there is read
_TIME = re.compile(r"<\|\d+\.\d+\|>")  # how tokenizers write a timestamp, which is no text

Text = Callable[[Sequence[int]], str]


def text_decoder(checkpoint: Checkpoint) -> Text:
    """A function from token ids to text, without special tokens and timestamps.

    Raises:
        FreudError: there is none.
        DamagedFileError: a file of the vocabulary makes no sense.
    """
    folder, size = checkpoint.folder, checkpoint.config.get("vocab_size")
    files = [] if folder is None else [name for name in _FILES if (folder / name).is_file()]
    if folder is not None and files and not checkpoint.openai:
        return _text(_read_tokenizer(folder))
    if size not in OPENAI:
        raise FreudError(f"{checkpoint.source}: has no tokenizer.json, which transcription needs")
    package = importlib.util.find_spec("whisper")
    name = "gpt2" if size == ENGLISH else "multilingual"
    for place in (package.submodule_search_locations or []) if package else []:
        if (table := Path(place) / "assets" / f"{name}.tiktoken").is_file():
            return _from_table(table)
    if folder is not None and "tokenizer.json" in files:  # beside a `.pt` may lie anything
        tokenizer = _read_tokenizer(folder)
        if text_checksum(tokenizer, size) == CHECKSUMS[name]:
            return _text(tokenizer)
    repo = {ENGLISH: "openai/whisper-tiny.en", MULTILINGUAL: "openai/whisper-tiny"}.get(size, "openai/whisper-large-v3")
    return _text(_read_tokenizer(download_tokenizer(repo).parent))


def text_checksum(tokenizer: Tokenizer, size: int) -> str:
    """SHA-256 of a tokenizer's tokens below the first special one of OpenAI's vocabulary of a size, in order."""
    digest = hashlib.sha256()
    for token in range(50256 if size == ENGLISH else 50257):
        digest.update((tokenizer.id_to_token(token) or "").encode() + b"\n")
    return digest.hexdigest()


def _text(tokenizer: Tokenizer) -> Text:
    return lambda ids: _TIME.sub("", tokenizer.decode(list(ids), skip_special_tokens=True))


def _read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder, with what its other files add, as transformers reads them."""
    from tokenizers import Tokenizer

    path = next(file for name in _FILES if (file := folder / name).is_file())
    try:
        changes, special = _added_tokens(folder)
        if path.name == "tokenizer.json" and not changes:
            tokenizer = Tokenizer.from_file(str(path))
        else:
            value = read_json(path)
            if path.name == "vocab.json":
                value = {"model": {"type": "BPE", "vocab": value, "merges": []}, "decoder": _BYTES, "added_tokens": []}
            added = {entry["id"]: entry for entry in value["added_tokens"]} | changes
            value["added_tokens"] = [added[token] for token in sorted(added)]
            tokenizer = Tokenizer.from_str(json.dumps(value))
        tokenizer.add_special_tokens([name for name in sorted(special) if tokenizer.token_to_id(name) is not None])
        return tokenizer
    except FreudError:
        raise
    except Exception as error:  # tokenizers raises nothing more specific
        raise DamagedFileError(f"{path}: not a tokenizer ({one_line(error)}); download the model again") from None


_SPECIAL = (
    *("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"),
    *("additional_special_tokens", "extra_special_tokens"),
)
_BYTES = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}


def _added_tokens(folder: Path) -> tuple[dict[int, dict[str, Any]], set[str]]:
    """Tokens by id that files beside the vocabulary add to it, or say something else of; and special ones by name."""
    added: dict[int, dict[str, Any]] = {}
    names: set[str] = set()
    if (path := folder / "added_tokens.json").is_file():
        for content, token in read_json(path).items():
            added[token] = _added(token, content, special=False)
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        values = read_json(folder / file) if (folder / file).is_file() else {}
        for name in _SPECIAL:
            entries = values.get(name)
            for entry in entries if isinstance(entries, list) else [entries]:
                names.add(str(entry["content"] if isinstance(entry, dict) else entry))
        for token, entry in (values.get("added_tokens_decoder") or {}).items():
            added[int(token)] = _added(int(token), entry["content"], special=bool(entry.get("special", False)))
    return added, names


def _added(token: int, content: str, *, special: bool) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": content, "special": special, **flags}


def _from_table(path: Path) -> Text:
    """Lines of a token's bytes in base 64 and its rank; special tokens are not among them."""
    pairs = (line.split() for line in path.read_bytes().splitlines() if line)
    texts = {int(rank): base64.b64decode(token) for token, rank in pairs}
    return lambda ids: b"".join(texts.get(token, b"") for token in ids).decode("utf-8", errors="replace")
