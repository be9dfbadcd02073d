"""Solving through an autoregressive network, for the work of about one pass."""

from collections.abc import Callable, Iterable, Sequence
from typing import cast

import torch
from torch import Tensor

from flowvae.nn.made import MADE, MaskedLinear
from flowvae.nn.normed import NormedLinear
from flowvae.nn.precision import in_full_precision, without_autocast

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
        maps y, m and s of one coordinate, each ``(N,)``, to its x. No weight is used twice and no masked one at all,
        so that all D coordinates cost about one pass. Autocast is left out: half precision gains nothing here.
        """
        y = in_full_precision(y)
        batch = torch.broadcast_shapes(y.shape[:-1], () if self.bound is None else self.bound.shape[:-1])
        columns = self.net.in_order(y.expand(*batch, -1).reshape(-1, y.shape[-1])).T
        with without_autocast(y.device):
            first, *others, last = self._layers(batch, columns[:0])
            for i, column in enumerate(columns):
                if i % BLOCK == 0:
                    for layer in (first, *others, last):
                        layer.begin(slice(i, min(i + BLOCK, len(columns))))
                units = self.net.activation(first.outputs(i))
                for layer in others:
                    layer.take(units)
                    units = self.net.next_units(layer.outputs(i), units)
                last.take(units)
                first.take(inverse(column, *last.outputs(i))[None])
        return self.net.in_order(first.known.T).reshape(*batch, -1)

    def _layers(self, batch: torch.Size, empty: Tensor) -> list["_Layer"]:
        """The net's layers in the order of degrees, with features before the batch: products run along the batch."""
        net, (first, *others) = self.net, cast(Iterable[MaskedLinear | NormedLinear], self.net.hidden)
        offset = first.bias if self.bound is None else first.bias + in_full_precision(self.bound)
        offset = offset.expand(*batch, -1).reshape(-1, offset.shape[-1]).T
        # the outputs of a coordinate side by side
        weight, bias = (t.unflatten(0, (net.outputs, -1)).transpose(0, 1) for t in (net.out.weight, net.out.bias))
        weight, bias = net.in_order(weight, 0).flatten(0, 1), net.in_order(bias, 0).reshape(-1, 1)
        return [
            _Layer(net.in_order(first.weight), offset, net.waiting, empty),
            *(_Layer(layer.weight, layer.bias[:, None], net.waiting, empty) for layer in others),
            _Layer(weight, bias, [net.outputs] * len(net.waiting), empty),
        ]


class _Layer:
    """A masked layer that is computed while its inputs, rows ``(features, N)``, become known.

    Coordinate i waits for ``waiting[i]`` of its rows, which see nothing of i and later. What the rows of a block take
    from the inputs before the block is one product. Inputs are written into one table; for autograd, which wants to
    find what it has seen unchanged, they are put together anew.
    """

    def __init__(self, weight: Tensor, offset: Tensor, waiting: Sequence[int], empty: Tensor):
        self.weight, self.offset, self.waiting = weight, offset, list(waiting)
        self.weights, self.row = weight.split(self.waiting), 0
        self.inputs, self.count = [empty], 0
        self.table = None if torch.is_grad_enabled() else empty.new_empty(weight.shape[1], empty.shape[1])

    def take(self, rows: Tensor) -> None:
        """Rows of the inputs, next in order."""
        if self.table is None:
            self.inputs.append(rows)
        else:
            self.table[self.count : self.count + len(rows)] = rows
        self.count += len(rows)

    @property
    def known(self) -> Tensor:
        """All inputs so far."""
        return torch.cat(self.inputs) if self.table is None else self.table[: self.count]

    def begin(self, block: slice) -> None:
        """Start on a block of coordinates: all inputs that precede it are known."""
        before, waiting = self.known, self.waiting[block]
        rows = slice(self.row, self.row + sum(waiting))
        share = torch.addmm(self.offset[rows], self.weight[rows, : self.count], before)
        self.shares = dict(zip(range(block.start, block.stop), share.split(waiting), strict=True))
        self.inputs, self.start, self.row = [before], self.count, rows.stop

    def outputs(self, i: int) -> Tensor:
        """The rows that coordinate i waits for, ``(rows, N)``: all that they see is known."""
        if self.table is None:
            within = torch.cat([self.inputs[0][:0], *self.inputs[1:]])
        else:
            within = self.table[self.start : self.count]
        return torch.addmm(self.shares[i], self.weights[i][:, self.start : self.count], within)
