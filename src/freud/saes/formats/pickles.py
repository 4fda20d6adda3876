"""Reads PyTorch checkpoints of other tools without running what is pickled in them.

Only tensors, plain containers and numpy scalars come through. Tensors are mapped from the file, not copied, so an
optimizer's state beside the weights costs nothing, and a tensor that claims more numbers than
the file holds is refused.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freud.errors import DamagedFileError, FreudError
from freud.models.files import one_line

# What a numpy scalar is pickled as, by numpy 1 and by numpy 2; the original FREUD keeps one in `best_val_loss`.
_SCALARS: list[Any] = [
    (np.core.multiarray.scalar if np.__version__ < "2" else np._core.multiarray.scalar, name)  # pyright: ignore
    for name in ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
]
_DTYPES: list[Any] = [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType]


def read(path: Path) -> Any:
    """What `torch.save` wrote to `path`, tensors mapped from the file.

    Raises:
        FreudError: there is no such file.
        DamagedFileError: it is cut short, not a checkpoint, or holds anything that would have to be run to be read.
    """
    if not path.is_file():
        raise FreudError(f"{path}: no such file")
    stored = _check_archive(path)
    try:
        with warnings.catch_warnings(action="ignore"), torch.serialization.safe_globals([*_SCALARS, *_DTYPES]):
            value = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error).lower():
            raise DamagedFileError(
                f"{path}: holds code, not only tensors and numbers; refused: get it in safetensors, or convert it "
                "where you trust it"
            ) from None
        raise DamagedFileError(f"{path}: not a PyTorch checkpoint; download it again") from None
    except Exception as error:  # on damaged bytes torch's reader raises almost anything
        raise DamagedFileError(f"{path}: cut short or altered ({one_line(error)}); download it again") from None
    # A mapped storage that claims more than its record goes on into the next one: neither an error nor its own numbers.
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(value)}
    if sum(storages.values()) > stored:
        raise DamagedFileError(f"{path}: its tensors claim more bytes than it stores; download it again")
    return value


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Every tensor on the CPU in nested containers."""
    if isinstance(value, torch.Tensor):
        if value.layout == torch.strided and value.device.type == "cpu":
            yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors(item)


def _check_archive(path: Path) -> int:
    """Bytes in the tensors' records of a zip archive as torch.save writes it: whole, its records uncompressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):  # the second: of a version to come
        raise DamagedFileError(
            f"{path}: cut short, or not a checkpoint written by PyTorch 1.6 or later; download it again"
        ) from None
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise DamagedFileError(f"{path}: has compressed records, which torch.save never writes; refused")
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise DamagedFileError(f"{path}: its records claim more bytes than the file has; download it again")
    return sum(record.file_size for record in records if "/data/" in record.filename)
