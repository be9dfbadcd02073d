"""No observation."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowvae.conditional import Conditional
from flowvae.distributions.base import NO_SHAPE, Shape
from flowvae.registry import register


class Nothing(Distribution):
    """Nothing is observed, log p(x) = 0: the 0 that stands for a datum is not looked at."""

    arg_constraints: ClassVar = {}
    support = constraints.real

    def __init__(self, like: Tensor, batch_shape: tuple[int, ...], event_shape: tuple[int, ...]):
        self.like = like
        super().__init__(torch.Size(batch_shape), torch.Size(event_shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.like.new_zeros(self.batch_shape + self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        batch = torch.broadcast_shapes(self.batch_shape, value.shape[: value.ndim - len(self.event_shape)])
        return self.like.new_zeros(batch)

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        return self.mean.expand(self._extended_shape(torch.Size(sample_shape)))


@register("likelihood", "none")
class NoObservation(Conditional):
    """log p(x | z) = 0 for every z: the bound is -KL(q || p), and the posterior is fitted to the prior alone."""

    accepts = ("nothing",)

    def __init__(self, in_shape: tuple[int, ...], event_shape: tuple[int, ...]):
        super().__init__()
        self.in_shape, self.event_shape = in_shape, event_shape

    def forward(self, c: Tensor) -> Nothing:
        return Nothing(c, c.shape[: -len(self.in_shape)], self.event_shape)
