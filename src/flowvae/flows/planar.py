"""Planar flow."""

import torch
from torch import Tensor

from flowvae.flows.base import Cost, Flow
from flowvae.flows.parameters import Parameters, Sharing
from flowvae.registry import Count, register
from flowvae.transforms import Composed, PlanarTransform, Transform


@register("flow", "planar")
class Planar(Flow):
    """Planar flow: K steps z_k = z_{k-1} + u_k tanh(w_k^T z_{k-1} + b_k), each invertible by construction.

    (u, w, b) of every step are ``amortised``, a linear function of the context, or ``shared`` by all data; ``auto`` is
    amortised where there is a context. log |det| = sum_k log(1 + (w_k^T u_k)(1 - tanh^2)).

    Shapes: h ``(*, context)``, points ``(*, D)``. Raises `InputError` for amortised parameters without a context.

    Reference: Rezende and Mohamed (2015), arXiv:1505.05770.
    """

    cost = Cost("1 pass", "1 pass, and the root of a scalar equation a step")

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
        start = torch.randn(steps, 2 * self.dim + 1) / self.dim**0.5
        start[:, : self.dim].mul_(0.01)  # a small u: the flow begins close to the identity
        self.phi = Parameters(start.flatten(), context, parameters)
        self.context = self.phi.context

    def forward(self, h: Tensor | None = None) -> Transform:
        u, w, b = self.phi(h).unflatten(-1, (self.steps, -1)).split([self.dim, self.dim, 1], -1)
        steps = zip(u.unbind(-2), w.unbind(-2), b[..., 0].unbind(-1), strict=True)
        return Composed([PlanarTransform(*step) for step in steps])
