"""The Gaussian likelihood with learned variance."""

from typing import Annotated

from torch import Tensor
from torch.distributions import Independent, Normal

from flowvae.likelihoods.base import Located, Scale
from flowvae.registry import Kind, Spec, register


@register("likelihood", "gaussian")
class GaussianLikelihood(Located):
    """p(x | z) = prod_i N(x_i; mu_i, sigma^2), mu = decoder(z): a density of real values, its variance learned.

    ``scale`` says whether all coordinates share sigma, those of a channel do, or the decoder gives each its own.
    Shapes: z ``(*, *in_shape)`` to a distribution over ``event_shape``. A density of bytes without noise on them has no
    upper bound, and is no figure in bits: see the discretised likelihoods.
    """

    accepts = ("unit", "real")

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        decoder: Annotated[Spec, Kind("decoder")] = "mlp",
        scale: Scale = "channel",
    ):
        super().__init__(in_shape, event_shape, decoder, scale, start_scale=1.0)

    def forward(self, c: Tensor) -> Independent:
        return Independent(Normal(*self.located(c)), self.event_dims)
