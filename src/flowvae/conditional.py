"""The contract that priors and likelihoods share."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution


class Conditional(nn.Module, ABC):
    """A distribution given a condition: ``forward(c)`` maps c to a torch distribution with c's batch.

    A prior is built as ``Prior(event_shape, context, **options)`` and takes c ``(*, context)``, of width 0 for a node
    without parents. One that has a method ``bind`` is given the posterior of its group, and how many features that
    takes. A likelihood is built as ``Likelihood(in_shape, event_shape, **options)`` and takes the decoder's input
    ``(*, *in_shape)``.
    """

    @abstractmethod
    def forward(self, c: Tensor) -> Distribution:
        """p(. | c)."""


class Augmented(Conditional):
    """A likelihood with noise v of its own: log p(x | z) >= E_q(v | x)[ log p(x | z, v) + log p(v) - log q(v | x) ].

    The model draws v as it draws latents, and counts the one-draw estimate of the bound as log p(x | z): what is paid
    for v belongs to the datum, so that no weight of the rate and no free bits can make it cheaper. ``forward(c)`` is
    p(x | z), to be drawn from.
    """

    @abstractmethod
    def noise(self, x: Tensor, batch: torch.Size) -> tuple[Distribution, Callable[[], Distribution]]:
        """p(v), and what makes q(v | x), for x ``(B, *event)`` in a ``batch`` ``(S, B)``: both over vectors."""

    @abstractmethod
    def log_prob(self, c: Tensor, x: Tensor, v: Tensor) -> Tensor:
        """log p(x | z, v) ``(S, B)`` for the condition c of z, x ``(B, *event)`` and v ``(S, B, D)``, in nats."""
