"""What the readers of SAE files share: tensors of the right shape, and one line for what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from freud.errors import DamagedFileError, FreudError
from freud.models.files import one_line


def safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        DamagedFileError: it cannot be read.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise DamagedFileError(f"{path}: damaged ({one_line(error)}); train or download it again") from None


def k(values: Mapping[str, Any], d_sae: int, path: Path, name: str = "k") -> int:
    """The number of active latents.

    Raises:
        FreudError: it is not a whole number between 1 and d_sae.
    """
    value = values.get(name)
    if type(value) is not int or not 1 <= value <= d_sae:
        raise FreudError(f"{path}: {name} is {value!r}; expected a whole number between 1 and d_sae {d_sae}")
    return value


def check_width(values: Mapping[str, Any], actual: Mapping[str, int], path: Path) -> None:
    """Compare sizes that a configuration gives with those of the tensors.

    Raises:
        DamagedFileError: one differs.
    """
    for name, size in actual.items():
        if values.get(name, size) != size:
            raise DamagedFileError(
                f"{path}: {name} is {values[name]!r}, but the tensors have {size}; download it again"
            )


def check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse weights that are not numbers.

    Raises:
        DamagedFileError: a tensor has NaN or infinity; an infinite threshold stands for a latent that is off.
    """
    for name, values in tensors.items():
        bad = values.isnan() if name == "threshold" else ~torch.isfinite(values)
        if bool(bad.any()):
            raise DamagedFileError(f"{path}: {name} has {int(bad.sum())} values that are not finite; train it again")


def tensor(values: Any, name: str, path: Path, shape: tuple[int | None, ...]) -> Tensor:
    """Tensor `name` out of a checkpoint's dict, as float32 of the given shape; None stands for any size.

    Raises:
        DamagedFileError: it is missing, no tensor, of another shape, or claims more numbers than the file holds.
    """
    found = values.get(name)
    if not isinstance(found, Tensor) or found.layout != torch.strided or found.device.type != "cpu":
        raise DamagedFileError(f"{path}: has no tensor {name}; download it again")
    sizes = tuple(found.shape)
    if len(sizes) != len(shape) or any(want not in {None, size} for size, want in zip(sizes, shape, strict=True)):
        wanted = "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
        raise DamagedFileError(f"{path}: {name} has shape {list(sizes)}; expected {wanted}")
    if found.numel() * found.element_size() > found.untyped_storage().nbytes():
        raise DamagedFileError(f"{path}: {name} claims {found.numel()} numbers, more than the file holds; refused")
    return found.detach().to(torch.float32, copy=True)
