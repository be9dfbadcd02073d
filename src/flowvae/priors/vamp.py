"""The variational mixture of posteriors."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from flowvae.conditional import Conditional
from flowvae.distributions import FlowDistribution, Mixture, Reparameterised
from flowvae.errors import InputError
from flowvae.registry import Count, register
from flowvae.schema import Schema

Encode = Callable[[Tensor, Distribution | None], Distribution]
"""A posterior q(z | h) of features h; it may also see a top-down prior."""


@register("prior", "vamp")
class Vamp(Conditional):
    """p(z) = 1/K sum_k q(z | u_k): the average posterior of K learned pseudo-inputs.

    The posterior is the model's own, and prior and posterior move together. ``inputs`` says what a pseudo-input is:

    - ``data``: a datum ``(K, *event)``, which the encoder reads in every step: the VampPrior as published.
    - ``features``: features ``(K, features)``, where those of data lie. It costs no pass of the encoder, and the prior
      shares with the posterior what is behind the features alone: where that is one linear layer, little ties the
      components to the data but their start.

    Both start at training data. The KL is estimated by Monte Carlo. Temperature scales the noise of the posteriors that
    a draw chooses from.

    Raises `InputError` for a condition c, for a structure that does not bind the prior to its posterior, for a
    posterior with a flow, which every step of training would have to invert, for one that draws not from noise, and for
    pseudo-inputs that would have to be sequences.

    Reference: Tomczak and Welling (2018), arXiv:1705.07120.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        components: Count = 500,
        inputs: Literal["data", "features"] = "features",
    ):
        super().__init__()
        if context:
            raise InputError("expected a group without parents for prior 'vamp'; got a condition: use 'mixture'")
        self.components, self.inputs = components, inputs
        # In tuples, lest the modules of others become parts of this one.
        self.posterior: tuple[Encode, ...] = ()
        self.encoder: tuple[nn.Module, ...] = ()

    @torch.no_grad()
    def bind(self, posterior: Encode, features: int) -> None:
        """Take the posterior of features ``(*, features)``; its parameters remain its own."""
        pseudo = torch.randn(self.components, features)
        q = posterior(pseudo[:1], None)
        if isinstance(q, FlowDistribution):
            raise InputError("expected a posterior without a flow for prior 'vamp'; got one: use prior 'mixture'")
        if not isinstance(q, Reparameterised):
            raise InputError(
                f"expected a posterior that draws from noise for prior 'vamp'; got {type(q).__name__}: "
                "use prior 'mixture'"
            )
        self.posterior = (posterior,)
        if self.inputs == "features":
            self.pseudo = nn.Parameter(pseudo)

    def read_with(self, encoder: nn.Module, event_shape: tuple[int, ...]) -> None:
        """Take the encoder of data ``(*, *event_shape)``; its parameters remain its own."""
        if self.inputs == "data":
            if isinstance(event_shape, Schema):
                raise InputError("expected data that can be learned; got sequences: set inputs = 'features'")
            self.encoder = (encoder,)
            self.pseudo = nn.Parameter(torch.rand(self.components, *event_shape))

    @torch.no_grad()
    def begin_at(self, x: Tensor, encoder: nn.Module) -> None:
        """Let the pseudo-inputs be the data x ``(K, *event)``, or their features."""
        self.pseudo.copy_(x if self.inputs == "data" else encoder(x))

    def forward(self, c: Tensor) -> Mixture:
        if not self.posterior:
            raise InputError(
                "expected a structure that tells its prior 'vamp' the posterior; got one that does not: "
                "use latents 'flat' or 'graph'"
            )
        if self.inputs == "data" and not self.encoder:
            raise InputError(
                "expected a model that tells its prior 'vamp' the encoder; got one that does not: "
                "make it by build_model"
            )
        (posterior,) = self.posterior
        h = self.encoder[0](self.pseudo) if self.encoder else self.pseudo
        q = posterior(h, None).expand((*c.shape[:-1], self.components))
        assert isinstance(q, Reparameterised)
        return Mixture(q.like.new_full(q.batch_shape, -math.log(self.components)), q)
