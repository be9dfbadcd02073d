"""The bijection that an ordinary differential equation makes."""

import torch
from torch import Tensor

from flowvae.transforms.base import Transform
from flowvae.transforms.solvers import Field, Solver


class ODETransform(Transform):
    """y = z(1), where dz/dt = f(t, z) and z(0) = x; log |det dy/dx| is the integral of tr df/dz over time.

    The equation is solved backwards for the inverse: the two undo each other, and the log-determinant is the map's, up
    to the error of the solver.
    The trace is the sum of v . (df/dz)^T v over probes v: the D unit vectors, for the work of 2 D evaluations of f; or,
    ``estimated``, one vector of random signs for every point, drawn anew for a solution and kept through it: its
    expectation is the trace.

    Args:
        field: f.
        batch: that of what f knows beside z; points are expanded to it.
        solve: such as `runge_kutta`.
        estimated: whether the log-determinant is an estimate.

    Reference: Chen, Rubanova, Bettencourt, Duvenaud (2018), arXiv:1806.07366; the estimate: Grathwohl, Chen,
    Bettencourt, Sutskever, Duvenaud (2019), arXiv:1810.01367.
    """

    def __init__(self, field: Field, batch: torch.Size, solve: Solver, *, estimated: bool):
        super().__init__()
        self.field, self.batch, self.solve = field, batch, solve
        self.estimated = estimated

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._solved(x, 0.0, 1.0)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._solved(y, 1.0, 0.0)

    def _inverse(self, y: Tensor) -> Tensor:
        return self._solved(y, 1.0, 0.0)[0]

    def _solved(self, z: Tensor, start: float, end: float) -> tuple[Tensor, Tensor]:
        """z at time ``end``, and the integral of the trace from ``start`` to there."""
        z = z.expand(*torch.broadcast_shapes(z.shape[:-1], self.batch), -1)
        probes = self._probes(z)

        def slope(t: float, state: Tensor) -> Tensor:
            points = state[..., :-1].expand_as(probes).contiguous()  # no two points may share their memory
            # backwards: twice as fast as forwards, whose zero tensors compiled code takes for memory to write to
            dz, pulled_back = torch.func.vjp(lambda points: self.field(t, points), points)[:2]
            (along,) = pulled_back(probes)
            return torch.cat([dz[0], (probes * along).sum((0, -1))[..., None]], -1)

        state = torch.cat([z, torch.zeros_like(z[..., :1])], -1)
        state = self.solve(slope, state, start, end)
        return state[..., :-1], state[..., -1]

    def _probes(self, z: Tensor) -> Tensor:
        """Vectors ``(K, *, D)`` along which f is differentiated at every point."""
        if self.estimated:
            return torch.randint_like(z, 2)[None] * 2 - 1
        dim = z.shape[-1]
        units = torch.eye(dim, dtype=z.dtype, device=z.device)
        return units.view(dim, *[1] * (z.ndim - 1), dim).expand(dim, *z.shape).contiguous()
