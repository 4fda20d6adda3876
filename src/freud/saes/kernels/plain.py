"""The reference: the same functions as dense products and plain autograd; what the others must equal."""

from __future__ import annotations

import torch
from torch import Tensor


def topk(x: Tensor, W_enc: Tensor, b_enc: Tensor, k: int) -> tuple[Tensor, Tensor]:  # noqa: N803
    """The k largest of x W_enc + b_enc on each frame: values and latents, each [frames, k]."""
    values, latents = (x @ W_enc + b_enc).topk(k, dim=1, sorted=False)
    return values, latents


def decode(values: Tensor, frames: Tensor, latents: Tensor, rows: int, W_dec: Tensor) -> Tensor:  # noqa: N803
    """sum of values times rows `latents` of W_dec for each of `rows` frames, through a dense [frames, d_sae]."""
    dense = torch.zeros(rows, len(W_dec), dtype=values.dtype, device=values.device)
    return dense.index_put((frames.long(), latents.long()), values) @ W_dec
