"""The Gaussian posterior fused with the top-down prior."""

from typing import Annotated

from torch import nn

from flowvae import registry
from flowvae.nn import MLP, Activation
from flowvae.posteriors.base import Amortised, Behind, Fused, Posterior, flowed
from flowvae.registry import Count, Kind, NonNegative, Spec, register


@register("posterior", "fused")
def fused(
    features: int,
    event_shape: tuple[int, ...],
    *,
    family: Annotated[Spec, Kind("family")] = "diagonal",
    flow: Annotated[Spec | None, Kind("flow")] = None,
    context: NonNegative = 64,
    width: Count = 128,
    depth: NonNegative = 2,
    activation: Activation = "elu",
) -> Posterior:
    """q(z | x, c) proportional to family(linear(h_n)) p(z | c), and through ``flow`` if one is given; h_n = MLP(h).

    ``width`` and ``depth`` are those of the bottom-up network, which also makes the flow's context: ``context``
    features, linear in h_n; 0 gives it none. The prior has to be normal.

    Reference: He, Gong, Marino, Mori, Lehrmann (2019), "Variational autoencoders with jointly optimized latent
    dependency structure".
    """
    net = MLP(features, None, width=width, depth=depth, activation=activation)
    distributions = registry.build("family", family, event_shape)
    posterior: Posterior = Fused(Amortised(nn.Linear(net.out, distributions.size), distributions))
    if flow is not None:
        posterior = flowed(posterior, net.out, event_shape, flow, context)
    return Behind(net, posterior)
