"""What the density that toys are drawn from says of the same points: no model can do better but by chance."""

from collections.abc import Callable

import numpy as np
from scipy.special import i0e, logsumexp  # type: ignore[import-untyped]

from flowvae.data import Data, Split
from flowvae.data.toys import ARMS, BEND, BLUR, LENGTH, MIDDLE, RADII, SCALE, THICKNESS, WIDTH, upper_moon
from flowvae.errors import InputError
from flowvae.measures.base import Measured, finds
from flowvae.model import VAE
from flowvae.registry import register

ANGLES = 500
"""Points of a half circle that stand for it: far closer to each other than the noise is wide."""

ROWS = 256
"""Points at a time."""


@register("measure", "true_density")
@finds("true_log_likelihood")
def true_density(model: VAE, data: Data, held_out: Split) -> Measured:
    """``true_log_likelihood``: the mean of log p(x) over the held-out points, p the density that they are drawn from.

    In nats; for the data `moons`, `rings` and `pinwheel`. The model is not looked at. Raises `InputError` for data
    whose density is not known.
    """
    name = data.spec["name"]
    if name not in DENSITIES:
        raise InputError(f"expected data of a known density: {', '.join(DENSITIES)}; got {name!r}: leave it out")
    points = held_out.values.cpu().double().numpy()
    return Measured({"true_log_likelihood": float(DENSITIES[name](points).mean())})


def moons(x: np.ndarray) -> np.ndarray:
    """log p(x) ``(N,)``: normal noise around the half circles, an average over their points."""
    upper = upper_moon(np.pi * (np.arange(ANGLES) + 0.5) / ANGLES)
    centres, points = np.concatenate([upper, -upper]), x / SCALE
    squares = np.concatenate(
        [((rows[:, None] - centres) ** 2).sum(-1) for rows in np.array_split(points, -(-len(x) // ROWS))]
    )
    log_normal = -0.5 * squares / BLUR**2 - np.log(2 * np.pi * BLUR**2)
    return logsumexp(log_normal, 1) - np.log(len(centres)) - 2 * np.log(SCALE)


def rings(x: np.ndarray) -> np.ndarray:
    """log p(x) ``(N,)``: around a circle of radius R it is exp(-(r - R)^2 / 2 s^2) I0e(r R / s^2) / 2 pi s^2."""
    r, variance = np.linalg.norm(x, axis=1)[:, None], THICKNESS**2
    log_ring = -0.5 * (r - RADII) ** 2 / variance + np.log(i0e(r * RADII / variance)) - np.log(2 * np.pi * variance)
    return logsumexp(log_ring, 1) - np.log(len(RADII))


def pinwheel(x: np.ndarray) -> np.ndarray:
    """log p(x) ``(N,)``: the normal (a, c) along and across an arm is turned by phi(a), |det| = |1 - phi'(a) c|.

    A point belongs to every a at which turning it back by phi(a) makes a its first coordinate: those are looked for
    where the normal has mass, and found by Newton's method.
    """
    grid = MIDDLE + LENGTH * np.linspace(-9, 9, 4001)
    density = np.zeros(len(x))
    for arm in range(ARMS):

        def turned_back(points: np.ndarray, a: np.ndarray, start: float = 2 * np.pi * arm / ARMS) -> np.ndarray:
            """Complex numbers u + i c, turned back by phi(a)."""
            return points * np.exp(-1j * (start + BEND * np.exp(a)))

        points = (x[:, 0] + 1j * x[:, 1]) / SCALE
        for first in range(0, len(points), ROWS):
            some = points[first : first + ROWS]
            signs = np.sign(turned_back(some[:, None], grid).real - grid)
            row, left = np.nonzero(signs[:, 1:] != signs[:, :-1])
            a = (grid[left] + grid[left + 1]) / 2
            for _ in range(5):
                back = turned_back(some[row], a)
                a = a - (back.real - a) / (BEND * np.exp(a) * back.imag - 1)
            c = turned_back(some[row], a).imag
            normal = np.exp(-0.5 * (((a - MIDDLE) / LENGTH) ** 2 + (c / WIDTH) ** 2)) / (2 * np.pi * LENGTH * WIDTH)
            np.add.at(density, first + row, normal / np.abs(1 - BEND * np.exp(a) * c))
    return np.log(np.maximum(density / ARMS, np.finfo(float).tiny)) - 2 * np.log(SCALE)


DENSITIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"moons": moons, "rings": rings, "pinwheel": pinwheel}
