"""The normal densities of whole numbers that share mean and principal axes with a data set, in bits."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from flowvae.data import Data, Split
from flowvae.errors import InputError

ROWS = 1024
"""Data at a time."""
NOISE = 1 / 12
"""The variance of u."""


@dataclass(frozen=True)
class Spectrum:
    """Mean ``(D,)``, principal ``axes`` ``(D, D)``, a column each, and ``variances`` ``(D,)`` along them, ascending.

    They are those of y = k + u, k the whole number behind a value and u uniform noise on [0, 1).
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, split: Split) -> "Spectrum":
        """The spectrum of ``split``."""
        count, size = len(split), split.values[0].numel()
        total, square = torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
        for k in _whole(split):
            total += k.sum(0)
            square += k.mT @ k
        mean = total / count
        variances, axes = torch.linalg.eigh(square / count - mean[:, None] * mean)
        return cls(mean, axes, variances.clamp(min=0) + NOISE)

    @torch.no_grad()
    def bits(self, split: Split, variances: Tensor) -> Tensor:
        """-E log2 N(k + u) / D over ``split``, its variances ``(*, D)`` along the axes: a bound on -E log2 P(k) / D."""
        squares = sum(((k - self.mean) @ self.axes).square().sum(0) for k in _whole(split)) / len(split) + NOISE
        return 0.5 * (squares / variances + variances.log() + math.log(2 * math.pi)).mean(-1) / math.log(2)


def require_levels(data: Data) -> None:
    """Raises `InputError` for data that are no whole numbers."""
    if data.levels is None:
        raise InputError("expected bytes or other whole numbers for a reference in bits; got others: leave it out")


def _whole(split: Split) -> Iterator[Tensor]:
    """The whole numbers k as vectors, some rows at a time."""
    return (rows.flatten(1).double().cpu() for rows in split.values.split(ROWS))
