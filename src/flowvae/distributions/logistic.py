"""Logistic distributions over equal levels in [0, 1], and mixtures of them: probabilities of what bytes hold."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import logsigmoid

from flowvae.distributions.base import NO_SHAPE, Shape
from flowvae.precision import in_full_precision


class DiscretisedLogistic(Distribution):
    """P(x_i) = F((x_i + h - mu_i) / s_i) - F((x_i - h - mu_i) / s_i), F the logistic function, over L equal levels.

    x_i is one of 0, 1 / (L - 1), ..., 1, and h = 1 / (2 (L - 1)) half a step. The first bin begins at minus infinity
    and the last one ends at infinity, so that the L probabilities sum to 1. ``loc`` and ``scale`` are ``(*, *event)``,
    and log P a sum over the event, in nats.

    With a and b the two arguments of F, log P = log F(a) + log F(-b) + log(1 - exp(b - a)): no difference of nearly
    equal numbers is taken, however far x lies from mu.

    Reference: Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling (2016), arXiv:1606.04934.
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, loc: Tensor, scale: Tensor, levels: int, event_dims: int):
        self.loc, self.scale = torch.broadcast_tensors(in_full_precision(loc), in_full_precision(scale))
        self.levels = levels
        split = loc.ndim - event_dims
        super().__init__(self.loc.shape[:split], self.loc.shape[split:], validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "DiscretisedLogistic":
        shape = torch.Size(batch_shape) + self.event_shape
        return DiscretisedLogistic(self.loc.expand(shape), self.scale.expand(shape), self.levels, len(self.event_shape))

    def elementwise(self, value: Tensor) -> Tensor:
        """log P of each coordinate, ``(*, *event)``."""
        half = 0.5 / (self.levels - 1)
        above, below = (value + half - self.loc) / self.scale, (value - half - self.loc) / self.scale
        first, last = value < half, value > 1 - half
        width = torch.log(-torch.expm1(-2 * half / self.scale))
        return (
            logsigmoid(above).masked_fill(last, 0)
            + logsigmoid(-below).masked_fill(first, 0)
            + width.expand_as(above).masked_fill(first | last, 0)
        )

    def log_prob(self, value: Tensor) -> Tensor:
        return self.elementwise(value).flatten(-len(self.event_shape)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self.moments()[0]

    @property
    def variance(self) -> Tensor:
        first, second = self.moments()
        return second - first.square()

    def moments(self) -> tuple[Tensor, Tensor]:
        """E[x_i] and E[x_i^2], exactly: sums of P(x_i >= level) over the levels, which costs L passes."""
        first, second = torch.zeros_like(self.loc), torch.zeros_like(self.loc)
        top = self.levels - 1
        for k in range(1, self.levels):
            survival = torch.sigmoid((self.loc - (k - 0.5) / top) / self.scale)
            first = first + survival / top
            second = second + survival * (2 * k - 1) / top**2
        return first, second

    @torch.no_grad()
    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        return _on_levels(self.loc + self.scale * torch.logit(u, eps=torch.finfo(u.dtype).eps), self.levels)


class MixtureOfLogistics(Distribution):
    """P(x_i) = sum_k w_ik P_k(x_i): at every coordinate its own mixture of K discretised logistics.

    ``logits`` are log w up to a constant, ``(*, K, *event)``; ``components`` have batch ``(*, K)``. Coordinates are
    independent of each other, colours included.

    Reference: Salimans, Karpathy, Chen, Kingma (2017), arXiv:1701.05517, without its coupling of colours.
    """

    arg_constraints: ClassVar = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, components: DiscretisedLogistic):
        self.components = components
        self.axis = -1 - len(components.event_shape)
        self.log_weights = in_full_precision(logits).log_softmax(self.axis)
        super().__init__(components.batch_shape[:-1], components.event_shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "MixtureOfLogistics":
        batch = (*batch_shape, self.components.batch_shape[-1])
        return MixtureOfLogistics(self.log_weights.expand(*batch, *self.event_shape), self.components.expand(batch))

    def log_prob(self, value: Tensor) -> Tensor:
        terms = self.log_weights + self.components.elementwise(value.unsqueeze(self.axis))
        return terms.logsumexp(self.axis).flatten(-len(self.event_shape)).sum(-1)

    @property
    def mean(self) -> Tensor:
        return self._average(self.components.moments()[0])

    @property
    def variance(self) -> Tensor:
        first, second = map(self._average, self.components.moments())
        return second - first.square()

    @torch.no_grad()
    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        draws = self.components.sample(sample_shape)
        weights = self.log_weights.expand_as(draws)
        # the largest of log w plus Gumbel noise is a draw from w
        gumbel = -torch.log(-torch.log(torch.rand_like(weights).clamp(min=torch.finfo(weights.dtype).tiny)))
        chosen = (weights + gumbel).argmax(self.axis, keepdim=True)
        return draws.gather(self.axis, chosen).squeeze(self.axis)

    def _average(self, t: Tensor) -> Tensor:
        return (self.log_weights.exp() * t).sum(self.axis)


def _on_levels(x: Tensor, levels: int) -> Tensor:
    """The nearest of the levels 0, 1 / (L - 1), ..., 1."""
    return (x * (levels - 1)).round().clamp(0, levels - 1) / (levels - 1)


def bits_per_dimension(log_p: float, event_shape: tuple[int, ...]) -> float:
    """-log2 P(x) / D for log P in nats.

    >>> bits_per_dimension(-3072 * 8 * math.log(2), (3, 32, 32))
    8.0
    """
    return -log_p / (math.prod(event_shape) * math.log(2))
