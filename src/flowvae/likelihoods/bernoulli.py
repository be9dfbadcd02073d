"""The Bernoulli likelihood."""

from typing import Annotated

import torch
from torch import Tensor

from flowvae import distributions
from flowvae.likelihoods.base import Decoded
from flowvae.registry import Kind, Spec, register


@register("likelihood", "bernoulli")
class Bernoulli(Decoded):
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
        super().__init__(in_shape, event_shape, decoder)

    def centre(self, mean: Tensor) -> None:
        """Start near the data's mean: at logit(mean), the mean kept 0.01 within [0, 1]."""
        self.start(torch.logit(mean, eps=0.01))

    def forward(self, c: Tensor) -> distributions.Bernoulli:
        (logits,) = self.parameters_of(c)
        return distributions.Bernoulli(logits, self.event_dims)
