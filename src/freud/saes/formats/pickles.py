"""Reads PyTorch checkpoints of other tools without running what is pickled in them.

Only tensors, plain containers and numpy scalars come through. Tensors are mapped from the file, not copied, so an
optimizer's state beside the weights costs nothing, and a tensor that claims more numbers than
the file holds is refused.
"""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freud.errors import DamagedFileError, FreudError
from freud.models.files import check_archive, check_storages, one_line

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
    stored = check_archive(path)
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
    check_storages(value, stored, path)
    return value
