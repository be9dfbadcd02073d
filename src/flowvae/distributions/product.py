"""The product of two normal distributions: what is believed when both are."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from flowvae.distributions.diagonal import DiagonalNormal
from flowvae.distributions.full import FullNormal
from flowvae.distributions.lowrank import LowRankNormal
from flowvae.errors import InputError

Normal = DiagonalNormal | FullNormal | LowRankNormal


def product(q: Distribution, p: Distribution) -> DiagonalNormal | FullNormal:
    """The normal proportional to q(z) p(z): precisions add, and weigh the means.

    P = P_q + P_p and mu = P^-1 (P_q mu_q + P_p mu_p), batches broadcast. Diagonal where both are, else full.

    Raises:
        InputError: one of the two is no normal distribution.

    >>> half = product(*(DiagonalNormal(torch.tensor([m]), torch.zeros(1)) for m in (0.0, 2.0)))
    >>> half.mean.item(), round(half.variance.item(), 4)
    (1.0, 0.5)
    """
    for factor in (q, p):
        if not isinstance(factor, Normal):
            raise InputError(
                f"expected normal distributions to fuse; got {type(factor).__name__}: use posterior = 'gaussian', "
                "or the prior 'gaussian'"
            )
    assert isinstance(q, Normal)
    assert isinstance(p, Normal)
    if isinstance(q, DiagonalNormal) and isinstance(p, DiagonalNormal):
        log_precision = torch.logaddexp(-2 * q.log_scale, -2 * p.log_scale)
        trust = torch.exp(-2 * p.log_scale - log_precision)
        return DiagonalNormal(torch.lerp(q.loc, p.loc, trust), -0.5 * log_precision)
    scale_tril = q.scale_tril
    whitened = p.whiten(scale_tril)  # A with P_p = (A L^-1)^T (A L^-1)
    # P^-1 = L (I + A^T A)^-1 L^T; its factor stays lower-triangular with the factor U U^T, U upper-triangular
    upper = torch.linalg.cholesky(_plus_identity(_gram(whitened)).flip((-2, -1))).flip((-2, -1))
    scale_tril = torch.linalg.solve_triangular(upper.mT, scale_tril, upper=False, left=False)
    pull = p.whiten((p.loc - q.loc)[..., None])
    shift = (p.whiten(scale_tril) * pull).sum(-2)
    return FullNormal(q.loc + (scale_tril * shift[..., None, :]).sum(-1), scale_tril)


def _plus_identity(matrix: Tensor) -> Tensor:
    """I + M, its diagonal raised by what rounding can have cost it: it stays positive definite."""
    rounding = 4 * matrix.shape[-1] * torch.finfo(matrix.dtype).eps
    return matrix + torch.diag_embed(1 + rounding * matrix.diagonal(dim1=-2, dim2=-1))


def _gram(a: Tensor) -> Tensor:
    """A^T A, as a sum: autocast would run a matrix product in half precision."""
    return (a[..., :, :, None] * a[..., :, None, :]).sum(-3)
