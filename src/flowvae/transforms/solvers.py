"""Solutions of ordinary differential equations: by steps of equal length, or as long as the error allows."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from flowvae.errors import InputError

Field = Callable[[float, Tensor], Tensor]
"""dz/dt at time t of points z ``(*, D)``, each of them a function of its own point alone."""

Solver = Callable[[Field, Tensor, float, float], Tensor]
"""z(end), of a field, z(start), start and end."""


def runge_kutta(steps: int) -> Solver:
    """The classical method of fourth order in ``steps`` steps; gradients go through them."""

    def solve(field: Field, z: Tensor, start: float, end: float) -> Tensor:
        h = (end - start) / steps
        for n in range(steps):
            t = start + n * h
            k1 = field(t, z)
            k2 = field(t + h / 2, z + h / 2 * k1)
            k3 = field(t + h / 2, z + h / 2 * k2)
            k4 = field(t + h, z + h * k3)
            z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return z

    return solve


def dormand_prince(tolerance: float, knows: Iterable[Tensor]) -> Solver:
    """Dormand and Prince's method of fifth order, its steps such that the worst point's error stays near ``tolerance``.

    Gradients are found by solving the adjoint equation backwards, so that memory does not grow with the number of
    steps. ``knows`` is what the field takes beside z and is to have gradients, none of it made of another. All points
    share their steps: the solution of a point changes with its company, within the tolerance.

    Raises `InputError` where the field is too steep for steps of any length, or not finite.

    Reference: Dormand, Prince (1980), J. Comp. Appl. Math. 6(1); adjoint: Chen, Rubanova, Bettencourt, Duvenaud (2018),
    arXiv:1806.07366; the norm of its error: Kidger, Chen, Lyons (2021), arXiv:2009.09457.
    """
    knows = tuple(knows)

    def solve(field: Field, z: Tensor, start: float, end: float) -> Tensor:
        from torchdiffeq import odeint_adjoint  # type: ignore[import-untyped]

        try:
            path = odeint_adjoint(
                lambda t, z: field(t.item(), z),
                z,
                torch.tensor([start, end], dtype=z.dtype, device=z.device),
                rtol=tolerance,
                atol=tolerance,
                method="dopri5",
                options={"norm": worst},
                adjoint_params=knows,
                # a loss is a mean over points, and the gradient of each is small accordingly
                adjoint_atol=tolerance / max(1, z[..., 0].numel()),
                adjoint_options={"norm": "seminorm"},
            )
        except AssertionError as error:
            raise InputError(
                f"expected an equation that can be followed to within {tolerance:g}; got {error}: "
                "raise flow.tolerance, lower the learning rate, or use flow.solver = 'rk4'"
            ) from None
        return path[-1]

    return solve


def worst(error: Tensor) -> Tensor:
    """The largest root mean square of a point's ``(*, D)``."""
    return error.square().mean(-1).sqrt().max()
