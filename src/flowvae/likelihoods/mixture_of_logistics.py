"""The mixture of discretised logistics, a likelihood of bytes."""

from typing import Annotated

import torch
from torch import Tensor

from flowvae.distributions import DiscretisedLogistic, MixtureOfLogistics
from flowvae.distributions.diagonal import positive
from flowvae.likelihoods.base import Decoded
from flowvae.registry import Count, Kind, Several, Spec, register

START = 0.1
"""The scale of every component at s = 0."""


@register("likelihood", "mixture_of_logistics")
class MixtureOfLogisticsLikelihood(Decoded):
    """P(x | z) = prod_i sum_k w_ik P_k(x_i): ``components`` discretised logistics a coordinate, all from the decoder.

    Coordinates are independent given z, colours included. ``levels`` as in `discretised_logistic`.
    Shapes: z ``(*, *in_shape)`` to a distribution over ``event_shape``.

    Reference: Salimans, Karpathy, Chen, Kingma (2017), arXiv:1701.05517, without its coupling of colours.
    """

    accepts = ("levels",)

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        decoder: Annotated[Spec, Kind("decoder")] = "mlp",
        components: Count = 5,
        levels: Several = 256,
    ):
        super().__init__(in_shape, event_shape, decoder, parts=3 * components)
        self.components, self.levels = components, levels

    def centre(self, mean: Tensor) -> None:
        """Start from the data's mean, the components spread around it by half a unit either way."""
        k = self.components
        spread = torch.linspace(-0.5, 0.5, k) if k > 1 else torch.zeros(1)
        zeros = [torch.zeros_like(mean)] * k
        self.start(*zeros, *(mean + shift for shift in spread), *zeros)

    def forward(self, c: Tensor) -> MixtureOfLogistics:
        axis = -1 - self.event_dims
        logits, loc, s = torch.stack(self.parameters_of(c), axis).chunk(3, axis)
        return MixtureOfLogistics(logits, DiscretisedLogistic(loc, START * positive(s), self.levels, self.event_dims))
