"""What the readers of SAE files share: tensors of the right shape, and one line for what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from freud.errors import DamagedFileError, FreudError
from freud.models.files import one_line
from freud.models.tensor_names import FLOATS


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


def refuse_unknown(tensors: Collection[str], known: Collection[str], path: Path) -> None:
    """Refuse a file with tensors that its kind of SAE does not have: they would be left out in silence.

    Raises:
        FreudError: there is one; the message names it.
    """
    if unknown := sorted(str(name) for name in set(tensors) - set(known)):
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise FreudError(
            f"{path}: holds {unknown[0]}{more}, which is not a tensor of its kind; expected {', '.join(known)}"
        )


def refuse_settings(config: Mapping[str, Any], known: Collection[str], path: Path) -> None:
    """Refuse a configuration with settings that are on and not known: they may change what is computed.

    Raises:
        FreudError: there is one; the message names it.
    """
    for name, value in config.items():
        if name not in known and value:
            what = "a setting that is not known here and may change the latents; take it out if it does not"
            raise FreudError(f"{path}: {name} is {str(value)[:40]}, {what}")


def switch(config: Mapping[str, Any], name: str, path: Path, default: bool = False) -> bool:
    """A setting that is on or off.

    Raises:
        FreudError: it is something else.
    """
    value = config.get(name, default)
    if not isinstance(value, bool):
        raise FreudError(f"{path}: {name} is {str(value)[:40]!r}; expected true or false")
    return value


def check_floats(tensor: Tensor, name: str, path: Path) -> None:
    """Refuse a tensor that is quantized.

    Raises:
        DamagedFileError: its numbers are not floating-point ones that can be used as they are.
    """
    if tensor.dtype not in FLOATS:
        dtype = str(tensor.dtype).removeprefix("torch.")
        hint = "if it is quantized, dequantize it and save it in float32"
        raise DamagedFileError(f"{path}: {name} is of dtype {dtype}, not of floating-point numbers; {hint}")


def tensor(values: Any, name: str, path: Path, shape: tuple[int | None, ...], *, whole: bool = False) -> Tensor:
    """Tensor `name` out of a checkpoint's dict, as float32 of the given shape; None stands for any size.

    Args:
        values: the dict.
        name: of the tensor.
        path: of the file.
        shape: sizes, of which None is any.
        whole: it may be of whole numbers.

    Raises:
        DamagedFileError: it is missing, no tensor, of another shape, or claims more numbers than the file holds.
    """
    stored = values.get(name)
    if not isinstance(stored, Tensor) or stored.layout != torch.strided or stored.device.type != "cpu":
        raise DamagedFileError(f"{path}: has no tensor {name}; download it again")
    if not whole or stored.dtype not in {torch.int16, torch.int32, torch.int64}:
        check_floats(stored, name, path)
    sizes = tuple(stored.shape)
    if len(sizes) != len(shape) or any(want not in {None, size} for size, want in zip(sizes, shape, strict=True)):
        wanted = "[" + ", ".join("any" if size is None else str(size) for size in shape) + "]"
        raise DamagedFileError(f"{path}: {name} has shape {list(sizes)}; expected {wanted}")
    if stored.numel() * stored.element_size() > stored.untyped_storage().nbytes():
        raise DamagedFileError(f"{path}: {name} claims {stored.numel()} numbers, more than the file holds; refused")
    return stored.detach().to(torch.float32, copy=True)
