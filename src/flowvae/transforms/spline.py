"""The monotone rational-quadratic spline."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

LEAST = 1e-3
"""Of a bin's width and height, as a share of their means; of a slope at a knot and of its inverse."""


@dataclass(frozen=True)
class Spline:
    """y = g(x), increasing and rational-quadratic in each of K ``bins`` of [-B, B], B = ``bound``; y = x beyond.

    In the bin from the knot (x_k, y_k) to the next, of width w, height h and mean slope s = h / w, with slopes d_0 and
    d_1 at its ends and xi = (x - x_k) / w,

        y = y_k + h [s xi^2 + d_0 xi (1 - xi)] / [s (xi^2 + (1 - xi)^2) + (d_0 + d_1) xi (1 - xi)].

    A coordinate takes 3K - 1 parameters: K for the widths and K for the heights, through softmax, and K - 1 for the
    slopes at the inner knots, d = exp(c tanh(a / c)) with |log d| < c; at the ends the slope is 1. All 0, they are the
    identity. Values and gradients are finite for any finite point and parameters: bins have a least size, and the
    denominator and the discriminant of the inverse are sums of terms that are never negative.

    Reference: Durkan, Bekasov, Murray, Papamakarios (2019), arXiv:1906.04032.
    """

    bins: int = 8
    bound: float = 5.0

    @property
    def size(self) -> int:
        """Parameters of a coordinate."""
        return 3 * self.bins - 1

    def forward(self, x: Tensor, *params: Tensor) -> tuple[Tensor, Tensor]:
        inner = x.clamp(-self.bound, self.bound)
        left, bottom, w, h, d0, d1 = self._bin(inner, params, along_y=False)
        y, ladj = _rational(((inner - left) / w).clamp(0, 1), h / w, d0, d1)
        inside = x.abs() < self.bound
        return torch.where(inside, bottom + h * y, x), torch.where(inside, ladj, 0)

    def inverse(self, y: Tensor, *params: Tensor) -> Tensor:
        inner = y.clamp(-self.bound, self.bound)
        left, bottom, w, h, d0, d1 = self._bin(inner, params, along_y=True)
        xi = _root(((inner - bottom) / h).clamp(0, 1), h / w, d0, d1)
        return torch.where(y.abs() < self.bound, left + w * xi, y)

    def _bin(self, t: Tensor, params: tuple[Tensor, ...], along_y: bool) -> tuple[Tensor, ...]:
        """x_k, y_k, w, h, d_0, d_1 of the bin that t ``(*, D)`` in [-B, B] lies in, as an x or as a y."""
        t, *phi = torch.broadcast_tensors(t, *params)
        widths, heights, slopes = torch.stack(phi, -1).split([self.bins, self.bins, self.bins - 1], -1)
        x, y, d = self._knots(widths), self._knots(heights), _slopes(slopes)
        first = (t[..., None] >= (y if along_y else x)[..., 1:-1]).sum(-1, keepdim=True)
        left, bottom, d0 = (knots.gather(-1, first)[..., 0] for knots in (x, y, d))
        right, top, d1 = (knots.gather(-1, first + 1)[..., 0] for knots in (x, y, d))
        return left, bottom, right - left, top - bottom, d0, d1

    def _knots(self, sizes: Tensor) -> Tensor:
        """K + 1 points from exactly -B to exactly B, by the unconstrained sizes of K bins."""
        shares = LEAST / self.bins + (1 - LEAST) * torch.softmax(sizes, -1)
        inner = self.bound * (2 * shares[..., :-1].cumsum(-1) - 1)
        return pad(pad(inner, (1, 0), value=-self.bound), (0, 1), value=self.bound)


def _slopes(a: Tensor) -> Tensor:
    """exp(c tanh(a / c)) at K - 1 inner knots, and 1 at the ends."""
    c = -math.log(LEAST)
    return pad(torch.exp(c * torch.tanh(a / c)), (1, 1), value=1.0)


def _rational(xi: Tensor, s: Tensor, d0: Tensor, d1: Tensor) -> tuple[Tensor, Tensor]:
    """The share of the height that is reached at xi in [0, 1], and log dy/dx."""
    rest = 1 - xi
    below = s * (xi.square() + rest.square()) + (d0 + d1) * xi * rest
    slope = d1 * xi.square() + 2 * s * xi * rest + d0 * rest.square()
    return (s * xi.square() + d0 * xi * rest) / below, 2 * (s.log() - below.log()) + slope.log()


def _root(v: Tensor, s: Tensor, d0: Tensor, d1: Tensor) -> Tensor:
    """xi in [0, 1] at which the share v of the height is reached.

    With q = d_0 (1 - v) - d_1 v the discriminant is q^2 + 4 s^2 v (1 - v), never negative, and with its root r
    xi / (1 - xi) = 2 s v / (r + q) = (r - q) / (2 s (1 - v)), of which one does not cancel.
    """
    rest = 1 - v
    q = d0 * rest - d1 * v
    p = torch.sqrt(q.square() + 4 * s.square() * v * rest) + q.abs()
    return torch.where(q >= 0, 2 * s * v / (2 * s * v + p), p / (p + 2 * s * rest))
