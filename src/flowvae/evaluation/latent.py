"""What the draws tell about the latent code: posterior moments, KL per dimension, active units."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from flowvae.distributions import DiagonalNormal, FullNormal, LowRankNormal
from flowvae.distributions.diagonal import HALF_LOG_2PI, kl_per_dimension
from flowvae.latents import Latent

ACTIVE = 0.01
"""Variance of the posterior mean over the data above which a unit is active."""


class Moments(NamedTuple):
    """Of one latent group, per dimension, each ``(B, *event)``: averages over the draws.

    ``mean`` and ``spread`` are the mean and the variance between draws of the posterior mean, where q given its parents
    is Gaussian; else of z itself. ``within`` is the variance of q, ``cost`` the KL(q_i || p_i) of its marginals; where
    only z is known they are None and -log p(z_i). ``cost`` is None where p is no Gaussian.
    """

    mean: Tensor
    spread: Tensor
    within: Tensor | None
    cost: Tensor | None


def moments(latent: Latent) -> Moments:
    """The moments of a group's draws."""
    q, p = _marginals(latent.q), _marginals(latent.p)
    cost = None
    if q is not None:
        within, points = q.variance.mean(0), q.mean
        if p is not None:
            cost = kl_per_dimension(q, p).mean(0)
    else:
        within, points = None, latent.z
        if p is not None:
            eps = (latent.z - p.loc) * torch.exp(-p.log_scale)
            cost = (0.5 * eps.square() + p.log_scale).mean(0) + HALF_LOG_2PI
    spread, mean = torch.var_mean(points, 0, correction=0)
    return Moments(mean, spread, within, cost)


def _marginals(q: Distribution) -> DiagonalNormal | None:
    """The marginals of q where they are Gaussian; one draw of them where all draws share them."""
    if isinstance(q, DiagonalNormal):
        return DiagonalNormal(_shared(q.loc), _shared(q.log_scale), validate_args=False)
    if isinstance(q, FullNormal):
        q = FullNormal(_shared(q.loc), _shared(q.scale_tril), validate_args=False)
    elif isinstance(q, LowRankNormal):
        loc, log_scale, loadings, factor = map(_shared, (q.loc, q.log_scale, q.loadings, q.factor))
        q = LowRankNormal(loc, log_scale, loadings, factor, validate_args=False)
    else:
        return None
    return DiagonalNormal(q.mean, 0.5 * q.variance.log(), validate_args=False)


def _shared(t: Tensor) -> Tensor:
    """t of the first draw where it is that of every draw: an expanded dimension has stride 0."""
    return t[:1] if t.stride(0) == 0 else t


class Code:
    """The moments of one group over all draws of ``count`` data, added up chunk by chunk in double precision.

    ``below`` says that q may depend on the draws of other groups.
    """

    def __init__(self, count: int, samples: int, like: Moments, *, below: bool = False):
        self.samples = samples
        self._is_exact = like.within is not None and not below
        zero = like.mean.new_zeros(count, *like.mean.shape[1:], dtype=torch.float64)
        self._mean, self._square = zero, zero.clone()
        self._within = None if like.within is None else zero.clone()
        self._cost = None if like.cost is None else zero.clone()

    def add(self, rows: range, draws: int, found: Moments) -> None:
        """Count the ``draws`` draws of data ``rows`` that ``found`` averages."""
        share, inside = draws / self.samples, slice(rows.start, rows.stop)
        mean = found.mean.double()
        self._mean[inside].add_(mean, alpha=share)
        self._square[inside].add_(mean.square() + found.spread, alpha=share)
        for total, part in ((self._within, found.within), (self._cost, found.cost)):
            if total is not None and part is not None:
                total[inside].add_(part, alpha=share)

    @property
    def mean(self) -> Tensor:
        """E[z | x] under q, ``(N, *event)``."""
        return self._mean

    @property
    def variance(self) -> Tensor:
        """Var[z | x] under q, ``(N, *event)``, by the law of total variance."""
        return self.spread if self._within is None else self.spread + self._within

    @property
    def kl(self) -> Tensor | None:
        """KL(q(z_i | x) || p(z_i)) of each marginal, ``(N, *event)``, in nats.

        Exact where q is Gaussian. Else the entropy of q(z_i | x) is taken for that of the Gaussian with the same
        variance, the largest possible: a lower bound, estimated from the draws without the bias that the logarithm of
        few of them has, E[log s^2] = log sigma^2 + psi(nu / 2) - log(nu / 2), nu = K - 1; None where there is but one.
        """
        if self._cost is None or (self._within is None and self.samples < 2):
            return None
        if self._within is not None:
            return self._cost
        half = self.spread.new_tensor((self.samples - 1) / 2)
        bias = torch.digamma(half) - half.log()
        entropy = 0.5 * (self.spread.clamp(min=torch.finfo(torch.float64).tiny).log() - bias + 1) + HALF_LOG_2PI
        return self._cost - entropy

    @property
    def noise(self) -> Tensor | None:
        """The variance of ``mean`` as an estimate, averaged over the data, ``event``; None where one draw is all."""
        if self.samples < 2 and not self._is_exact:
            return None
        return self.spread.mean(0) / self.samples

    @property
    def spread(self) -> Tensor:
        """The variance of what ``mean`` averages, ``(N, *event)``, unbiased; 0 of a single draw."""
        unbiased = self.samples / max(1, self.samples - 1)
        return (self._square - self._mean.square()).clamp(min=0) * unbiased


class Codes:
    """What the codes of all data tell about a group's dimensions, added up block by block: no datum's own is kept."""

    kl_per_dimension: Tensor | None
    """`Code.kl` averaged over the data, ``event``."""

    def __init__(self, like: Moments):
        zero = like.mean.new_zeros(like.mean.shape[1:], dtype=torch.float64)
        self.count, self._mean, self._variance = 0, zero, zero
        self._noise: Tensor | None = zero
        self.kl_per_dimension = zero

    def add(self, code: Code) -> None:
        """Count the data of ``code``: variances of parts make that of the whole with the distance of their means."""
        new = len(code.mean)
        self.count += new
        share = new / self.count
        variance, mean = torch.var_mean(code.mean, 0, correction=0)
        between = share * (1 - share) * (mean - self._mean).square()
        self._variance = self._variance.lerp(variance, share) + between
        self._mean = self._mean.lerp(mean, share)
        self._noise = _averaged(self._noise, code.noise, share)
        self.kl_per_dimension = _averaged(self.kl_per_dimension, None if code.kl is None else code.kl.mean(0), share)

    @property
    def active_units(self) -> int | None:
        """Dimensions with Var_x( E[z_i | x] ) > 0.01, the noise of the estimated E[z_i | x] taken off.

        None where there are too few draws to tell: the noise is unknown, or twice its standard error, noise sqrt(2 / N)
        of N data, is above 0.01.

        Reference: Burda, Grosse, Salakhutdinov (2016), arXiv:1509.00519.
        """
        if self._noise is None or 2 * float(self._noise.max()) * math.sqrt(2 / self.count) > ACTIVE:
            return None
        return int((self._variance - self._noise > ACTIVE).sum())


def _averaged(before: Tensor | None, new: Tensor | None, share: float) -> Tensor | None:
    """The mean with that of new data, which are a ``share`` of all; None where either is not known."""
    return None if before is None or new is None else before.lerp(new, share)
