"""The Sylvester bijection."""

import torch
from torch import Tensor

from flowvae.transforms.base import Transform
from flowvae.transforms.linear import applied
from flowvae.transforms.roots import increasing_root


class SylvesterTransform(Transform):
    """y = x + Q R tanh(S Q^T x + b) with orthonormal columns in Q ``(*, D, M)``, R and S upper triangular.

    By Sylvester's identity the determinant is that of an M x M matrix, and as R and S are triangular
    log |det| = sum_i log(1 + R_ii S_ii (1 - tanh^2)). R_ii S_ii > -1 makes it invertible; the caller sees to that.

    The inverse first finds v = Q^T x from Q^T y = v + R tanh(S v + b): from the last row upwards, each has one unknown,
    the root of a monotone function bracketed by |R_ii|. Then x = y - Q R tanh(S v + b).

    Args:
        q: ``(*, D, M)``; r, s: ``(*, M, M)``; b: ``(*, M)``; any batch that broadcasts against x.

    Reference: van den Berg, Hasenclever, Tomczak, Welling (2018), arXiv:1803.05649; S is their R with a tilde.
    """

    def __init__(self, q: Tensor, r: Tensor, s: Tensor, b: Tensor):
        super().__init__()
        self.q, self.r, self.s, self.b = q, r, s, b

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        t = torch.tanh(applied(self.s, applied(self.q.mT, x)) + self.b)
        product_of_diagonals = self.r.diagonal(dim1=-2, dim2=-1) * self.s.diagonal(dim1=-2, dim2=-1)
        ladj = torch.log1p(product_of_diagonals * (1 - t.square())).sum(-1)
        return x + applied(self.q, applied(self.r, t)), ladj

    def _inverse(self, y: Tensor) -> Tensor:
        projected = applied(self.q.mT, y)
        v = t = projected[..., :0]
        for i in reversed(range(projected.shape[-1])):
            r, s, above = self.r[..., i, i], self.s[..., i, i], slice(i + 1, None)
            b = self.b[..., i] + (self.s[..., i, above] * v).sum(-1)
            target = projected[..., i] - (self.r[..., i, above] * t).sum(-1)

            def row(a: Tensor, r: Tensor = r, s: Tensor = s, b: Tensor = b) -> tuple[Tensor, Tensor]:
                bend = torch.tanh(s * a + b)
                return a + r * bend, 1 + r * s * (1 - bend.square())

            root = increasing_root(row, target, r.abs())
            v = torch.cat([root[..., None], v.expand(*root.shape, -1)], -1)
            t = torch.cat([torch.tanh(s * root + b)[..., None], t.expand(*root.shape, -1)], -1)
        return y - applied(self.q, applied(self.r, t))
