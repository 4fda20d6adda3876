"""What a dictionary has to beat: principal components, as many as the SAE has active latents on an average frame.

A principal component is on in every frame, an active latent is chosen frame by frame; an SAE that reconstructs no
better than this has learned nothing that a rotation does not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Sums over frames, from which mean and covariance follow; they grow with the width, not with the data.

    Attributes:
        frames: number of frames.
        total: [d] float64, their sum.
        products: [d, d] float64, the sum of their outer products.
    """

    frames: int
    total: Tensor
    products: Tensor

    @classmethod
    def zero(cls, width: int) -> Moments:
        """Of no frames."""
        return cls(0, torch.zeros(width, dtype=torch.float64), torch.zeros(width, width, dtype=torch.float64))

    def watch(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Pass blocks of frames [frames, d] through, and add them up."""
        for block in blocks:
            x = block.double()
            self.frames += len(x)
            self.total += x.sum(0)
            self.products += x.T @ x
            yield block

    def about(self, center: Tensor) -> Tensor:
        """[d, d], the sum of outer products of frames less `center` [d]."""
        cross = torch.outer(self.total, center)
        return self.products - cross - cross.T + self.frames * torch.outer(center, center)


def pca_fvu(fitted: Moments, measured: Moments, components: int) -> float:
    """FVU on the `measured` frames of the leading principal components of the `fitted` ones."""
    center = fitted.total / fitted.frames
    _, directions = torch.linalg.eigh(fitted.about(center))  # ascending
    leading = directions[:, max(0, len(center) - components) :]
    scatter = measured.about(center)
    kept = (leading * (scatter @ leading)).sum()
    variance = measured.about(measured.total / measured.frames).trace()
    return float((scatter.trace() - kept) / variance)
