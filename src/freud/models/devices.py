"""Where a model computes and in what numbers: names that people type, checked before anything is loaded."""

from __future__ import annotations

import torch

from freud.errors import FreudError

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def open_device(name: str | torch.device) -> torch.device:
    """The device of this name, which this machine has.

    Raises:
        FreudError: there is no such device, or this machine has none.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise FreudError(f"device {name}: unknown; expected cpu, cuda or cuda:N") from None
    try:
        device = torch.empty(0, device=device).device  # which has a number, as `set_device` wants
    except (RuntimeError, AssertionError) as error:
        raise FreudError(f"device {name}: {str(error).splitlines()[0]}; expected cpu, cuda or cuda:N") from None
    if device.type == "meta":
        raise FreudError(f"device {name}: computes nothing; expected cpu, cuda or cuda:N")
    return device


def open_dtype(name: str | torch.dtype) -> torch.dtype:
    """The dtype of this name, in which a model can compute.

    Raises:
        FreudError: there is no such dtype, or a model cannot compute in it.
    """
    dtype = DTYPES.get(name) if isinstance(name, str) else name
    if dtype is None or not dtype.is_floating_point or dtype.itemsize < 2:
        raise FreudError(f"dtype {name}: expected one of {', '.join(DTYPES)}")
    return dtype
