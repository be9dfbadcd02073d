"""The variational mixture of posteriors."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from flowvae.conditional import Conditional
from flowvae.distributions import FlowDistribution, Mixture
from flowvae.distributions.base import Reparameterised
from flowvae.errors import InputError
from flowvae.registry import Count, register

Encode = Callable[[Tensor, Distribution | None], Distribution]
"""A posterior q(z | h) of features h; it may also see a top-down prior."""


@register("prior", "vamp")
class Vamp(Conditional):
    """p(z) = 1/K sum_k q(z | u_k): the average posterior of K learned pseudo-inputs, after the VampPrior.

    The posterior is the model's own, and prior and posterior move together. In the VampPrior as published u_k are data,
    and the encoder reads them in every step; here u ``(K, features)`` lie where features of data lie, which costs no
    pass of the encoder, and the prior shares with the posterior what is behind the features alone: where that is one
    linear layer, little ties the components to the data but their start, features of training data. The KL is estimated
    by Monte Carlo. Temperature scales the noise of the posteriors that a draw chooses from.

    Raises `InputError` for a condition c, for a structure that does not bind the prior to its posterior, and for a
    posterior with a flow, which every step of training would have to invert.

    Reference: Tomczak and Welling (2018), arXiv:1705.07120.
    """

    def __init__(self, event_shape: tuple[int, ...], context: int = 0, *, components: Count = 500):
        super().__init__()
        if context:
            raise InputError("expected a group without parents for prior 'vamp'; got a condition: use 'mixture'")
        self.components = components

    def bind(self, posterior: Encode, features: int) -> None:
        """Take the posterior of features ``(*, features)``; its parameters remain its own."""
        self.pseudo = nn.Parameter(torch.randn(self.components, features))
        self.posterior = (posterior,)  # in a tuple, lest a module become part of this one
        with torch.no_grad():
            if isinstance(self._components(), FlowDistribution):
                raise InputError("expected a posterior without a flow for prior 'vamp'; got one: use prior 'mixture'")

    @torch.no_grad()
    def begin_at(self, features: Tensor) -> None:
        """Let the pseudo-inputs be features of data, ``(K, features)``."""
        self.pseudo.copy_(features)

    def forward(self, c: Tensor) -> Mixture:
        if not hasattr(self, "posterior"):
            raise InputError(
                "expected a structure that tells its prior 'vamp' the posterior: use latents 'flat' or 'graph'"
            )
        q = self._components().expand((*c.shape[:-1], self.components))
        assert isinstance(q, Reparameterised)
        return Mixture(q.like.new_full(q.batch_shape, -math.log(self.components)), q)

    def _components(self) -> Distribution:
        (posterior,) = self.posterior
        return posterior(self.pseudo, None)
