"""The flow prior."""

from typing import Annotated

from torch import Tensor

from flowvae import registry
from flowvae.conditional import Conditional
from flowvae.distributions import FlowDistribution
from flowvae.registry import Kind, Spec, register


@register("prior", "flow")
class FlowPrior(Conditional):
    """log p(z | c) = log N(f(z); mu, diag(sigma^2)) + log |det df/dz|: a flow f from z to a normal, all learned.

    f is the flow in its fast direction, because training scores: the map of `iaf`, or the inverse of `maf`. With either
    the prior is what is called a masked autoregressive flow, and scores in one pass of its networks. Samples are
    z = f^-1(mu + sigma eps), and temperature scales eps. The condition c ``(*, context)`` is the flow's context, and
    moves mu and sigma. A normal with a shape of its own lets flows that preserve volume make a difference.

    Reference: Chen et al. (2017), arXiv:1611.02731; Papamakarios, Pavlakou, Murray (2017), arXiv:1705.07057.
    """

    def __init__(self, event_shape: tuple[int, ...], context: int = 0, *, flow: Annotated[Spec, Kind("flow")] = "iaf"):
        super().__init__()
        self.flow = registry.build("flow", flow, event_shape, context)
        self.base = registry.build("prior", "gaussian", event_shape, context)

    def forward(self, c: Tensor) -> FlowDistribution:
        return FlowDistribution(self.base(c), self.flow.scoring(c if self.flow.context else None))
