"""The discretised logistic likelihood of bytes."""

from typing import Annotated

from torch import Tensor

from flowvae.distributions import DiscretisedLogistic
from flowvae.likelihoods.base import Located, Scale
from flowvae.registry import Kind, Several, Spec, register


@register("likelihood", "discretised_logistic")
class DiscretisedLogisticLikelihood(Located):
    """P(x | z) = prod_i [ F((x_i + h - mu_i) / s) - F((x_i - h - mu_i) / s) ], h half a step between ``levels``.

    A probability of bytes (256 levels), or of other whole numbers over their greatest one, edge bins included: what
    bits per dimension are made of. mu = decoder(z); ``scale`` says whether all coordinates share s, those of a channel
    do, or the decoder gives each its own. Shapes: z ``(*, *in_shape)`` to a distribution over ``event_shape``.

    Reference: Kingma et al. (2016), arXiv:1606.04934, with one global scale.
    """

    accepts = ("levels",)

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        decoder: Annotated[Spec, Kind("decoder")] = "mlp",
        scale: Scale = "global",
        levels: Several = 256,
    ):
        super().__init__(in_shape, event_shape, decoder, scale, start_scale=0.1)
        self.levels = levels

    def forward(self, c: Tensor) -> DiscretisedLogistic:
        return DiscretisedLogistic(*self.located(c), self.levels, self.event_dims)
