"""The continuous Bernoulli likelihood of intensities."""

from typing import Annotated

import torch
from torch import Tensor

from flowvae.distributions import ContinuousBernoulli
from flowvae.likelihoods.base import Decoded
from flowvae.registry import Kind, Spec, register


@register("likelihood", "continuous_bernoulli")
class ContinuousBernoulliLikelihood(Decoded):
    """p(x | z) = prod_i exp(l_i x_i) l_i / (e^l_i - 1), l = decoder(z): a density of intensities in [0, 1].

    Shapes: z ``(*, *in_shape)`` to a distribution over ``event_shape``.

    Reference: Loaiza-Ganem and Cunningham (2019), arXiv:1907.06845.
    """

    accepts = ("unit",)

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        decoder: Annotated[Spec, Kind("decoder")] = "mlp",
    ):
        super().__init__(in_shape, event_shape, decoder)

    def centre(self, mean: Tensor) -> None:
        """Start at logit(mean), the mean kept 0.01 within [0, 1]: the distribution's own lies between it and 1/2."""
        self.start(torch.logit(mean, eps=0.01))

    def forward(self, c: Tensor) -> ContinuousBernoulli:
        (logits,) = self.parameters_of(c)
        return ContinuousBernoulli(logits, self.event_dims)
