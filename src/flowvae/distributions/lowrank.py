"""The normal distribution with a covariance of low rank beyond its diagonal."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl
from torch.linalg import solve_triangular

from flowvae.distributions.base import Family, Reparameterised, Shape
from flowvae.distributions.diagonal import HALF_LOG_2PI, DiagonalNormal, positive
from flowvae.distributions.full import FullNormal, kl_by_factors
from flowvae.precision import in_full_precision
from flowvae.registry import Count, register

BOUND = 100.0
"""Largest loading: beyond, single precision could not tell the covariance from a singular one."""


class LowRankNormal(Reparameterised):
    """N(z; mu, S (I + V V^T) S) over vectors, S = diag(sigma): independent noise and a term of rank r.

    With the Cholesky factor C of the small matrix I + V^T V = C C^T, the square matrix

        A = I + V (I + C)^-1 V^T    has    A A^T = I + V V^T,    det A = prod_i C_ii,
        A^-1 = I - V (I + C^T)^-1 C^-1 V^T    (multiply out, with V^T V = C C^T - I).

    So z = mu + S A eps takes noise of z's own shape, and log_prob solves r equations, not D (Woodbury):
    log q(z) = -|eps|^2 / 2 - sum_i log sigma_i - sum_i log C_ii - D log(2 pi) / 2, in nats.

    Args:
        loc, log_scale: mu and log sigma, ``(*, D)``.
        loadings: V ``(*, D, r)``.
        factor: C ``(*, r, r)``, where it is known.
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "log_scale": constraints.real_vector,
        "loadings": constraints.independent(constraints.real, 2),
    }
    support = constraints.real_vector

    def __init__(
        self,
        loc: Tensor,
        log_scale: Tensor,
        loadings: Tensor,
        factor: Tensor | None = None,
        validate_args: bool | None = None,
    ):
        batch = torch.broadcast_shapes(loc.shape[:-1], log_scale.shape[:-1], loadings.shape[:-2])
        self.loc, self.log_scale = loc.expand((*batch, -1)), log_scale.expand((*batch, -1))
        self.loadings = loadings.expand((*batch, -1, -1))
        if factor is None:
            factor = torch.linalg.cholesky(_plus_identity(_times(loadings.mT, loadings)))
        self.factor = factor.expand((*batch, -1, -1))
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "LowRankNormal":
        batch = torch.Size(batch_shape)
        loc, log_scale = self.loc.expand((*batch, -1)), self.log_scale.expand((*batch, -1))
        loadings, factor = self.loadings.expand((*batch, -1, -1)), self.factor.expand((*batch, -1, -1))
        return LowRankNormal(loc, log_scale, loadings, factor, validate_args=False)

    @property
    def like(self) -> Tensor:
        return self.loc

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (2 * self.log_scale).exp() * (1 + self.loadings.square().sum(-1))

    @property
    def scale_tril(self) -> Tensor:
        """The lower triangular factor of the covariance, ``(*, D, D)``, of positive diagonal."""
        eye = torch.eye(self.loc.shape[-1], dtype=self.like.dtype, device=self.like.device)
        r = torch.linalg.qr((self.log_scale.exp()[..., None] * self._bent(eye)).mT)[1]
        return r.mT * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1, 1)[..., None, :]

    @property
    def log_det(self) -> Tensor:
        """log |det S A|, ``(*)``."""
        return self.log_scale.sum(-1) + self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def from_noise(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.addcmul(self.loc, self._bent(eps[..., None])[..., 0], self.log_scale.exp())
        return z, self._log_density(eps)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return self._log_density(self.whiten((value - self.loc)[..., None])[..., 0])

    def whiten(self, columns: Tensor) -> Tensor:
        """(S A)^-1 X for X ``(*, D, K)``."""
        scaled = torch.exp(-self.log_scale)[..., None] * columns
        bend = solve_triangular(self.factor, _times(self.loadings.mT, scaled), upper=False)
        return scaled - _times(self.loadings, solve_triangular(_plus_identity(self.factor).mT, bend, upper=True))

    def entropy(self) -> Tensor:
        """sum_i log sigma_i + sum_i log C_ii + D (1 + log(2 pi)) / 2, in nats."""
        return self.log_det + (0.5 + HALF_LOG_2PI) * self.loc.shape[-1]

    def _bent(self, columns: Tensor) -> Tensor:
        """A X for X ``(*, D, K)``."""
        bend = solve_triangular(_plus_identity(self.factor), _times(self.loadings.mT, columns), upper=False)
        return columns + _times(self.loadings, bend)

    def _log_density(self, eps: Tensor) -> Tensor:
        return -0.5 * eps.square().sum(-1) - self.log_det - HALF_LOG_2PI * eps.shape[-1]


def _plus_identity(matrix: Tensor) -> Tensor:
    return matrix + torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def _times(a: Tensor, b: Tensor) -> Tensor:
    """A B, as a sum: autocast would run a matrix product in half precision, and log q would be that of another z."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


@register_kl(LowRankNormal, DiagonalNormal)
def _kl(q: LowRankNormal, p: DiagonalNormal) -> Tensor:
    """sum_i [ (var_q,i + (m_q,i - m_p,i)^2) / s_p,i^2 - 1 ] / 2 + sum_i log s_p,i - log det S_q A_q."""
    spread = (q.variance + (q.loc - p.loc).square()) * torch.exp(-2 * p.log_scale)
    return (0.5 * (spread - 1) + p.log_scale).sum(-1) - q.log_det


for _other in (DiagonalNormal, FullNormal, LowRankNormal):
    register_kl(_other, LowRankNormal)(kl_by_factors)
register_kl(LowRankNormal, FullNormal)(kl_by_factors)


@register("family", "lowrank")
class LowRank(Family):
    """Normal with covariance S (I + V V^T) S: diagonal, and a term of ``rank`` r that couples all coordinates.

    Between the diagonal family (V = 0) and the full one. Shapes: phi ``(*, D (2 + r))`` = (mu, s, V by rows) to a
    distribution over ``(D,)``; sigma is that of the diagonal family, and V = phi / sqrt(D) within a smooth bound, so
    that a network's first outputs leave the covariance near the diagonal.

    Reference: Rezende, Mohamed, Wierstra (2014), arXiv:1401.4082, with r = 1.
    """

    def __init__(self, event_shape: tuple[int, ...], *, rank: Count = 4):
        (self.dim,) = event_shape
        self.rank = rank
        self.size = self.dim * (2 + rank)

    def __call__(self, phi: Tensor) -> LowRankNormal:
        loc, s, v = in_full_precision(phi).split([self.dim, self.dim, self.dim * self.rank], -1)
        loadings = BOUND * torch.tanh(v / (BOUND * self.dim**0.5))
        return LowRankNormal(loc, positive(s).log(), loadings.unflatten(-1, (self.dim, self.rank)))
