"""The masked autoencoder for distribution estimation."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from flowvae.errors import InputError
from flowvae.nn.activation import ACTIVATIONS, Activation
from flowvae.nn.context import required
from flowvae.nn.mlp import merged
from flowvae.nn.normed import NormedLinear


class MaskedLinear(nn.Linear):
    """A linear layer whose weight is multiplied by a fixed 0/1 ``mask`` ``(out, in)``."""

    mask: Tensor

    def __init__(self, mask: Tensor):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.mask, self.bias)


class MADE(nn.Module):
    """Autoregressive network (m, s) = net(x, h): output i sees only those x_j that precede i, and all of the context h.

    (m, s) are two ``outputs`` a coordinate; there may be any other number of them.

    Coordinate i has degree i + 1 (D - i when ``reverse``), a hidden unit a degree between 0 and D - 1, in ascending
    order. A connection exists from degree a to a hidden degree b >= a and from a hidden degree a to an output degree
    b > a, so the Jacobian of every output is strictly triangular in the order. The reversal sits in the masks: no
    tensor is ever permuted. The context enters the first hidden layer; units of degree 0 see nothing but it. When
    ``residual``, every later hidden layer adds to the one before it, whose units have the same degrees. ``normed``
    weights are normalised, and can start from data: hidden layers with standard deviation 1, the outputs with 0.1.

    Shapes: x ``(*, D)``, h ``(*, context)`` with any batch that broadcasts against x's; every output ``(*, D)``.

    Reference: Germain, Gregor, Murray, Larochelle (2015), arXiv:1502.03509; context as in Kingma et al. (2016),
    arXiv:1606.04934; residual layers as in Nash, Durkan (2019), arXiv:1904.05626; normalisation by Salimans, Kingma
    (2016), arXiv:1602.07868. Raises `InputError` for residual layers where there is but one.
    """

    def __init__(
        self,
        dim: int,
        context: int = 0,
        *,
        outputs: int = 2,
        width: int = 320,
        depth: int = 2,
        activation: Activation = "elu",
        reverse: bool = False,
        residual: bool = False,
        normed: bool = False,
    ):
        super().__init__()
        if residual and depth < 2:
            raise InputError(f"expected two hidden layers, of which the second is residual; got {depth}: set depth = 2")
        degrees = torch.arange(dim) + 1
        if reverse:
            degrees = degrees.flip(0)
        lowest = 0 if context or dim == 1 else 1
        hidden = lowest + torch.arange(width) * (dim - lowest) // width
        masks = [hidden[:, None] >= degrees] + [hidden[:, None] >= hidden] * (depth - 1)
        self.outputs = outputs
        self.reverse = reverse
        self.waiting = torch.bincount(hidden, minlength=dim).tolist()
        """How many units of a hidden layer have degree 0, 1, ..., D - 1: see what the next coordinate may, no less."""
        self.context: nn.Module | None = None
        if context:
            self.context = NormedLinear(context, width) if normed else nn.Linear(context, width, bias=False)
        self.hidden = nn.ModuleList(_layer(mask, normed) for mask in masks)
        self.activation = ACTIVATIONS[activation]()
        self.out = _layer((degrees[:, None] > hidden).repeat(outputs, 1), normed, spread=0.1)
        self.residual = residual
        with torch.no_grad():
            # a flow begins close to the bare update, and stays there until a gradient says otherwise
            (self.out.weight if isinstance(self.out, MaskedLinear) else self.out.gain).mul_(0.1)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, ...]:
        return self.given(x, self.bind(h))

    def bind(self, h: Tensor | None) -> Tensor | None:
        """The share of h in the first layer, ``(*, width)``: computed once for any number of passes."""
        return None if self.context is None else self.context(required(h))

    def in_order(self, x: Tensor, dim: int = -1) -> Tensor:
        """x with the D coordinates of a dimension in the order of their degrees; of what is in that order, x again."""
        return x.flip(dim) if self.reverse else x

    def given(self, x: Tensor, bound: Tensor | None) -> tuple[Tensor, ...]:
        """The outputs for x under a context already bound."""
        first, *others = self.hidden
        a = first(x) if bound is None else first(x) + bound
        units = self.activation(merged(a))
        for layer in others:
            units = self.next_units(self.activation(layer(units)), units)
        return self.out(units).reshape(*a.shape[:-1], -1).chunk(self.outputs, -1)

    def next_units(self, activated: Tensor, units: Tensor) -> Tensor:
        """A later hidden layer, from what its activation gives and the units of the layer before."""
        return units + activated if self.residual else activated


def _layer(mask: Tensor, normed: bool, spread: float = 1.0) -> MaskedLinear | NormedLinear:
    return NormedLinear(mask.shape[1], mask.shape[0], spread, mask) if normed else MaskedLinear(mask)
