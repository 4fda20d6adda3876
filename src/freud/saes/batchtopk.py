"""BatchTopK sparse autoencoders (Bussmann et al. 2024, arXiv 2412.06410).

    pre = (x - b_dec) W_enc + b_enc
    latents = the frames * k largest of relu(pre) in the whole batch, the others zero
    x_hat = latents W_dec + b_dec
    loss = ||x - x_hat||^2 / ||x - mean||^2 + alpha auxiliary                  (`auxk.py`)

So a frame may use more than k latents where others need fewer. Which latents a frame has would depend on the rest of
the batch; the finished SAE keeps those above a threshold instead, the running mean of the least value kept in training
(their section 3), and so is a JumpReLU SAE.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from freud.saes import kernels, parallel
from freud.saes.architecture import Loss
from freud.saes.auxk import AuxK, AuxKTraining, Reconstructed
from freud.saes.jumprelu import JumpReLUSAE

MEMORY = 0.99  # of the running threshold, a batch


@dataclass(frozen=True, kw_only=True)
class BatchTopK(AuxK):
    """Settings of a BatchTopK SAE; k is the mean over frames."""

    name: ClassVar[str] = "batchtopk"

    def start(self, sample: Tensor, seed: int) -> BatchTopKTraining:
        return BatchTopKTraining(self, sample, seed)


class BatchTopKTraining(AuxKTraining):
    """Weights and losses of a BatchTopK SAE in training.

    Attributes:
        threshold: [] running mean of the least latent kept; NaN before the first batch.
    """

    threshold: Tensor

    def __init__(self, settings: BatchTopK, sample: Tensor, seed: int) -> None:
        super().__init__(settings, sample, seed)
        self.register_buffer("threshold", torch.full((), torch.nan))

    def expect(self, x: Tensor) -> int | None:
        """None: how many latents are above zero is found out in the step."""

    def reconstruct(self, x: Tensor, centered: Tensor, b_enc: Tensor, dead: Tensor) -> Reconstructed:
        values, pattern = self.choose(centered, b_enc)
        error, squared = kernels.error(x, values, pattern, self.W_dec, self.b_dec)
        loss = Loss(squared / parallel.variance(x), squared.detach(), values.new_tensor(len(values) / len(x)), {})
        return Reconstructed(loss, error, pattern.fired(values))

    def choose(self, centered: Tensor, b_enc: Tensor) -> tuple[Tensor, kernels.Pattern]:
        """Values [kept] of those that are kept, all above zero, and where they are; the threshold learns from them."""
        wanted, d_sae = int(self.k * parallel.total_frames(centered)), len(b_enc)
        values, where = kernels.largest_of_all(centered, self.W_enc, b_enc, wanted)
        if parallel.world_size() > 1:  # the largest of all processes, one of which may have fewer than are wanted
            mine = F.pad(values, (0, wanted - len(values)), value=-torch.inf)
            kept = values >= parallel.gathered(mine).topk(wanted).values[-1]
            values, where = values[kept], where[kept]
        self.learn_threshold(values)
        pattern = kernels.Pattern.ragged(where // d_sae, where % d_sae, len(centered), d_sae)
        return kernels.scores(centered, self.W_enc, b_enc, pattern, values), pattern

    @torch.no_grad()
    def learn_threshold(self, values: Tensor) -> None:
        """Move the threshold towards the least of the kept values [kept]."""
        least = values.amin() if len(values) else values.new_tensor(torch.inf)
        least = parallel.gathered(least[None]).amin()
        moved = torch.where(self.threshold.isnan(), least, torch.lerp(least, self.threshold, MEMORY))
        self.threshold.copy_(torch.where(least.isfinite(), moved, self.threshold))

    def sae(self) -> JumpReLUSAE:
        weights = (self.W_enc, self.b_enc, self.W_dec, self.b_dec)
        # A latent equal to the threshold is not above it, and the least one kept shall be.
        threshold = self.threshold.nan_to_num(0.0).clamp_min(0).expand(len(self.since_fired))
        return JumpReLUSAE(*(w.detach().clone() for w in weights), threshold=threshold.clone())
