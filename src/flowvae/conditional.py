"""The contract that priors and likelihoods share."""

from abc import ABC, abstractmethod

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
