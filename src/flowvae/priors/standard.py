"""The standard normal prior."""

import torch
from torch import Tensor

from flowvae.conditional import Conditional
from flowvae.distributions import DiagonalNormal
from flowvae.registry import register


@register("prior", "standard")
class Standard(Conditional):
    """p(z) = N(0, I), whatever the condition c ``(*, context)``: a distribution over ``(D,)`` with batch ``(*)``."""

    zero: Tensor

    def __init__(self, event_shape: tuple[int, ...], context: int = 0):
        super().__init__()
        self.register_buffer("zero", torch.zeros(event_shape), persistent=False)

    def forward(self, c: Tensor) -> DiagonalNormal:
        zero = self.zero.expand(c.shape[:-1] + self.zero.shape)
        return DiagonalNormal(zero, zero, validate_args=False)
