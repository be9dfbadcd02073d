"""A linear-Gaussian VAE, of which everything is known in closed form.

p(z) = N(0, I), p(x | z) = N(W z + b, s^2 I), so p(x) = N(b, W W^T + s^2 I) and p(z | x) = N(A (x - b), P^-1) with
precision P = I + W^T W / s^2 and A = P^-1 W^T / s^2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from flowvae import VAE, registry
from flowvae.conditional import Conditional
from flowvae.distributions import DiagonalNormal

DIM, OBSERVED, NOISE = 3, 5, 0.7


class LinearGaussian(Conditional):
    """N(decoder(z), s^2 I): a likelihood for tests."""

    def __init__(self, dim: int, observed: int):
        super().__init__()
        self.decoder = registry.build("decoder", {"name": "mlp", "depth": 0}, (dim,), (observed,))

    def forward(self, c: Tensor) -> DiagonalNormal:
        loc = self.decoder(c)
        return DiagonalNormal(loc, torch.full_like(loc, math.log(NOISE)))


@dataclass(frozen=True)
class Exact:
    """The model, its data, and what is known about them."""

    model: VAE
    x: Tensor
    log_px: Tensor
    mean: Tensor
    precision: Tensor


def exact(family: str, dim: int = DIM, observed: int = OBSERVED) -> Exact:
    """The model whose posterior is the best of its family: the truth for ``full``, mean-field for ``diagonal``."""
    encoder = registry.build("encoder", {"name": "mlp", "depth": 0}, (observed,))
    posterior = {"name": "gaussian", "family": family}
    latents = registry.build("latents", {"name": "flat", "dim": dim, "posterior": posterior}, encoder.features)
    model = VAE(encoder, latents, LinearGaussian(dim, observed)).double()
    linear = model.likelihood.decoder.net[0]
    weight, bias = linear.weight.data.normal_(), linear.bias.data.normal_()
    precision = torch.eye(dim, dtype=torch.float64) + weight.T @ weight / NOISE**2
    gain = torch.linalg.solve(precision, weight.T) / NOISE**2
    if family == "full":
        scale = torch.linalg.cholesky(torch.linalg.inv(precision))
    else:
        scale = torch.diag(precision.diagonal().rsqrt())
    _set(latents.posterior.net, gain, -gain @ bias, scale, family)
    x = 2 * torch.randn(4, observed, dtype=torch.float64)
    covariance = weight @ weight.T + NOISE**2 * torch.eye(observed, dtype=torch.float64)
    log_px = MultivariateNormal(bias, covariance).log_prob(x)
    return Exact(model.requires_grad_(False), x, log_px, (x - bias) @ gain.T, precision)


def _set(net: torch.nn.Linear, gain: Tensor, shift: Tensor, scale: Tensor, family: str) -> None:
    """The weights with which a linear posterior is N(gain x + shift, scale scale^T)."""
    dim = len(shift)
    rows, columns = torch.tril_indices(dim, dim, offset=-1)
    before_softplus = torch.log(torch.expm1(scale.diagonal())) - math.log(math.e - 1)
    strict = dim**0.5 * scale[rows, columns] if family == "full" else scale.new_zeros(0)
    net.weight.data.zero_()
    net.weight.data[:dim] = gain
    net.bias.data = torch.cat([shift, before_softplus, strict])


def mean_field_gap(precision: Tensor) -> Tensor:
    """KL from the best diagonal Gaussian to N(., P^-1): (sum_i log P_ii - log det P) / 2, in nats."""
    return 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
