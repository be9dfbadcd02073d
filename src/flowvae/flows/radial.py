"""Radial flow."""

import torch
from torch import Tensor

from flowvae.distributions.diagonal import positive
from flowvae.flows.base import Cost, Flow
from flowvae.flows.parameters import Parameters, Sharing
from flowvae.registry import Count, register
from flowvae.transforms import Composed, RadialTransform, Transform


@register("flow", "radial")
class Radial(Flow):
    """Radial flow: K steps z_k = z_{k-1} + beta (z_{k-1} - c) / (alpha + |z_{k-1} - c|), towards or away from a centre.

    alpha > 0 and beta > -alpha make every step invertible: beta + alpha = alpha sigma(b), where sigma is softplus
    shifted so that b = 0 is beta = 0, the identity. (c, alpha, b) are ``amortised``, linear in the context, or
    ``shared`` by all data; ``auto`` is amortised where there is a context.

    Shapes: h ``(*, context)``, points ``(*, D)``. Raises `InputError` for amortised parameters without a context.

    Reference: Rezende and Mohamed (2015), arXiv:1505.05770.
    """

    cost = Cost("1 pass", "1 pass: the inverse is a closed form")

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        steps: Count = 8,
        parameters: Sharing = "auto",
    ):
        super().__init__(event_shape, context)
        (self.dim,) = self.event_shape
        self.steps = steps
        start = torch.randn(steps, self.dim + 2)
        start[:, -1].mul_(0.01)  # a small beta: the flow begins close to the identity
        self.phi = Parameters(start.flatten(), context, parameters)
        self.context = self.phi.context

    def forward(self, h: Tensor | None = None) -> Transform:
        centre, a, b = self.phi(h).unflatten(-1, (self.steps, -1)).split([self.dim, 1, 1], -1)
        alpha = positive(a)
        gamma = alpha * positive(b)
        steps = zip(centre.unbind(-2), alpha[..., 0].unbind(-1), gamma[..., 0].unbind(-1), strict=True)
        return Composed([RadialTransform(*step) for step in steps])
