"""Which models there are by name, and where a name leads. Costs nothing to import.

A name is, in this order: `nano` or a short name below, a folder, an OpenAI `.pt` file, a Hugging Face id.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import Literal

from freud.errors import UnknownNameError

NANO = "nano"

_SIZES = ["tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en"]
SHORT_NAMES: dict[str, str] = {
    **{size: f"openai/whisper-{size}" for size in _SIZES},
    "large-v1": "openai/whisper-large",
    "large-v2": "openai/whisper-large-v2",
    "large-v3": "openai/whisper-large-v3",
    "large": "openai/whisper-large-v3",  # the name means the newest to openai-whisper, the oldest to the hub
    "turbo": "openai/whisper-large-v3-turbo",
}

Kind = Literal["nano", "folder", "openai", "hub"]


def available() -> list[str]:
    """The names that `load` knows by heart."""
    return [NANO, *SHORT_NAMES]


def nano_folder() -> Path:
    """Where the bundled model is."""
    return Path(str(resources.files("freud") / "bundled" / "nano"))


def locate(name: str) -> tuple[Kind, str]:
    """What kind of model `name` means, and its path or Hugging Face id.

    Raises:
        UnknownNameError: it is none of those; the message lists what there is.
    """
    path = Path(name).expanduser()
    if name == NANO:
        return "nano", str(nano_folder())
    if name in SHORT_NAMES:
        return "hub", SHORT_NAMES[name]
    if path.is_dir():
        return "folder", str(path)
    if path.is_file():
        return "openai", str(path)
    names = ", ".join(available())
    known = f"the known names are {names}; or give a Hugging Face id, a folder, or an OpenAI .pt file"
    if name.startswith((".", "/", "~")) or path.suffix in {".pt", ".pth", ".safetensors", ".bin"}:
        raise UnknownNameError(f"{name}: no such file or folder; {known}")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return "hub", name
    raise UnknownNameError(f"unknown model {name!r}: {known}")
