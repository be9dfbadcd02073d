"""Densities in the plane that are given by an energy."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowvae.distributions.base import NO_SHAPE, Sampled, Shape

HALF_SIDE = 4.0
WALL = 0.1
"""Beyond |z_i| = HALF_SIDE the energy rises as that of a normal of this standard deviation."""

REACH, POINTS, STEP = HALF_SIDE + 8 * WALL, 961, 0.01
"""The grid of normaliser and draws, on each axis."""


def _ring(z: Tensor) -> Tensor:
    left, right = (-0.5 * ((z[..., 0] + side) / 0.6).square() for side in (2, -2))
    return 0.5 * ((z.norm(dim=-1) - 2) / 0.4).square() - torch.logaddexp(left, right)


def _wave(z: Tensor) -> Tensor:
    return 0.5 * ((z[..., 1] - _sine(z)) / 0.4).square()


def _split_wave(z: Tensor) -> Tensor:
    bump = 3 * torch.exp(-0.5 * ((z[..., 0] - 1) / 0.6).square())
    return _two_waves(z, 0.35, bump, 0.35)


def _stepped_wave(z: Tensor) -> Tensor:
    return _two_waves(z, 0.4, 3 * torch.sigmoid((z[..., 0] - 1) / 0.3), 0.35)


def _two_waves(z: Tensor, width: float, drop: Tensor, other_width: float) -> Tensor:
    off = z[..., 1] - _sine(z)
    return -torch.logaddexp(-0.5 * (off / width).square(), -0.5 * ((off + drop) / other_width).square())


def _sine(z: Tensor) -> Tensor:
    return torch.sin(2 * math.pi * z[..., 0] / 4)


ENERGIES: dict[str, Callable[[Tensor], Tensor]] = {
    "u1": _ring, "u2": _wave, "u3": _split_wave, "u4": _stepped_wave,
}  # fmt: skip


class Energy(Sampled):
    """p(z) = exp(-U(z) - wall(z)) / Z in the plane, U one of the four energies of Rezende and Mohamed (2015).

    With w_1 = sin(2 pi z_1 / 4), w_2 = 3 exp(-((z_1 - 1) / .6)^2 / 2) and w_3 = 3 sigmoid((z_1 - 1) / .3):

        U_1 = ((|z| - 2) / .4)^2 / 2 - log[ exp(-((z_1 - 2) / .6)^2 / 2) + exp(-((z_1 + 2) / .6)^2 / 2) ]
        U_2 = ((z_2 - w_1) / .4)^2 / 2
        U_3 = -log[ exp(-((z_2 - w_1) / .35)^2 / 2) + exp(-((z_2 - w_1 + w_2) / .35)^2 / 2) ]
        U_4 = -log[ exp(-((z_2 - w_1) / .4)^2 / 2) + exp(-((z_2 - w_1 + w_3) / .35)^2 / 2) ]

    U_2 to U_4 do not bound z_1 and have no finite Z: the wall, sum_i (max(0, |z_i| - 4) / .1)^2 / 2, confines z to the
    box |z_i| < 4. ``log_z`` is `log_normaliser` of the energy. Draws are cells of a grid, uniform within; at a
    temperature t they are draws from p^(1 / t^2), as those of a normal are whose noise is scaled by t.

    Reference: arXiv:1505.05770.
    """

    arg_constraints: ClassVar = {}
    support = constraints.real_vector

    def __init__(self, energy: str, log_z: float, like: Tensor, batch_shape: Shape = NO_SHAPE):
        self.energy, self.log_z, self.like = energy, log_z, like
        super().__init__(torch.Size(batch_shape), torch.Size((2,)), validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "Energy":
        return Energy(self.energy, self.log_z, self.like, batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        return -_confined(self.energy, value) - self.log_z

    def draw(self, shape: torch.Size, temperature: float = 1.0) -> Tensor:
        log_p = _grid(self.energy)
        heat = max(temperature, 1e-3) ** 2
        cells = (log_p / heat).softmax(0).multinomial(shape.numel(), replacement=True)
        place = torch.stack([cells % POINTS, cells // POINTS], -1).double()
        z = (place + torch.rand(place.shape, dtype=torch.float64) - 0.5) * STEP - REACH
        return z.to(self.like).reshape(*shape, 2)


def _confined(energy: str, z: Tensor) -> Tensor:
    return ENERGIES[energy](z) + 0.5 * ((z.abs() - HALF_SIDE).clamp(min=0) / WALL).square().sum(-1)


@lru_cache(maxsize=len(ENERGIES))
def _grid(energy: str) -> Tensor:
    """-U - wall on the grid, ``(POINTS^2,)``, z_1 running faster."""
    axis = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)
    rows = (torch.stack([axis, height.expand(POINTS)], -1) for height in axis)
    return torch.cat([-_confined(energy, row) for row in rows])


def log_normaliser(energy: str) -> float:
    """log Z = log integral exp(-U - wall) dz, by the trapezium rule, exact to rounding for functions so smooth."""
    return float(torch.logsumexp(_grid(energy), 0)) + 2 * math.log(STEP)
