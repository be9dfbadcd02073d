"""A normalising flow as the likelihood."""

import math
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, TransformedDistribution
from torch.distributions.transforms import ReshapeTransform

from flowvae import registry
from flowvae.conditional import Conditional
from flowvae.distributions import FlowDistribution, standard_normal
from flowvae.errors import InputError
from flowvae.registry import Count, Kind, Spec, register
from flowvae.transforms import Affine, Composed, Coupling

DECODER, CONTEXT = "mlp", 64


@register("likelihood", "flow")
class FlowLikelihood(Conditional):
    """p(x | z): x = m + s f(eps; h) with eps ~ N(0, I) and h = decoder(z) of ``context`` features: exact, for real x.

    Without latents there is no h, and the model is a density of the data alone. f is the ``flow``, or its inverse, the
    way round that scores given data fast: with `maf`, or with `iaf`, it is a masked autoregressive flow. m starts as
    the mean of the data and s as 1, a coordinate each: data of another scale are best divided by it first.

    Shapes: z ``(*, *in_shape)`` to a distribution over ``event_shape``. Values that are rounded, as those of pixels
    are, have no density: they are scored, but a flow can raise their score without bound. Raises `InputError` where
    there are latents and the flow takes no notice of a context, and where there are none and ``decoder`` or ``context``
    are changed.

    Reference: Papamakarios, Nalisnick, Rezende, Mohamed, Lakshminarayanan (2021), arXiv:1912.02762.
    """

    accepts = ("unit", "real")
    kept: Tensor

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        flow: Annotated[Spec, Kind("flow")] = "spline",
        decoder: Annotated[Spec, Kind("decoder")] = DECODER,
        context: Count = CONTEXT,
    ):
        super().__init__()
        usual = context == CONTEXT and registry.resolve("decoder", decoder) == registry.resolve("decoder", DECODER)
        if not (math.prod(in_shape) or usual):
            raise InputError(
                "expected no options of the likelihood's decoder or context without latents, from which they would "
                "decode; got some: leave likelihood.decoder and likelihood.context out"
            )
        self.in_shape, self.event_shape = in_shape, torch.Size(event_shape)
        dim, context = math.prod(event_shape), context if math.prod(in_shape) else 0
        self.decoder = registry.build("decoder", decoder, in_shape, (context,)) if context else None
        self.flow = registry.build("flow", flow, (dim,), context)
        if context and not self.flow.context:
            raise InputError(
                "expected a flow that takes a context, by which data depend on latents; got one that takes none: "
                "use another, such as 'iaf', or the latents 'none'"
            )
        self.loc = nn.Parameter(torch.zeros(dim))
        self.log_scale = nn.Parameter(torch.zeros(dim))
        self.register_buffer("kept", torch.zeros(dim, dtype=torch.bool), persistent=False)

    @torch.no_grad()
    def centre(self, mean: Tensor) -> None:
        """Start from the data's mean."""
        self.loc.copy_(mean.flatten())

    def forward(self, c: Tensor) -> Distribution:
        f = self.flow.scoring(None if self.decoder is None else self.decoder(c))
        scaled = Coupling(lambda x: (self.loc, self.log_scale), Affine(), self.kept)  # each coordinate by itself
        base = standard_normal(self.loc.expand(*c.shape[: -len(self.in_shape)], -1))
        p = FlowDistribution(base, Composed([f, scaled]))
        if len(self.event_shape) == 1:
            return p
        return TransformedDistribution(p, [ReshapeTransform(p.event_shape, self.event_shape)])
