"""A fixed permutation of the coordinates."""

from typing import Literal

import torch
from torch import Tensor

from flowvae.errors import InputError
from flowvae.flows.base import Cost, Flow
from flowvae.registry import register
from flowvae.transforms import Permuted, Transform


@register("flow", "permutation")
class Permutation(Flow):
    """Fixed permutation, y_i = x_order(i): reversed, or random and kept with the weights. It learns nothing.

    A step between others, lest a coordinate always stands where it stood. It ignores the context.

    Shapes: points ``(*, D)``. Raises `InputError` in one dimension, where there is nothing to permute.

    Reference: Dinh, Sohl-Dickstein, Bengio (2017), arXiv:1605.08803.
    """

    cost = Cost("no pass", "no pass")
    order: Tensor

    def __init__(
        self, event_shape: tuple[int, ...], context: int = 0, *, form: Literal["reverse", "random"] = "reverse"
    ):
        super().__init__(event_shape, 0)
        (dim,) = self.event_shape
        if dim < 2:
            raise InputError("expected two coordinates to permute; got one: use another flow")
        order = torch.arange(dim).flip(0) if form == "reverse" else torch.randperm(dim)
        self.register_buffer("order", order)

    def forward(self, h: Tensor | None = None) -> Transform:
        return Permuted(self.order)
