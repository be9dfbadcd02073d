"""A mixture of distributions over vectors."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowvae.distributions.base import Reparameterised, Sampled, Shape


class Mixture(Sampled):
    """p(z) = sum_k w_k p_k(z): normalised ``log_weights`` ``(*, K)``, and ``components`` of batch ``(*, K)``.

    A draw chooses a component by its weight; a temperature scales the noise of the component, and leaves the weights.
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector

    def __init__(self, log_weights: Tensor, components: Reparameterised):
        self.log_weights, self.components = log_weights, components
        super().__init__(log_weights.shape[:-1], components.event_shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "Mixture":
        shape = (*batch_shape, self.log_weights.shape[-1])
        return Mixture(self.log_weights.expand(shape), self.components.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.logsumexp(self.log_weights + self.components.log_prob(value[..., None, :]), -1)

    def draw(self, shape: torch.Size, temperature: float = 1.0) -> Tensor:
        like = self.components.like
        uniform = torch.rand(*shape, 1, dtype=like.dtype, device=like.device)
        # thresholds between the components: rounding may move one, but chooses none that is not there
        chosen = (uniform > self.log_weights.exp().cumsum(-1)[..., :-1]).sum(-1)[..., None, None]
        eps = temperature * torch.randn(*shape, 1, *self.event_shape, dtype=like.dtype, device=like.device)
        everywhere = torch.Size((*shape, self.log_weights.shape[-1]))
        z, _ = self.components.expand(everywhere).from_noise(eps.expand(everywhere + self.event_shape))
        return z.take_along_dim(chosen, -2)[..., 0, :]
