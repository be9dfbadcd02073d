"""The Gaussian posterior, with or without a flow on top."""

from typing import Annotated

from torch import nn

from flowvae import registry
from flowvae.posteriors.base import Amortised, Posterior, flowed
from flowvae.registry import Kind, NonNegative, Spec, register


@register("posterior", "gaussian")
def gaussian(
    features: int,
    event_shape: tuple[int, ...],
    *,
    family: Annotated[Spec, Kind("family")] = "diagonal",
    flow: Annotated[Spec | None, Kind("flow")] = None,
    context: NonNegative = 64,
) -> Posterior:
    """q(z | x) = family(linear(h)), and through ``flow`` if one is given.

    The flow sees the encoder through a context of ``context`` features, linear in h; 0 gives it none, and one that has
    no use for a context gets none. A Gaussian posterior with a flow is that of Rezende and Mohamed (2015),
    arXiv:1505.05770, and Kingma et al. (2016), arXiv:1606.04934.
    """
    distributions = registry.build("family", family, event_shape)
    base = Amortised(nn.Linear(features, distributions.size), distributions)
    if flow is None:
        return base
    return flowed(base, features, event_shape, flow, context)
