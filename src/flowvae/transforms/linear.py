"""Linear bijections: a permutation, a reflection, and a product of triangular matrices."""

import torch
from torch import Tensor
from torch.nn.functional import linear, normalize

from flowvae.precision import without_autocast
from flowvae.transforms.base import Transform


class Permuted(Transform):
    """y_i = x_order(i), with ``order`` ``(D,)`` a permutation: log |det| = 0."""

    def __init__(self, order: Tensor):
        super().__init__()
        self.order = order

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[..., self.order], x.new_zeros(x.shape[:-1])

    def _inverse(self, y: Tensor) -> Tensor:
        return y[..., self.order.argsort()]


class Reflected(Transform):
    """y = x - 2 v (v.x) / |v|^2, the reflection that reverses v ``(*, D)``: its own inverse, with log |det| = 0.

    Reference: Householder (1958); as a step of a flow, Tomczak and Welling (2016), arXiv:1611.09630.
    """

    def __init__(self, v: Tensor):
        super().__init__()
        self.v = normalize(v, dim=-1)  # v = 0 reverses nothing

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x - 2 * self.v * (self.v * x).sum(-1, keepdim=True)
        return y, y.new_zeros(y.shape[:-1])

    def _inverse(self, y: Tensor) -> Tensor:
        return self(y)


class LU(Transform):
    """y = L U x with L ``(D, D)`` lower triangular of unit diagonal, U ``(D, D)`` upper: log |det| = sum_i log |U_ii|.

    Reference: Kingma and Dhariwal (2018), arXiv:1807.03039.
    """

    def __init__(self, lower: Tensor, upper: Tensor):
        super().__init__()
        self.lower, self.upper = lower, upper

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        ladj = self.upper.diagonal().abs().log().sum()
        return applied(self.lower, applied(self.upper, x)), ladj.expand(x.shape[:-1])

    def _inverse(self, y: Tensor) -> Tensor:
        columns = y.reshape(-1, y.shape[-1]).T
        columns = torch.linalg.solve_triangular(self.lower, columns, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(self.upper, columns, upper=True).T.reshape(y.shape)


def applied(matrix: Tensor, x: Tensor) -> Tensor:
    """matrix x of ``(*, N, M)`` and ``(*, M)``, in the precision of its factors.

    Autocast would multiply matrices in half precision, and a map's log-determinant would be that of another map.
    """
    with without_autocast(x.device):
        return linear(x, matrix) if matrix.ndim == 2 else (matrix @ x[..., None])[..., 0]
