"""The Bernoulli likelihood."""

from typing import Annotated

import torch
from torch import Tensor

from flowvae import distributions, registry
from flowvae.conditional import Conditional
from flowvae.registry import Kind, Spec, register


@register("likelihood", "bernoulli")
class Bernoulli(Conditional):
    """p(x | z) = prod_i Bernoulli(x_i; sigmoid(l_i)), l = decoder(z): independent binary pixels.

    Shapes: z ``(*, *in_shape)`` to a distribution over ``event_shape``. Grey values in [0, 1] are scored by their
    cross-entropy; figures so obtained are no log-likelihood of grey images.
    """

    accepts = ("binary", "unit")

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        decoder: Annotated[Spec, Kind("decoder")] = "mlp",
    ):
        super().__init__()
        self.event_dims = len(event_shape)
        self.decoder = registry.build("decoder", decoder, in_shape, event_shape)

    def centre(self, mean: Tensor) -> None:
        """Start from the data's mean: the decoder's bias becomes logit(mean), the mean kept 0.01 within [0, 1]."""
        self.decoder.centre(torch.logit(mean, eps=0.01))

    def forward(self, c: Tensor) -> distributions.Bernoulli:
        return distributions.Bernoulli(self.decoder(c), self.event_dims)
