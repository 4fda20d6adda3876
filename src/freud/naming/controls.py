"""What a dictionary must beat: raw coordinates, PCA directions, and an SAE whose decoder is frozen at random.

And what nothing can be expected to beat: a dense linear probe. All are features like any other and go through the same
scoring, on the same split, with the same choice of lag and threshold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from freud.activations import SiteActivations, StoredFrames, Stream
from freud.features import FeatureIndex
from freud.naming.examples import ExampleBank
from freud.naming.sources import SAMPLE, Encoded, Neurons, Source
from freud.saes import SAE, kernels

DIRECTIONS = 64  # leading ones of PCA
RIDGE = 1e-3  # of the probe, times the mean variance of a coordinate
STEPS, BATCH = 100, 1024  # of training the encoder to a frozen random decoder


def controls(index: FeatureIndex, examples: ExampleBank) -> dict[str, Source]:
    """The controls for the features of an index, by name."""
    activations = index.activations
    found: dict[str, Source] = {}
    if index.basis == "latents":
        found["coordinates"] = Neurons(activations)
        found["random decoder"] = Encoded(activations, random_decoder(index))
    found["pca"] = Neurons(activations, pca(activations))
    found["probe"] = Neurons(activations, probe(activations, examples))
    return found


def pca(activations: SiteActivations, count: int = DIRECTIONS) -> np.ndarray:
    """The directions of largest variance, [width, <= count], from an even sample of frames."""
    sample = activations.sample(SAMPLE)
    centered = (sample - sample.mean(0)).double()
    _, vectors = torch.linalg.eigh(centered.T @ centered)
    return vectors.flip(1)[:, :count].float().numpy()


def probe(activations: SiteActivations, examples: ExampleBank) -> np.ndarray:
    """Ridge regression of every label on the coordinates, on the clips to fit on: [width, labels].

    From the two sums X^T X and X^T Y, so that no frame is kept.
    """
    width, labels = activations.width, len(examples.labels)
    square, product = np.zeros((width + 1, width + 1)), np.zeros((width + 1, labels))
    total = 0
    for pieces, rows in Neurons(activations).rows(examples.sides.fit):
        given = examples.block(pieces)
        x = np.concatenate([rows.float().numpy(), np.ones((len(rows), 1), np.float32)], 1)
        square += x.T @ x
        product += x.T @ np.where(given.has, given.weight, 0).astype(np.float32)
        total += len(rows)
    penalty = RIDGE * np.trace(square[:width, :width])
    regular = square + np.diag(np.append(np.full(width, penalty / width), 0.0))
    return np.linalg.solve(regular, product)[:width]


class TopKOf(SAE):
    """The k largest of the rectified pre-activations, as a TopK SAE has."""

    architecture = "topk"

    def __init__(self, *tensors: torch.Tensor, k: int, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(*tensors, metadata=metadata)
        self.k = k

    def activate(self, pre: torch.Tensor) -> torch.Tensor:
        values, places = pre.relu().topk(self.k, dim=-1)
        return torch.zeros_like(pre).scatter(-1, places, values)


def random_decoder(index: FeatureIndex, steps: int = STEPS, seed: int = 0) -> SAE:
    """An SAE of the size and mean L0 of an index: its decoder is random unit rows and stays so, its encoder is trained.

    The encoder starts as the decoder transposed and learns to reconstruct by Adam. What such an SAE is good at owes
    nothing to a learned dictionary.
    """
    activations = index.activations
    ((active,),) = index.sql("SELECT sum(active_frames) FROM features")
    k = max(1, round(active / index.frames))
    generator = torch.Generator().manual_seed(seed)
    decoder = torch.randn(index.features, activations.width, generator=generator)
    decoder /= decoder.norm(dim=1, keepdim=True)
    mean = activations.sample(SAMPLE).mean(0)
    sae = TopKOf(decoder.T.contiguous(), torch.zeros(index.features), decoder, mean, k=k)
    weights = sae.W_enc.requires_grad_(True), sae.b_enc.requires_grad_(True)
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    batches = Stream(StoredFrames(activations), BATCH, seed=seed).from_position()
    for _, batch in zip(range(steps), batches, strict=False):
        centered = batch.frames - mean
        values, pattern = kernels.topk(centered, *weights, k)
        loss = (kernels.decode(values.relu(), pattern, decoder) - centered).square().sum() / centered.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for weight in weights:
        weight.requires_grad_(False)
    return sae
