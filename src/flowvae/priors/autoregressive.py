"""The autoregressive prior."""

import torch
from torch import Tensor

from flowvae.conditional import Conditional
from flowvae.distributions import Ancestral, DiagonalNormal, Mixture
from flowvae.distributions.diagonal import positive
from flowvae.nn import MADE, Activation, Autoregression
from flowvae.registry import Count, register


@register("prior", "autoregressive")
class AutoregressivePrior(Conditional):
    """p(z | c) = prod_i p(z_i | z_<i, c): a MADE tells each conditional, a mixture of ``components`` normals.

    One component makes conditionals Gaussian. Scoring is one pass; ancestral sampling takes the work of about one.
    Temperature scales the noise of the components and leaves their weights. The condition is c ``(*, context)``.

    Reference: Germain, Gregor, Murray, Larochelle (2015), arXiv:1502.03509; as a prior, Chen et al. (2017),
    arXiv:1611.02731.
    """

    origin: Tensor

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        components: Count = 1,
        width: Count = 320,
        depth: Count = 2,
        activation: Activation = "elu",
    ):
        super().__init__()
        (dim,) = event_shape
        self.register_buffer("origin", torch.zeros(dim), persistent=False)
        self.net = MADE(dim, context, outputs=3 * components, width=width, depth=depth, activation=activation)
        with torch.no_grad():
            # equal components would stay equal: their means start at quantiles of N(0, 1)
            middles = (torch.arange(components) + 0.5) / components
            self.net.out.bias.unflatten(0, (3, components, dim))[1].copy_(
                torch.special.ndtri(middles)[:, None].expand(-1, dim)
            )

    def forward(self, c: Tensor) -> Ancestral:
        net = Autoregression(self.net, c if self.net.context is not None else None)
        return Ancestral(net, _mixture, self.origin.expand(*c.shape[:-1], -1))


def _mixture(*phi: Tensor) -> Mixture:
    """Over ``(1,)``: from the unnormalised log-weights of K components, then their means, then their scales."""
    s, loc, scale = torch.stack(phi, -1).chunk(3, -1)
    return Mixture(s.log_softmax(-1), DiagonalNormal(loc[..., None], positive(scale)[..., None].log()))
