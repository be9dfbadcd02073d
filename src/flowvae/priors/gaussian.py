"""The Gaussian prior."""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from flowvae import registry
from flowvae.conditional import Conditional
from flowvae.nn import MLP, Activation
from flowvae.registry import Count, Kind, NonNegative, Spec, register


@register("prior", "gaussian")
class Gaussian(Conditional):
    """p(z | c) = family(MLP(c)): a normal distribution that its condition chooses, or a learned one where c is empty.

    Shapes: c ``(*, context)`` to a distribution over ``(D,)`` with batch ``(*)``. ``depth`` 0 makes its parameters
    linear in c.

    Reference: He, Gong, Marino, Mori, Lehrmann (2019), "Variational autoencoders with jointly optimized latent
    dependency structure" (the top-down network of a node).
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        family: Annotated[Spec, Kind("family")] = "diagonal",
        width: Count = 128,
        depth: NonNegative = 1,
        activation: Activation = "elu",
    ):
        super().__init__()
        self.family = registry.build("family", family, event_shape)
        size = self.family.size
        self.net = MLP(context, size, width=width, depth=depth, activation=activation) if context else Constant(size)

    def forward(self, c: Tensor) -> Distribution:
        return self.family(self.net(c))


class Constant(nn.Module):
    """``out`` learned numbers, whatever the batch of c ``(*, 0)``: a network without inputs."""

    def __init__(self, out: int):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(out))

    def forward(self, c: Tensor) -> Tensor:
        return self.value.expand(*c.shape[:-1], -1)
