"""Solving through an autoregressive network, for the work of about one pass."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from flowvae.nn.made import MADE, MaskedLinear
from flowvae.nn.precision import in_full_precision

BLOCK = 8
"""Coordinates that take their share of all before the block at once: matrix products large enough to be fast."""


class Autoregression:
    """A `MADE` with its context h bound: x ``(*, D)`` to (m, s), each ``(*, D)``, in float32 at least."""

    def __init__(self, net: MADE, h: Tensor | None = None):
        self.net = net
        self.bound = net.bind(h)

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(in_full_precision, self.net.given(x, self.bound)))

    def solve(self, y: Tensor, inverse: Callable[..., Tensor]) -> Tensor:
        """The x ``(*, D)`` with x = inverse(y, m, s) where (m, s) = net(x): exact, and differentiable by autograd.

        One coordinate after the other becomes known, and with it the hidden units that see nothing later; ``inverse``
        maps y, m and s of one coordinate, each ``(N, 1)``, to its x. No weight is used twice and no masked one at all,
        so that all D coordinates cost about one pass.
        """
        batch = torch.broadcast_shapes(y.shape[:-1], () if self.bound is None else self.bound.shape[:-1])
        columns = self.net.in_order(y.expand(*batch, -1).reshape(-1, y.shape[-1])).T
        layers = self._layers(batch, columns[:0])
        first, *others, last = layers
        for i, column in enumerate(columns):
            if i % BLOCK == 0:
                for layer in layers:
                    layer.begin(range(i, min(i + BLOCK, len(columns))))
            units = self.net.activation(first.outputs(i))
            for layer in others:
                units = self.net.next_units(layer.outputs(i, units), units)
            phi = map(in_full_precision, last.outputs(i, units).T.chunk(self.net.outputs, -1))
            first.inputs.append(inverse(column[:, None], *phi).T)
        return self.net.in_order(torch.cat(first.inputs).T).reshape(*batch, -1)

    def _layers(self, batch: torch.Size, empty: Tensor) -> list["_Layer"]:
        """The net's layers in the order of degrees, with features before the batch: products run along the batch."""
        net, (first, *others) = self.net, cast(Iterable[MaskedLinear], self.net.hidden)
        offset = first.bias if self.bound is None else first.bias + self.bound
        offset = offset.expand(*batch, -1).reshape(-1, offset.shape[-1]).T
        # the outputs of a coordinate side by side
        weight, bias = (t.unflatten(0, (net.outputs, -1)).transpose(0, 1) for t in (net.out.weight, net.out.bias))
        weight, bias = net.in_order(weight, 0).flatten(0, 1), net.in_order(bias, 0).reshape(-1, 1)
        return [
            _Layer(net.in_order(first.weight), offset, net.ends, empty),
            *(_Layer(layer.weight, layer.bias[:, None], net.ends, empty) for layer in others),
            _Layer(weight, bias, range(0, len(weight) + 1, net.outputs), empty),
        ]


class _Layer:
    """A masked layer that is computed while its inputs, rows ``(features, N)``, become known.

    Its rows up to ``ends[i]`` see nothing of coordinate i and later. What a block of rows takes from the inputs before
    the block is one product.
    """

    def __init__(self, weight: Tensor, offset: Tensor, ends: Sequence[int], empty: Tensor):
        self.weight, self.offset, self.ends = weight, offset, ends
        self.inputs = [empty]

    def begin(self, block: range) -> None:
        """Start on a block of coordinates: all inputs that precede it are known."""
        self.before = torch.cat(self.inputs)
        self.inputs = [self.before]
        self.first = self.ends[block.start]
        rows = slice(self.first, self.ends[block.stop])
        self.share = torch.addmm(self.offset[rows], self.weight[rows, : len(self.before)], self.before)

    def outputs(self, i: int, *inputs: Tensor) -> Tensor:
        """The rows that coordinate i waits for, ``(rows, N)``: with ``inputs``, all that they see is known."""
        self.inputs += inputs
        rows = slice(self.ends[i], self.ends[i + 1])
        within = torch.cat([self.before[:0], *self.inputs[1:]])
        seen = slice(len(self.before), len(self.before) + len(within))
        share = self.share[rows.start - self.first : rows.stop - self.first]
        return torch.addmm(share, self.weight[rows, seen], within)
