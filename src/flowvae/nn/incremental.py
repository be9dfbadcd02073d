"""Solving through an autoregressive network, for the work of about one pass."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from flowvae.nn.activation import in_place
from flowvae.nn.made import MADE, MaskedLinear
from flowvae.nn.normed import NormedLinear
from flowvae.precision import in_full_precision, without_autocast

BLOCK = 8
"""Coordinates that take their share of all before the block at once: matrix products large enough to be fast."""


class Autoregression:
    """A `MADE` with its context h bound: x ``(*, D)`` to (m, s), each ``(*, D)``, in float32 at least.

    With a ``reach`` the net sees coordinates beyond it as if they were there: its outputs then have a limit.
    """

    def __init__(self, net: MADE, h: Tensor | None = None, reach: float | None = None):
        self.net = net
        self.bound = net.bind(h)
        self.reach = reach

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(map(in_full_precision, self.net.given(self._seen(x), self.bound)))

    def _seen(self, x: Tensor) -> Tensor:
        return x if self.reach is None else x.clamp(-self.reach, self.reach)

    def solve(self, y: Tensor, inverse: Callable[..., Tensor]) -> Tensor:
        """The x ``(*, D)`` with x = inverse(y, m, s) where (m, s) = net(x): exact, and differentiable by autograd.

        One coordinate after the other becomes known, and with it the hidden units that see nothing later; ``inverse``
        maps y, m and s of one coordinate, each ``(N,)``, to its x. No weight is used twice and no masked one at all,
        so that all D coordinates cost about one pass. Autocast is left out: half precision gains nothing here.
        """
        y = in_full_precision(y)
        batch = torch.broadcast_shapes(y.shape[:-1], () if self.bound is None else self.bound.shape[:-1])
        columns = self.net.in_order(y.expand(*batch, -1).reshape(-1, y.shape[-1])).T.contiguous()
        activation = self.net.activation if torch.is_grad_enabled() else in_place(self.net.activation)
        with without_autocast(y.device):
            x, layers = self._layers(batch, columns)
            first, *others, last = layers
            found = []
            for i, column in enumerate(columns):
                if i % BLOCK == 0:
                    for layer in layers:
                        layer.begin(slice(i, i + BLOCK))
                units = first.rows.settle(i, activation(first.complete(i)))
                for layer in others:
                    units = layer.rows.settle(i, self.net.next_units(activation(layer.complete(i)), units))
                found.append(inverse(column, *last.complete(i).unbind()))
                x.settle(i, self._seen(found[-1])[None])
            return self.net.in_order(torch.stack(found, -1)).reshape(*batch, -1)

    def _layers(self, batch: torch.Size, columns: Tensor) -> tuple["_Rows", list["_Layer"]]:
        """x, and the net's layers in the order of degrees, features before the batch: products run along the batch."""
        net, (first, *others) = self.net, cast(Iterable[MaskedLinear | NormedLinear], self.net.hidden)
        offset = first.bias[:, None]
        if self.bound is not None:
            offset = offset + in_full_precision(self.bound).expand(*batch, -1).reshape(-1, len(offset)).T
        # the outputs of a coordinate side by side
        weight, bias = (t.unflatten(0, (net.outputs, -1)).transpose(0, 1) for t in (net.out.weight, net.out.bias))
        terms = [
            (net.in_order(first.weight), offset, net.waiting),
            *((layer.weight, layer.bias[:, None], net.waiting) for layer in others),
            (net.in_order(weight, 0).flatten(0, 1), net.in_order(bias, 0).reshape(-1, 1), [net.outputs] * len(columns)),
        ]
        rows_of = _Remembered if torch.is_grad_enabled() else _Rows
        rows = [rows_of(sizes, columns) for sizes in ([1] * len(columns), *(waiting for *_, waiting in terms))]
        layers = [_Layer(w, b, *ends) for (w, b, _), ends in zip(terms, pairwise(rows), strict=True)]
        return rows[0], layers


class _Layer:
    """A masked layer that is computed while its inputs become known.

    Coordinate i waits for the i-th group of its rows, which see nothing of i and later. What the rows of a block of
    coordinates take from the inputs before the block, their share, is one product.
    """

    def __init__(self, weight: Tensor, offset: Tensor, inputs: "_Rows", rows: "_Rows"):
        self.weight, self.offset, self.inputs, self.rows = weight, offset, inputs, rows
        self.weights, self.row = weight.split(rows.sizes), 0

    def begin(self, block: slice) -> None:
        """Start on a block of coordinates: all inputs that precede it are known."""
        self.inputs.begin()
        rows = slice(self.row, self.row + sum(self.rows.sizes[block]))
        self.rows.share(block, rows, self.offset[rows], self.weight[rows, : self.inputs.count], self.inputs.known)
        self.row = rows.stop

    def complete(self, i: int) -> Tensor:
        """The rows that coordinate i waits for: all that they see is known."""
        return self.rows.complete(i, self.weights[i][:, self.inputs.start : self.inputs.count], self.inputs.within)


class _Rows:
    """Rows ``(features, N)`` that become known group by group, of ``sizes`` rows, all in one table."""

    def __init__(self, sizes: Sequence[int], like: Tensor):
        self.sizes = list(sizes)
        self.start = self.count = 0
        """How many were known before the block, and are now."""
        self.make(like)

    def make(self, like: Tensor) -> None:
        """Room for rows as long as those of ``like``."""
        self.table = like.new_empty(sum(self.sizes), like.shape[1])
        self.groups = self.table.split(self.sizes)

    def begin(self) -> None:
        """A block of coordinates starts."""
        self.start = self.count

    @property
    def known(self) -> Tensor:
        """All that are."""
        return self.table[: self.count]

    @property
    def within(self) -> Tensor:
        """Those known since the block began."""
        return self.table[self.start : self.count]

    def share(self, block: slice, rows: slice, offset: Tensor, weight: Tensor, inputs: Tensor) -> None:
        """Keep offset + weight inputs for the groups of ``block``, which are ``rows``."""
        torch.addmm(offset, weight, inputs, out=self.table[rows])

    def complete(self, i: int, weight: Tensor, inputs: Tensor) -> Tensor:
        """The share of group i and weight inputs."""
        return self.groups[i].addmm_(weight, inputs)

    def settle(self, i: int, values: Tensor) -> Tensor:
        """Group i is ``values``, which may be what `complete` gave, overwritten."""
        if values is not self.groups[i]:
            self.groups[i].copy_(values)
        self.count += self.sizes[i]
        return values


class _Remembered(_Rows):
    """Rows put together anew whenever they are asked for: autograd wants to find what it has seen unchanged."""

    def make(self, like: Tensor) -> None:
        self.before, self.parts = like[:0], [like[:0]]
        self.shares: dict[int, Tensor] = {}

    def begin(self) -> None:
        super().begin()
        self.before, self.parts = self.known, self.parts[:1]

    @property
    def known(self) -> Tensor:
        return torch.cat([self.before, *self.parts])

    @property
    def within(self) -> Tensor:
        return torch.cat(self.parts)

    def share(self, block: slice, rows: slice, offset: Tensor, weight: Tensor, inputs: Tensor) -> None:
        shares = torch.addmm(offset, weight, inputs).split(self.sizes[block])
        self.shares = dict(enumerate(shares, block.start))

    def complete(self, i: int, weight: Tensor, inputs: Tensor) -> Tensor:
        return torch.addmm(self.shares[i], weight, inputs)

    def settle(self, i: int, values: Tensor) -> Tensor:
        self.parts.append(values)
        self.count += len(values)
        return values
