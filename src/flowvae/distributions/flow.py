"""A base distribution seen through a transform."""

from typing import ClassVar

from torch import Tensor
from torch.distributions import Distribution, constraints

from flowvae.distributions.base import Reparameterised, Shape
from flowvae.transforms import Transform


class FlowDistribution(Reparameterised):
    """z = f(z0), z0 ~ base: log q(z) = log q0(z0) - log |det df/dz0| (change of variables).

    Drawing with `rsample_and_log_prob` costs one forward pass of f. ``log_prob`` of a given point inverts f.
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector

    def __init__(self, base: Reparameterised, transform: Transform):
        self.base, self.transform = base, transform
        super().__init__(base.batch_shape, base.event_shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "FlowDistribution":
        return FlowDistribution(self.base.expand(batch_shape), self.transform)

    @property
    def like(self) -> Tensor:
        return self.base.like

    def from_noise(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        z0, log_q0 = self.base.from_noise(eps)
        z, ladj = self.transform.call_and_ladj(z0)
        return z, log_q0 - ladj

    @property
    def by_coordinate(self) -> bool:
        return self.base.by_coordinate and self.transform.by_coordinate

    def terms_from_noise(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        z0, terms = self.base.terms_from_noise(eps)
        z, ladjs = self.transform.call_and_ladjs(z0)
        return z, terms - ladjs

    def log_prob(self, value: Tensor) -> Tensor:
        z0, ladj = self.transform.inverse_and_ladj(value)
        return self.base.log_prob(z0) + ladj
