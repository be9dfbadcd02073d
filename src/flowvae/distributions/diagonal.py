"""The normal distribution with diagonal covariance."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.nn.functional import softplus

from flowvae.distributions.base import Family, Reparameterised, Shape
from flowvae.precision import in_full_precision
from flowvae.registry import register

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class DiagonalNormal(Reparameterised):
    """N(z; mu, diag(sigma^2)) over vectors, log sigma given: ``loc`` and ``log_scale`` are ``(*, D)``.

    log q(z) = -sum_i [ (z_i - mu_i)^2 / (2 sigma_i^2) + log sigma_i + log(2 pi) / 2 ], in nats.
    """

    arg_constraints: ClassVar = {"loc": constraints.real_vector, "log_scale": constraints.real_vector}
    support = constraints.real_vector

    def __init__(self, loc: Tensor, log_scale: Tensor, validate_args: bool | None = None):
        self.loc, self.log_scale = torch.broadcast_tensors(loc, log_scale)
        super().__init__(self.loc.shape[:-1], self.loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "DiagonalNormal":
        shape = torch.Size(batch_shape) + self.event_shape
        return DiagonalNormal(self.loc.expand(shape), self.log_scale.expand(shape), validate_args=False)

    @property
    def like(self) -> Tensor:
        return self.loc

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return self.log_scale.exp()

    @property
    def variance(self) -> Tensor:
        return (2 * self.log_scale).exp()

    @property
    def scale_tril(self) -> Tensor:
        """The factor L = diag(sigma) of the covariance, ``(*, D, D)``."""
        return torch.diag_embed(self.log_scale.exp())

    @property
    def log_det(self) -> Tensor:
        """log |det L|, ``(*)``."""
        return self.log_scale.sum(-1)

    def from_noise(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        log_q = -(0.5 * eps.square() + self.log_scale).sum(-1) - HALF_LOG_2PI * eps.shape[-1]
        return torch.addcmul(self.loc, eps, self.log_scale.exp()), log_q

    @property
    def by_coordinate(self) -> bool:
        return True

    def terms_from_noise(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        return torch.addcmul(self.loc, eps, self.log_scale.exp()), self._terms(eps)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        eps = self._noise_of(value)
        return -(0.5 * eps.square() + self.log_scale).sum(-1) - HALF_LOG_2PI * value.shape[-1]

    def log_terms(self, value: Tensor) -> Tensor:
        """The log-density of each coordinate, ``(*, D)``."""
        return self._terms(self._noise_of(value))

    def _noise_of(self, value: Tensor) -> Tensor:
        return (value - self.loc) * torch.exp(-self.log_scale)

    def _terms(self, eps: Tensor) -> Tensor:
        return -(0.5 * eps.square() + self.log_scale) - HALF_LOG_2PI

    def whiten(self, columns: Tensor) -> Tensor:
        """diag(sigma)^-1 A for A ``(*, D, K)``."""
        return torch.exp(-self.log_scale)[..., None] * columns

    def entropy(self) -> Tensor:
        """sum_i [ log sigma_i + (1 + log(2 pi)) / 2 ], in nats."""
        return (self.log_scale + 0.5 + HALF_LOG_2PI).sum(-1)


def standard_normal(loc: Tensor) -> DiagonalNormal:
    """N(0, I) with the shape, type and device of ``loc``."""
    zeros = torch.zeros_like(loc)
    return DiagonalNormal(zeros, zeros, validate_args=False)


def kl_per_dimension(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    """KL of each coordinate, ``(*, D)``: log(s_p / s_q) + (s_q^2 + (m_q - m_p)^2) / (2 s_p^2) - 1/2, in nats."""
    shift = (q.loc - p.loc) * torch.exp(-p.log_scale)
    ratio = q.log_scale - p.log_scale
    return 0.5 * (torch.exp(2 * ratio) + shift.square() - 1) - ratio


@register_kl(DiagonalNormal, DiagonalNormal)
def _kl(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    return kl_per_dimension(q, p).sum(-1)


@register("family", "diagonal")
class Diagonal(Family):
    """Normal with diagonal covariance: phi = (mu, s) and sigma = softplus(s + log(e - 1)), so that s = 0 is sigma = 1.

    softplus keeps sigma from overflowing as exp would. Shapes: phi ``(*, 2 D)`` to a distribution over ``(D,)``.

    Reference: Kingma and Welling (2014), arXiv:1312.6114.
    """

    def __init__(self, event_shape: tuple[int, ...]):
        (self.dim,) = event_shape
        self.size = 2 * self.dim

    def __call__(self, phi: Tensor) -> DiagonalNormal:
        loc, s = in_full_precision(phi).chunk(2, -1)
        return DiagonalNormal(loc, positive(s).log())


def positive(s: Tensor) -> Tensor:
    """softplus(s + log(e - 1)) bounded away from 0, so that even the variance is a normal number: 1 at s = 0."""
    return softplus(s + math.log(math.e - 1)).clamp(min=torch.finfo(s.dtype).tiny ** 0.25)
