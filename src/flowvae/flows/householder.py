"""Householder flow."""

import torch
from torch import Tensor

from flowvae.errors import InputError
from flowvae.flows.base import Cost, Flow
from flowvae.flows.parameters import Parameters, Sharing
from flowvae.registry import Count, register
from flowvae.transforms import Composed, Reflected, Transform


@register("flow", "householder")
class Householder(Flow):
    """Householder flow: K reflections z_k = (I - 2 v_k v_k^T / |v_k|^2) z_{k-1}, together any rotation for K >= D.

    It preserves volume, and turns a diagonal normal into one of full covariance. The v are ``amortised``, linear in
    the context, or ``shared`` by all data; ``auto`` is amortised where there is a context. (The paper makes v_k from
    v_{k-1}.)

    Shapes: h ``(*, context)``, points ``(*, D)``. Raises `InputError` in one dimension, where nothing can turn, and
    for amortised parameters without a context.

    Reference: Tomczak and Welling (2016), arXiv:1611.09630.
    """

    cost = Cost("1 pass", "1 pass: a reflection is its own inverse")

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        steps: Count = 8,
        parameters: Sharing = "auto",
    ):
        super().__init__(event_shape, context)
        (dim,) = self.event_shape
        if dim < 2:
            raise InputError("expected two coordinates to turn; got one: use another flow")
        self.steps = steps
        self.phi = Parameters(torch.randn(steps * dim), context, parameters)
        self.context = self.phi.context

    def forward(self, h: Tensor | None = None) -> Transform:
        return Composed([Reflected(v) for v in self.phi(h).unflatten(-1, (self.steps, -1)).unbind(-2)])
