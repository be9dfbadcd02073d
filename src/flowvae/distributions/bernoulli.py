"""Independent Bernoulli variables, by logits."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn.functional import softplus

from flowvae.distributions.base import NO_SHAPE, Shape
from flowvae.precision import in_full_precision


class Bernoulli(Distribution):
    """Independent Bernoulli variables with the given ``logits`` ``(*, *event)``.

    log p(x) = sum_i [ x_i l_i - softplus(l_i) ], in nats, which never saturates. For x in [0, 1] it is the negative
    cross-entropy, as is customary for grey pixels taken as probabilities.
    """

    arg_constraints: ClassVar = {"logits": constraints.real}
    support = constraints.unit_interval

    def __init__(self, logits: Tensor, event_dims: int):
        self.logits = in_full_precision(logits)
        split = logits.ndim - event_dims
        super().__init__(logits.shape[:split], logits.shape[split:], validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "Bernoulli":
        return Bernoulli(self.logits.expand(torch.Size(batch_shape) + self.event_shape), len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.logits)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean)

    @property
    def _log_partition(self) -> Tensor:
        """log(1 + e^l), a straight line only where double precision agrees (torch's own limit is 20)."""
        return softplus(self.logits, threshold=40)

    def log_prob(self, value: Tensor) -> Tensor:
        value = value.to(self.logits.dtype)
        if torch.is_grad_enabled():
            return self._summed(value * self.logits - self._log_partition)
        # softplus(l) = (l + |l|) / 2 - log sigmoid(|l|), and logarithms of a few products cost half as much
        size = self.logits.abs()
        terms = ((value - 0.5) * self.logits).sub_(size, alpha=0.5)
        products = _products(size.sigmoid_().flatten(-len(self.event_shape)))
        return self._summed(terms) + products.log().sum(-1)

    def _summed(self, terms: Tensor) -> Tensor:
        return terms.flatten(-len(self.event_shape)).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        mean = self.mean.expand(self._extended_shape(torch.Size(sample_shape)))
        return (torch.rand_like(mean) < mean).to(mean.dtype)

    def entropy(self) -> Tensor:
        """sum_i [ softplus(l_i) - l_i sigmoid(l_i) ], in nats."""
        return self._summed(self._log_partition - self.logits * self.mean)


def _products(factors: Tensor) -> Tensor:
    """Products of factors in [1/2, 1] ``(*, D)``, of up to 64 each, so that none underflows."""
    for _ in range(6):
        if factors.shape[-1] % 2 == 0:
            first, second = factors.chunk(2, -1)
            factors = first * second
    return factors
