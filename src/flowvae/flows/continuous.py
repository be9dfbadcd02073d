"""Continuous normalising flow."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from flowvae.flows.base import Cost, Flow
from flowvae.nn import Conditioned
from flowvae.precision import without_autocast
from flowvae.registry import Count, register
from flowvae.transforms import ODETransform, Transform, dormand_prince, runge_kutta

Smooth = Literal["gelu", "silu", "softplus", "tanh"]
"""Activations without corners, at which a solution would lose its order."""

LOW = 8
"""Dimensions up to which ``trace = "auto"`` is exact in training."""


@register("flow", "continuous")
class Continuous(Flow):
    """Continuous flow: the points drift for a unit of time, dz/dt = net(z, t, h), log |det| = int tr(d net/dz) dt.

    The equation is solved in either direction by one of two solvers:

    - ``rk4``: ``intervals`` Runge-Kutta steps of fourth order. A training step compiles as a whole. The error of a
      solution is below intervals^-4 / 100 for a tame field; for one that training has made steep it may be larger: see
      that log p(x) stands still when ``intervals`` is doubled.
    - ``dopri5``: steps as long as an error of ``tolerance`` allows, gradients by the adjoint equation, in memory that
      does not grow with their number (`flowvae.transforms.dormand_prince`). Training is not compiled.

    The ``trace`` is ``exact``, for the work of 2 D passes of the net, or in training an unbiased estimate after
    ``hutchinson``, for that of two; evaluation is exact always. ``auto`` estimates in more than 8 dimensions. The flow
    starts as the identity.

    Shapes: h ``(*, context)``, points ``(*, D)``.

    Reference: Chen, Rubanova, Bettencourt, Duvenaud (2018), arXiv:1806.07366; the estimate: Grathwohl, Chen,
    Bettencourt, Sutskever, Duvenaud (2019), arXiv:1810.01367.

    >>> import torch
    >>> flow = Continuous((4,), 3, width=16)
    >>> x = torch.randn(5, 4)
    >>> y, ladj = flow(torch.randn(5, 3)).call_and_ladj(x)
    >>> torch.equal(y, x), ladj.shape
    (True, torch.Size([5]))
    """

    cost = Cost(
        "8 D intervals passes, exact; 8 intervals passes, estimated in training; dopri5: 12 D or 12 a step",
        "as many passes",
    )

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        width: Count = 64,
        depth: Count = 2,
        activation: Smooth = "tanh",
        solver: Literal["rk4", "dopri5"] = "rk4",
        intervals: Annotated[int, Field(ge=4, strict=True)] = 16,
        tolerance: Annotated[float, Field(ge=1e-12, le=0.1, strict=True)] = 1e-5,
        trace: Literal["auto", "exact", "hutchinson"] = "auto",
    ):
        super().__init__(event_shape, context)
        (dim,) = self.event_shape
        self.solver, self.intervals, self.tolerance = solver, intervals, tolerance
        # a tolerance is that of a step: the errors of all of them add up, and grow on the way
        self.accuracy = 0.01 * intervals**-4 if solver == "rk4" else 100 * tolerance
        self.compiles = solver == "rk4"
        self.estimated = trace == "hutchinson" or (trace == "auto" and dim > LOW)
        self.net = Conditioned(dim + 1, dim, context, width=width, depth=depth, activation=activation)

    def forward(self, h: Tensor | None = None) -> Transform:
        bound = self.net.bind(h)

        def field(t: float, z: Tensor) -> Tensor:
            with without_autocast(z.device):  # a solver takes the rounding of half precision for a bend
                return self.net.given(torch.cat([z, torch.full_like(z[..., :1], t)], -1), bound)

        solve = runge_kutta(self.intervals)
        if self.solver == "dopri5":
            solve = dormand_prince(self.tolerance, self.net.inputs(bound))
        batch = torch.Size() if h is None else h.shape[:-1]
        return ODETransform(field, batch, solve, estimated=self.training and self.estimated)
