"""What a multivariate Gaussian makes of the same bytes: a model of images that is worse has something wrong with it."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from flowvae.data import Data, Split
from flowvae.errors import InputError
from flowvae.measures.base import Measured
from flowvae.model import VAE
from flowvae.registry import register

ROWS = 1024
"""Data at a time."""

SHRINKAGE = (0.0, *(10 ** (-power / 4) for power in range(20, 0, -1)))
"""From none to half, each nearly twice the one before."""


@register("measure", "gaussian_reference")
def gaussian_reference(model: VAE, data: Data, held_out: Split) -> Measured:
    """``gaussian_bits_per_dim``: bits per dimension of the held-out data under a Gaussian fitted to the training data.

    Mean and covariance S are those of y = k + u, k the whole number behind x and u uniform noise on [0, 1); then
    log P(k) >= E_u log N(y), which is computed exactly. S is shrunk to (1 - a) S + a tr(S) / D I, as few data need it;
    a, which may be 0, is the best of `SHRINKAGE` for the validation data. The model is not looked at. Raises
    `InputError` for data that are no levels.

    Reference: van den Oord, Kalchbrenner, Kavukcuoglu (2016), arXiv:1601.06759 (4.70 on CIFAR-10); Ledoit, Wolf (2004),
    A well-conditioned estimator for large-dimensional covariance matrices.
    """
    if data.levels is None:
        raise InputError("expected bytes or other whole numbers for a reference in bits; got others: leave it out")
    return Measured({"gaussian_bits_per_dim": gaussian_bits(data.train, data.validation, held_out)})


@torch.no_grad()
def gaussian_bits(train: Split, validation: Split, held_out: Split) -> float:
    """-E log2 N(k + u; mu, Sigma) / D over ``held_out``, Sigma shrunk as is best for ``validation``."""
    count, size = len(train), train.values[0].numel()
    total, square = torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
    for k in _whole(train):
        total += k.sum(0)
        square += k.mT @ k
    mean = total / count
    noise = 1 / 12  # the variance of u
    variances, axes = torch.linalg.eigh(square / count - mean[:, None] * mean)
    variances = variances.clamp(min=0) + noise
    a = torch.tensor(SHRINKAGE, dtype=torch.float64)[:, None]
    shrunk = (1 - a) * variances + a * variances.mean()

    def bits(split: Split) -> Tensor:
        """For every a: Sigma has the axes of S, and the expected square along each is all that is asked for."""
        squares = sum(((k - mean) @ axes).square().sum(0) for k in _whole(split)) / len(split) + noise
        return 0.5 * (squares / shrunk + shrunk.log() + math.log(2 * math.pi)).mean(-1) / math.log(2)

    return float(bits(held_out)[bits(validation).argmin()])


def _whole(split: Split) -> Iterator[Tensor]:
    """The whole numbers k as vectors, some rows at a time."""
    return (rows.flatten(1).double().cpu() for rows in split.values.split(ROWS))
