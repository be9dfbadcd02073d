"""The planar bijection."""

import math

import torch
from torch import Tensor

from flowvae.transforms.base import Transform
from flowvae.transforms.roots import increasing_root


class PlanarTransform(Transform):
    """y = x + u tanh(w.x + b), invertible by construction.

    u is replaced by u + (m(w.u) - w.u) w / |w|^2 with m(a) = softplus(a + c) - 1 and c = log(e - 1), so that
    w.u = m > -1, which is necessary and sufficient, and m(0) = 0 keeps u = 0 the identity.
    log |det| = log(1 + (w.u)(1 - tanh^2(w.x + b))), positive inside the logarithm.

    The inverse needs one scalar root per point: with a = w.x + b, the equation a + (w.u) tanh(a) = w.y + b is monotone,
    and its root is within |w.u| of the right-hand side; then x = y - u tanh(a).

    Args:
        u, w: ``(*, D)``, any batch that broadcasts against x; b: ``(*)``.

    Reference: Rezende and Mohamed (2015), arXiv:1505.05770.
    """

    def __init__(self, u: Tensor, w: Tensor, b: Tensor):
        super().__init__()
        self.w, self.b = w, b
        dot = (w * u).sum(-1)
        limits = torch.finfo(w.dtype)
        # rounding may reach -1; u is built from the clamped value, so map and log-determinant stay exact
        self.dot = above_minus_one(dot).clamp(min=4 * limits.eps - 1)
        self.u = u + ((self.dot - dot) / (w.square().sum(-1) + limits.tiny))[..., None] * w

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = torch.tanh((self.w * x).sum(-1) + self.b)
        return x + self.u * t[..., None], torch.log1p(self.dot * (1 - t.square()))

    def _inverse(self, y: Tensor) -> Tensor:
        def along_w(a: Tensor) -> tuple[Tensor, Tensor]:
            t = torch.tanh(a)
            return a + self.dot * t, 1 + self.dot * (1 - t.square())

        a = increasing_root(along_w, (self.w * y).sum(-1) + self.b, self.dot.abs())
        return y - self.u * torch.tanh(a)[..., None]


def above_minus_one(a: Tensor) -> Tensor:
    """m(a) = softplus(a + c) - 1 with c = log(e - 1), to full relative precision about its root at 0.

    Written log(1 + (1 - 1/e)(e^a - 1)): the difference of 1s would be divided by |w|^2, however small w is.
    """
    bend = a.clamp(max=40)  # beyond, m is a straight line to the last bit
    return torch.log1p((1 - 1 / math.e) * torch.expm1(bend)) + (a - bend)
