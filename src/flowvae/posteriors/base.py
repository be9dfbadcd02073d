"""The contract of a posterior, and the wrappers that every posterior is made of."""

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.distributions import Distribution

from flowvae import registry
from flowvae.distributions import Family, FlowDistribution, Reparameterised, product
from flowvae.errors import InputError
from flowvae.flows import Flow
from flowvae.registry import Spec


class Posterior(nn.Module, ABC):
    """q(z | x, c): built as ``Posterior(features, event_shape, **options)``.

    ``forward(h, p)`` takes the encoder's features h ``(*, features)`` and the top-down prior p of the group, None where
    the posterior is not to see it.
    """

    @abstractmethod
    def forward(self, h: Tensor, p: Distribution | None) -> Distribution:
        """The approximate posterior, with h's batch, or the broadcast of h's and p's."""


class Amortised(Posterior):
    """q(z | x) = family(net(h)): a network gives every datum the parameters of its own distribution."""

    def __init__(self, net: nn.Module, family: Family):
        super().__init__()
        self.net = net
        self.family = family

    def forward(self, h: Tensor, p: Distribution | None) -> Distribution:
        return self.family(self.net(h))


class Fused(Posterior):
    """q(z | x, c) proportional to base(z | x) p(z | c): what the datum says and what the prior says, by precision.

    Reference: Sonderby, Raiko, Maaloe, Sonderby, Winther (2016), arXiv:1602.02282.
    """

    def __init__(self, base: Posterior):
        super().__init__()
        self.base = base

    def forward(self, h: Tensor, p: Distribution | None) -> Distribution:
        q = self.base(h, p)
        return q if p is None else product(q, p)


class Flowed(Posterior):
    """z = f(z0; context(h)), z0 ~ base(h, p): a posterior seen through a flow that knows the datum.

    Raises `InputError` for a base that is no `Reparameterised`: a flow takes the noise of its draws.
    """

    def __init__(self, base: Posterior, flow: Flow, context: nn.Module | None):
        super().__init__()
        self.base = base
        self.flow = flow
        self.context = context

    def forward(self, h: Tensor, p: Distribution | None) -> FlowDistribution:
        base = self.base(h, p)
        if not isinstance(base, Reparameterised):
            raise InputError(
                f"expected a base that draws from noise under a flow; got {type(base).__name__}: leave the flow out"
            )
        return FlowDistribution(base, self.flow(None if self.context is None else self.context(h)))


def flowed(base: Posterior, features: int, event_shape: tuple[int, ...], flow: Spec, context: int) -> Flowed:
    """``base`` through a flow whose context is linear in the encoder's features; none where the flow has no use for it.

    Shapes: h ``(*, features)``, context ``(*, context)``; ``context`` 0 stands for none.
    """
    bijections = registry.build("flow", flow, event_shape, context)
    return Flowed(base, bijections, nn.Linear(features, context) if bijections.context else None)


class Behind(Posterior):
    """posterior(net(h)): a network between the encoder and all that the posterior makes of its features."""

    def __init__(self, net: nn.Module, posterior: Posterior):
        super().__init__()
        self.net = net
        self.posterior = posterior

    def forward(self, h: Tensor, p: Distribution | None) -> Distribution:
        return self.posterior(self.net(h), p)
