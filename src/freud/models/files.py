"""Reads the files of a model: JSON objects and tensors, whatever is wrong with them said in one line.

Nothing here runs code from a file: of pickles only torch's tensors and plain containers are read.
"""

from __future__ import annotations

import json
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from freud.errors import DamagedFileError


def one_line(error: BaseException) -> str:
    """The start of an error's message, without line breaks."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def read_json(path: Path, what: str = "the model") -> dict[str, Any]:
    """A JSON object that came with a download; `what` is to be downloaded again if it is not one.

    Raises:
        DamagedFileError: it is not one.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}: not valid JSON ({one_line(error)}); download {what} again") from None
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: expected a JSON object; download {what} again")
    return value


def read_tensors(path: Path) -> dict[str, Any]:
    """What a `.safetensors` file or a dict saved by torch.save holds, by name, on the CPU.

    Raises:
        DamagedFileError: it is cut short, altered, or holds code.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError) as error:
        raise DamagedFileError(f"{path}: cut short or altered ({one_line(error)}); download it again") from None


def _read_pickled(path: Path) -> dict[str, Any]:
    # What is no archive is of PyTorch before 1.6, or not of PyTorch at all: torch.load tells.
    stored = check_archive(path) if _is_archive(path) else None
    try:
        with warnings.catch_warnings(action="ignore"):
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower():
            raise DamagedFileError(f"{path}: holds code, not only tensors; refused, use safetensors") from None
        raise DamagedFileError(f"{path}: not a PyTorch checkpoint; download it again") from None
    except Exception as error:  # on damaged bytes torch's reader raises almost anything
        raise DamagedFileError(f"{path}: cut short or altered ({one_line(error)}); download it again") from None
    if not isinstance(value, dict):
        raise DamagedFileError(f"{path}: expected a dict of tensors, found {type(value).__name__}")
    if stored is not None:
        check_storages(value, stored, path)
    return {str(name): entry for name, entry in value.items()}


_DIRECTORY = 0x10  # MS-DOS's mark, at which torch's reader reads nothing


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"


def check_archive(path: Path) -> int:
    """Bytes in the tensors' records of an archive as torch.save writes it: whole, uncompressed, with right checksums.

    torch.load compares no checksum, and gives whatever was in memory for a record that it cannot read.

    Raises:
        DamagedFileError: it is not such an archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                raise DamagedFileError(f"{path}: has compressed records, which torch.save never writes; refused")
            if any(r.file_size != r.compress_size or r.external_attr & _DIRECTORY for r in records):
                raise DamagedFileError(f"{path}: altered: a record has two sizes, or is no file; download it again")
            if sum(record.file_size for record in records) > path.stat().st_size:
                raise DamagedFileError(f"{path}: its records claim more bytes than the file has; download it again")
            damaged = archive.testzip()
    except DamagedFileError:
        raise
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError):
        raise DamagedFileError(
            f"{path}: cut short or altered, or not a checkpoint written by PyTorch 1.6 or later; download it again"
        ) from None
    if damaged:
        raise DamagedFileError(f"{path}: altered: its record {damaged[:80]!r} has a wrong checksum; download it again")
    return sum(record.file_size for record in records if "/data/" in record.filename)


def check_storages(value: Any, stored: int, path: Path) -> None:
    """Compare what tensors in nested containers claim to hold with the bytes that a file stores for them.

    A storage that claims more than its record goes on into what follows it: neither an error nor its own numbers.

    Raises:
        DamagedFileError: they claim more.
    """
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(value)}
    if sum(storages.values()) > stored:
        raise DamagedFileError(f"{path}: its tensors claim more bytes than it stores; download it again")


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor on the CPU in nested containers."""
    if isinstance(value, torch.Tensor):
        if value.layout == torch.strided and value.device.type == "cpu":
            yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)
