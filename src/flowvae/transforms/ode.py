"""The bijection that an ordinary differential equation makes."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowvae.transforms.base import Transform

Field = Callable[[float, Tensor], Tensor]
"""dz/dt at time t of points z ``(*, D)``, each of them a function of its own point alone."""


class ODETransform(Transform):
    """y = z(1), where dz/dt = f(t, z) and z(0) = x; log |det dy/dx| is the integral of tr df/dz over time.

    The equation is solved by ``intervals`` Runge-Kutta steps of fourth order, backwards for the inverse: the two undo
    each other, and the log-determinant is the map's, up to an error that falls with the fourth power of ``intervals``.
    The trace is the sum of v . (df/dz) v over probes v: the D unit vectors, for the work of 2 D evaluations of f; or,
    ``estimated``, one vector of random signs for every point, drawn anew for a solution and kept through it: its
    expectation is the trace.

    Args:
        field: f.
        batch: that of what f knows beside z; points are expanded to it.
        intervals: at least 1.
        estimated: whether the log-determinant is an estimate.

    Reference: Chen, Rubanova, Bettencourt, Duvenaud (2018), arXiv:1806.07366; the estimate: Grathwohl, Chen,
    Bettencourt, Sutskever, Duvenaud (2019), arXiv:1810.01367.
    """

    def __init__(self, field: Field, batch: torch.Size, *, intervals: int, estimated: bool):
        super().__init__()
        self.field, self.batch = field, batch
        self.intervals, self.estimated = intervals, estimated

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
            dz, along = torch.func.jvp(lambda points: self.field(t, points), (points,), (probes,))[:2]
            return torch.cat([dz[0], (probes * along).sum((0, -1))[..., None]], -1)

        state = torch.cat([z, torch.zeros_like(z[..., :1])], -1)
        state = runge_kutta(slope, state, start, end, self.intervals)
        return state[..., :-1], state[..., -1]

    def _probes(self, z: Tensor) -> Tensor:
        """Vectors ``(K, *, D)`` along which f is differentiated at every point."""
        if self.estimated:
            return torch.randint_like(z, 2)[None] * 2 - 1
        dim = z.shape[-1]
        units = torch.eye(dim, dtype=z.dtype, device=z.device)
        return units.view(dim, *[1] * (z.ndim - 1), dim).expand(dim, *z.shape).contiguous()


def runge_kutta(slope: Field, state: Tensor, start: float, end: float, steps: int) -> Tensor:
    """The solution of d state / dt = slope(t, state) at ``end``, by the classical method of fourth order."""
    h = (end - start) / steps
    for n in range(steps):
        t = start + n * h
        k1 = slope(t, state)
        k2 = slope(t + h / 2, state + h / 2 * k1)
        k3 = slope(t + h / 2, state + h / 2 * k2)
        k4 = slope(t + h, state + h * k3)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return state
