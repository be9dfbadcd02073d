"""What a multivariate Gaussian makes of the same bytes: a model of images that is worse has something wrong with it."""

import math

import torch

from flowvae.data import Data, Split
from flowvae.errors import InputError
from flowvae.measures.base import Measured
from flowvae.model import VAE
from flowvae.registry import register

ROWS = 1024
"""Data at a time."""


@register("measure", "gaussian_reference")
def gaussian_reference(model: VAE, data: Data, held_out: Split) -> Measured:
    """``gaussian_bits_per_dim``: bits per dimension of the held-out data under a Gaussian fitted to the training data.

    Mean and covariance are those of y = k + u, k the whole number behind x and u uniform noise on [0, 1); then
    log P(k) >= E_u log N(y), which is computed exactly. The model is not looked at. Raises `InputError` for data that
    are no levels.

    Reference: van den Oord, Kalchbrenner, Kavukcuoglu (2016), arXiv:1601.06759 (4.70 on CIFAR-10).
    """
    if data.levels is None:
        raise InputError("expected bytes or other whole numbers for a reference in bits; got others: leave it out")
    return Measured({"gaussian_bits_per_dim": gaussian_bits(data.train, held_out)})


@torch.no_grad()
def gaussian_bits(train: Split, held_out: Split) -> float:
    """-E log2 N(k + u; mu, Sigma) / D over ``held_out``, mu and Sigma those of k + u over ``train``."""
    count, size = len(train), train.values[0].numel()
    total, square = torch.zeros(size, dtype=torch.float64), torch.zeros(size, size, dtype=torch.float64)
    for rows in train.values.split(ROWS):
        k = rows.flatten(1).double().cpu()
        total += k.sum(0)
        square += k.mT @ k
    mean = total / count
    covariance = square / count - mean[:, None] * mean + torch.eye(size, dtype=torch.float64) / 12  # u has 1/12
    factor = torch.linalg.cholesky(covariance)
    log_det = 2 * factor.diagonal().log().sum()
    quadratic = torch.cholesky_inverse(factor).trace() / 12  # the share of u in the expected square
    for rows in held_out.values.split(ROWS):
        k = rows.flatten(1).double().cpu()
        eps = torch.linalg.solve_triangular(factor, (k - mean).mT, upper=False)
        quadratic = quadratic + eps.square().sum() / len(held_out)
    nats = 0.5 * (quadratic + log_det + size * math.log(2 * math.pi))
    return float(nats) / (size * math.log(2))
