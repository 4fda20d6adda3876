"""The decoder as a set of directions: how alike its rows are, and how many of them another training finds again.

Everything is by cosine, so the norms of the rows do not matter. Products are made a block of rows at a time; only
matching two SAEs needs the whole [latents, latents] matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import normalize

from freud.errors import FreudError

DUPLICATE = 0.9  # two latents whose decoder rows have a larger cosine than this are duplicates
MATCHED = 0.7  # a latent is found again when the row matched to it has a larger cosine than this
ROWS = 2048  # rows compared together
MOST_MATCHED = 32_768  # latents; the matrix of cosines in float64 is then 8 GiB


@dataclass(frozen=True)
class Geometry:
    """How alike the decoder rows of the alive latents are.

    Attributes:
        latents: number of rows compared.
        duplicates: share that have another one with a cosine above `DUPLICATE`.
        coherence: largest cosine, by magnitude, between any two.
        nearest: mean over latents of the largest cosine with another one.
        random: the same mean for as many random directions.
    """

    latents: int
    duplicates: float
    coherence: float
    nearest: float
    random: float


@dataclass(frozen=True)
class Stability:
    """How many latents another SAE, of another seed as a rule, has too.

    Attributes:
        latents: alive latents of this SAE. others: of the other one.
        matched: share of this SAE's alive latents whose one-to-one partner has a cosine above `MATCHED`.
        mean_cosine: mean cosine of the pairs.
        random: mean, over this SAE's latents, of the largest cosine with as many random directions as the other has;
            an upper bound of what matching with a random dictionary would give.
    """

    latents: int
    others: int
    matched: float
    mean_cosine: float
    random: float


def nearest(rows: Tensor, others: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """For each of `rows` [n, d] the largest cosine and the largest by magnitude with any of `others` [m, d].

    Without `others`, those of the other rows: a row is not compared to itself. Each [n] float32; -1 and 0 if there is
    nothing to compare with.
    """
    rows = normalize(rows, dim=1)
    against = rows if others is None else normalize(others, dim=1)
    largest, magnitude = torch.full((len(rows),), -1.0), torch.zeros(len(rows))
    if not len(against):
        return largest, magnitude
    for start in range(0, len(rows), ROWS):
        cosines = rows[start : start + ROWS] @ against.T
        if others is None:
            here = torch.arange(len(cosines))
            cosines[here, start + here] = -1.0
            largest[start : start + ROWS] = cosines.amax(1)
            cosines[here, start + here] = 0.0
        else:
            largest[start : start + ROWS] = cosines.amax(1)
        magnitude[start : start + ROWS] = cosines.abs().amax(1)
    return largest, magnitude


def geometry(rows: Tensor) -> tuple[Geometry, Tensor]:
    """Compare the decoder rows of the alive latents [n, d]; also their largest cosines [n] with another one."""
    largest, magnitude = nearest(rows)
    control, _ = nearest(_random_like(rows))
    found = Geometry(
        latents=len(rows),
        duplicates=_mean(largest > DUPLICATE),
        coherence=float(magnitude.max()) if len(rows) else float("nan"),
        nearest=_mean(largest),
        random=_mean(control),
    )
    return found, largest


def stability(rows: Tensor, others: Tensor) -> tuple[Stability, Tensor]:
    """Match decoder rows of two SAEs' alive latents, [n, d] and [m, d], one to one, for the largest sum of cosines.

    Also returns the cosine of each of the `rows` with its partner [n]; a row without one, as where the other SAE has
    fewer, has 0.

    Raises:
        FreudError: there are too many for the matrix of cosines.
    """
    if max(len(rows), len(others)) > MOST_MATCHED:
        raise FreudError(f"matching {len(rows)} latents with {len(others)}: {MOST_MATCHED} on a side are the most")
    cosines = normalize(rows, dim=1) @ normalize(others, dim=1).T
    mine, theirs = linear_sum_assignment(cosines.numpy(), maximize=True)
    pairs = cosines[torch.from_numpy(mine), torch.from_numpy(theirs)]
    partner = torch.zeros(len(rows))
    partner[torch.from_numpy(mine)] = pairs
    control, _ = nearest(rows, _random_like(others))
    found = Stability(
        latents=len(rows),
        others=len(others),
        matched=_mean(partner > MATCHED),
        mean_cosine=_mean(pairs),
        random=_mean(control),
    )
    return found, partner


def _random_like(rows: Tensor) -> Tensor:
    # Not a seed that anybody trains with: a decoder starts as such a draw, and would be compared with its own start.
    return torch.randn(rows.shape, generator=torch.Generator().manual_seed(2**40 + 1))


def _mean(values: Tensor) -> float:
    return float(values.double().mean()) if len(values) else float("nan")
