"""The normal distribution with full covariance."""

from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints, register_kl

from flowvae.distributions.base import Family, Reparameterised, Shape
from flowvae.distributions.diagonal import HALF_LOG_2PI, DiagonalNormal, positive
from flowvae.precision import in_full_precision
from flowvae.registry import register


class Factored(Protocol):
    """A normal distribution that knows factors of its covariance."""

    loc: Tensor

    @property
    def scale_tril(self) -> Tensor:
        """The lower triangular factor, ``(*, D, D)``."""
        ...

    @property
    def log_det(self) -> Tensor:
        """The logarithm of its determinant, ``(*)``."""
        ...

    def whiten(self, columns: Tensor) -> Tensor:
        """A^-1 X for X ``(*, D, K)``, with A A^T the covariance."""
        ...


class FullNormal(Reparameterised):
    """N(z; mu, L L^T) over vectors: ``loc`` ``(*, D)``, lower-triangular ``scale_tril`` ``(*, D, D)``.

    log q(z) = -|eps|^2 / 2 - sum_i log L_ii - D log(2 pi) / 2 with eps = L^-1 (z - mu), in nats.
    """

    arg_constraints: ClassVar = {"loc": constraints.real_vector, "scale_tril": constraints.lower_cholesky}
    support = constraints.real_vector

    def __init__(self, loc: Tensor, scale_tril: Tensor, validate_args: bool | None = None):
        batch = torch.broadcast_shapes(loc.shape[:-1], scale_tril.shape[:-2])
        self.loc = loc.expand(batch + loc.shape[-1:])
        self.scale_tril = scale_tril.expand(batch + scale_tril.shape[-2:])
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "FullNormal":
        batch = torch.Size(batch_shape)
        loc, scale_tril = self.loc.expand((*batch, -1)), self.scale_tril.expand((*batch, -1, -1))
        return FullNormal(loc, scale_tril, validate_args=False)

    @property
    def like(self) -> Tensor:
        return self.loc

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale_tril.square().sum(-1)

    @property
    def log_det(self) -> Tensor:
        """log |det L|, ``(*)``."""
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def from_noise(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        # a sum, not a matrix product: autocast would run that in half precision, and log q would be that of another z
        z = self.loc + (self.scale_tril * eps[..., None, :]).sum(-1)
        return z, -0.5 * eps.square().sum(-1) - self.log_det - HALF_LOG_2PI * eps.shape[-1]

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        shift = torch.broadcast_tensors(value, self.loc)[0] - self.loc
        scale_tril = self.scale_tril.expand(shift.shape + shift.shape[-1:])
        eps = torch.linalg.solve_triangular(scale_tril, shift[..., None], upper=False)[..., 0]
        return -0.5 * eps.square().sum(-1) - self.log_det - HALF_LOG_2PI * value.shape[-1]

    def whiten(self, columns: Tensor) -> Tensor:
        """L^-1 A for A ``(*, D, K)``."""
        return torch.linalg.solve_triangular(self.scale_tril, columns, upper=False)

    def entropy(self) -> Tensor:
        """sum_i log L_ii + D (1 + log(2 pi)) / 2, in nats."""
        return self.log_det + (0.5 + HALF_LOG_2PI) * self.loc.shape[-1]


@register_kl(FullNormal, DiagonalNormal)
def _kl(q: FullNormal, p: DiagonalNormal) -> Tensor:
    """[ |S_p^-1 L|_F^2 + |S_p^-1 (m_q - m_p)|^2 - D ] / 2 + sum_i log s_p,i - sum_i log L_ii."""
    inverse_scale = torch.exp(-p.log_scale)
    spread = (inverse_scale[..., None] * q.scale_tril).square().sum((-2, -1))
    shift = (inverse_scale * (q.loc - p.loc)).square().sum(-1)
    return 0.5 * (spread + shift - q.loc.shape[-1]) + p.log_scale.sum(-1) - q.log_det


@register_kl(DiagonalNormal, FullNormal)
@register_kl(FullNormal, FullNormal)
def kl_by_factors(q: Factored, p: Factored) -> Tensor:
    """KL(q || p) of any two normals by factors of their covariances, in nats.

    [ |L_p^-1 L_q|_F^2 + |L_p^-1 (m_q - m_p)|^2 - D ] / 2 + log det L_p - log det L_q, where L_p may be any square root.
    """
    spread = p.whiten(q.scale_tril).square().sum((-2, -1))
    shift = p.whiten((q.loc - p.loc)[..., None]).square().sum((-2, -1))
    return 0.5 * (spread + shift - q.loc.shape[-1]) + p.log_det - q.log_det


@register("family", "full")
class Full(Family):
    """Normal with full covariance L L^T, L lower-triangular with a strictly positive diagonal softplus(.).

    Shapes: phi ``(*, 2 D + D (D - 1) / 2)`` = (mu, diagonal, strict triangle by rows) to a distribution over
    ``(D,)``. The strict triangle is phi / sqrt(D), so that a network's first outputs leave the rows of L near those of
    the diagonal family, however many coordinates there are.

    Reference: Kingma et al. (2016), arXiv:1606.04934 (a linear inverse autoregressive flow).
    """

    def __init__(self, event_shape: tuple[int, ...]):
        (self.dim,) = event_shape
        self.size = 2 * self.dim + self.dim * (self.dim - 1) // 2

    def __call__(self, phi: Tensor) -> FullNormal:
        loc, s, strict = in_full_precision(phi).split([self.dim, self.dim, self.size - 2 * self.dim], -1)
        entries = torch.cat([positive(s), strict / self.dim**0.5], -1)
        flat = entries.new_zeros(*entries.shape[:-1], self.dim**2)
        # where the diagonal and the strict triangle stand in L, flattened; made where phi is, as a copy would wait
        rows, columns = torch.tril_indices(self.dim, self.dim, offset=-1, device=phi.device)
        place = torch.cat([torch.arange(self.dim, device=phi.device) * (self.dim + 1), rows * self.dim + columns])
        scale_tril = flat.index_copy(-1, place, entries).unflatten(-1, (self.dim, self.dim))
        return FullNormal(loc, scale_tril)
