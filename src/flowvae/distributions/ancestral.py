"""A distribution over vectors, one coordinate given those before it."""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowvae.distributions.base import Sampled, Shape
from flowvae.nn import Autoregression


class Ancestral(Sampled):
    """p(z) = prod_i p(z_i | z_j before i), each conditional made from what ``net`` tells of the coordinates before it.

    Scoring is one pass of ``net``. Ancestral sampling takes the work of about one, coordinate by coordinate; a
    temperature is that of every conditional.

    Args:
        net: autoregressive map from z ``(*, D)`` to parameters, each ``(*, D)``.
        conditional: maps those parameters, each ``(*)``, to a distribution over ``(1,)``.
        origin: zeros ``(*, D)``; tells batch, type and device.
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector

    def __init__(self, net: Autoregression, conditional: Callable[..., Sampled], origin: Tensor):
        self.net, self.conditional, self.origin = net, conditional, origin
        super().__init__(origin.shape[:-1], origin.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "Ancestral":
        return Ancestral(self.net, self.conditional, self.origin.expand(*batch_shape, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.conditional(*self.net(value)).log_prob(value[..., None]).sum(-1)

    def draw(self, shape: torch.Size, temperature: float = 1.0) -> Tensor:
        def coordinate(_: Tensor, *phi: Tensor) -> Tensor:
            return self.conditional(*phi).draw(phi[0].shape, temperature)[..., 0]

        return self.net.solve(self.origin.expand(*shape, -1), coordinate)
