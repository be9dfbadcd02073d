"""The continuous Bernoulli distribution, by logits."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowvae.distributions.base import NO_SHAPE, Shape
from flowvae.precision import in_full_precision

SMALL = 0.3
"""Below this |l| / 2 a series replaces what would lose its digits."""


class ContinuousBernoulli(Distribution):
    """p(x_i) = exp(l_i x_i) / Z(l_i) on [0, 1], Z(l) = (e^l - 1) / l: the Bernoulli likelihood made a density.

    ``logits`` l are ``(*, *event)``, and log p a sum over the event, in nats. With b = |l| / 2,
    log Z = l / 2 + log(sinh(b) / b), which neither saturates nor loses digits at l = 0.

    Reference: Loaiza-Ganem and Cunningham (2019), arXiv:1907.06845.
    """

    arg_constraints: ClassVar = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, event_dims: int):
        self.logits = in_full_precision(logits)
        split = logits.ndim - event_dims
        super().__init__(logits.shape[:split], logits.shape[split:], validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "ContinuousBernoulli":
        return ContinuousBernoulli(
            self.logits.expand(torch.Size(batch_shape) + self.event_shape), len(self.event_shape)
        )

    def log_prob(self, value: Tensor) -> Tensor:
        small, b = self._parts()
        series = small.square() * (1 / 6 - small.square() * (1 / 180 - small.square() * (1 / 2835 - small**2 / 37800)))
        exact = b + torch.log(-torch.expm1(-2 * b) / (2 * b))
        terms = (value - 0.5) * self.logits - torch.where(self._is_small, series, exact)
        return terms.flatten(-len(self.event_shape)).sum(-1)

    @property
    def mean(self) -> Tensor:
        small, b = self._parts()
        series = small * (1 / 3 - small.square() * (1 / 45 - small.square() * (2 / 945 - small.square() / 4725)))
        langevin = torch.where(self._is_small, series, 1 / torch.tanh(b) - 1 / b)
        return 0.5 + 0.5 * langevin * self.logits.sign()

    @property
    def variance(self) -> Tensor:
        small, b = self._parts()
        series = 1 / 3 - small.square() * (1 / 15 - small.square() * (2 / 189 - small.square() / 675))
        exact = b**-2 - (2 * torch.exp(-b) / -torch.expm1(-2 * b)).square()
        return 0.25 * torch.where(self._is_small, series, exact)

    @torch.no_grad()
    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        slope = self.logits.abs().clamp(min=1e-6)
        x = (1 + torch.log1p((1 - u) * torch.expm1(-slope)) / slope).clamp(0, 1)  # the inverse of F, for l > 0
        return torch.where(self.logits < 0, 1 - x, x)

    @property
    def _is_small(self) -> Tensor:
        return self.logits.abs() < 2 * SMALL

    def _parts(self) -> tuple[Tensor, Tensor]:
        """b = |l| / 2 for the series and for the closed form, each kept where it holds."""
        b = 0.5 * self.logits.abs()
        return b.clamp(max=SMALL), b.clamp(min=SMALL)
