"""The mixture prior."""

import torch
from torch import Tensor, nn

from flowvae import registry
from flowvae.conditional import Conditional
from flowvae.distributions import Mixture, in_full_precision
from flowvae.nn import MLP
from flowvae.registry import Count, NonNegative, Several, register


@register("prior", "mixture")
class MixturePrior(Conditional):
    """p(z | c) = sum_k w_k N(z; mu_k, diag(sigma_k^2)): a learned mixture with w = softmax(s), phi_k = (mu_k, sigma_k).

    s and phi are learned numbers, moved by an MLP of the condition c ``(*, context)`` where there is one. The KL is
    estimated by Monte Carlo. Temperature scales the noise of the components and leaves their weights.

    Reference: Dilokthanakul et al. (2016), arXiv:1611.02648; as a baseline, Tomczak and Welling (2018),
    arXiv:1705.07120.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        components: Several = 10,
        width: Count = 128,
        depth: NonNegative = 1,
    ):
        super().__init__()
        self.family = registry.build("family", "diagonal", event_shape)
        self.s = nn.Parameter(torch.zeros(components))
        # components start apart, since equal ones would stay equal
        self.phi = nn.Parameter(torch.randn(components, self.family.size))
        size = components * (1 + self.family.size)
        self.net = MLP(context, size, width=width, depth=depth, activation="elu") if context else None

    def forward(self, c: Tensor) -> Mixture:
        s, phi = self.s.expand(*c.shape[:-1], -1), self.phi.expand(*c.shape[:-1], -1, -1)
        if self.net is not None:
            shift = in_full_precision(self.net(c)).unflatten(-1, (len(self.s), -1))
            s, phi = s + shift[..., 0], phi + shift[..., 1:]
        return Mixture(s.log_softmax(-1), self.family(phi))
