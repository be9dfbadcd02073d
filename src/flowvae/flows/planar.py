"""Planar flow."""

from typing import Literal

import torch
from torch import Tensor, nn

from flowvae.distributions import in_full_precision
from flowvae.errors import InputError
from flowvae.flows.base import Flow
from flowvae.registry import Count, register
from flowvae.transforms import Composed, PlanarTransform, Transform


@register("flow", "planar")
class Planar(Flow):
    """Planar flow: K steps z_k = z_{k-1} + u_k tanh(w_k . z_{k-1} + b_k), each invertible by construction.

    (u, w, b) of every step are ``amortised``, a linear function of the context, or ``shared`` by all data; ``auto`` is
    amortised where there is a context. log |det| = sum_k log(1 + (w_k . u_k)(1 - tanh^2)).

    Shapes: h ``(*, context)``, points ``(*, D)``. Raises `InputError` for amortised parameters without a context.

    Reference: Rezende and Mohamed (2015), arXiv:1505.05770.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        steps: Count = 8,
        parameters: Literal["auto", "amortised", "shared"] = "auto",
    ):
        super().__init__(event_shape, context)
        (self.dim,) = self.event_shape
        if parameters == "amortised" and not context:
            raise InputError("expected a context for amortised planar flows; got none: use parameters = 'shared'")
        self.steps = steps
        size = steps * (2 * self.dim + 1)
        self.amortised = nn.Linear(context, size) if context and parameters != "shared" else None
        start = torch.randn(size) / self.dim**0.5
        start.view(steps, -1)[:, : self.dim].mul_(0.01)  # a small u: the flow begins close to the identity
        if self.amortised is None:
            self.shared = nn.Parameter(start)
        else:
            # data start from one common flow, and differ from it by what the context adds
            self.amortised.bias.data.copy_(start)
            self.amortised.weight.data.mul_(0.1)

    def forward(self, h: Tensor | None = None) -> Transform:
        flat = self.shared if self.amortised is None else in_full_precision(self.amortised(h))
        u, w, b = flat.unflatten(-1, (self.steps, -1)).split([self.dim, self.dim, 1], -1)
        steps = zip(u.unbind(-2), w.unbind(-2), b[..., 0].unbind(-1), strict=True)
        return Composed([PlanarTransform(*step) for step in steps])
