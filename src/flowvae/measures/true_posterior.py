"""The true posterior of a model of two latents, on a grid, and how far q is from it."""

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowvae.data import Data, Split
from flowvae.errors import InputError
from flowvae.evaluation.context import inputs
from flowvae.latents import Given
from flowvae.measures.base import Measured
from flowvae.model import VAE
from flowvae.registry import Count, Positive, register

CHUNK = 4096
PICTURE = 121
"""Points of a picture's side."""
BINS = 45
"""Of the aggregate posterior's histogram."""
TOLERANCE = 2e-3
"""Nats by which a wider grid, or one of half its points, may change a divergence."""
GROWTH = 1.5
MOST = 3
"""How much wider the next grid is, and how often."""


@register("measure", "true_posterior")
def true_posterior(
    model: VAE,
    data: Data,
    held_out: Split,
    *,
    count: Count = 4,
    reach: Positive = 4.5,
    points: Count = 451,
    aggregate: Count = 10_000,
    window: Literal["posterior", "plane"] = "posterior",
) -> Measured:
    """KL( q(z | x) || p(z | x) ) of ``count`` data of different labels, z in the plane, in nats, and pictures of both.

    p(z | x) = p(x | z) p(z) / p(x), p(x) = integral p(x | z) p(z) dz, and the KL are sums over a grid of ``points`` x
    ``points`` on [-reach, reach]^2, and over wider ones of the same step until the KL changes no more, by 0.002 nats:
    little of q far out, where p is next to nothing, can cost much. Figures:
    ``posterior_kl`` is the mean over the data, ``posterior_kl_0`` and so on those of each. Arrays, densities as
    ``(rows from above, columns)``: ``prior`` and ``aggregate``, the mean of q(z | x) over the first ``aggregate``
    held-out data, on the plane; ``q`` and ``true`` of each datum, ``(count, *)``, on its ``window``
    ``(count, (left, right, bottom, top))``, drawn around it or the whole plane; and the data, ``x``.

    Raises `InputError` for a model whose latents are not one group of two, for a KL that still grows on a grid three
    times wider, and for a grid so coarse that half its points give another KL.
    """
    if getattr(model.latents, "out_shape", None) != (2,):
        raise InputError(f"expected latents in the plane; got {model.latents.out_shape}: set latents.dim to 2")
    x = inputs(model, chosen(held_out, count), range(min(count, len(held_out))))
    first = Plane.of(model, x, reach, points)
    kl = divergence(model, x, first)
    figures = {"posterior_kl": float(kl.mean())} | {f"posterior_kl_{i}": float(value) for i, value in enumerate(kl)}
    plane = x.new_tensor([-reach, reach, -reach, reach]).expand(len(x), 4)
    windows = _windows(first) if window == "posterior" else plane
    return Measured(figures, {**_pictures(model, x, windows, first, held_out, aggregate), "x": _array(x)})


class Plane(NamedTuple):
    """log p(x, z), log q(z | x) and log p(z) of a model, each ``(n, n, B)``, on the square grid over ``axis``."""

    axis: Tensor
    log_joint: Tensor
    log_q: Tensor
    log_prior: Tensor

    @classmethod
    def of(cls, model: VAE, x: Tensor, reach: float, points: int) -> "Plane":
        """The grid of ``points`` x ``points`` on [-reach, reach]^2."""
        axis = torch.linspace(-reach, reach, points, dtype=x.dtype, device=x.device)
        found = on_grid(model, x, axis.expand(len(x), -1), axis.expand(len(x), -1))
        return cls(axis, *(log.unflatten(0, (points, points)) for log in found))

    @property
    def halved(self) -> "Plane":
        """Every second point in either direction."""
        return Plane(self.axis[::2], *(log[::2, ::2] for log in self[1:]))

    @property
    def log_cell(self) -> float:
        """log of the area that a point stands for."""
        return 2 * math.log(float(self.axis[1] - self.axis[0]))

    @property
    def log_true(self) -> Tensor:
        """log p(z | x), normalised on the grid."""
        return self.log_joint - (torch.logsumexp(self.log_joint, (0, 1)) + self.log_cell)

    @property
    def divergence(self) -> Tensor:
        """KL(q || p(z | x)) as a sum, ``(B,)``, the mass of q as it is."""
        weights = (self.log_q.double() + self.log_cell).exp()
        return torch.where(weights > 0, weights * (self.log_q - self.log_true).double(), 0.0).sum((0, 1))


def divergence(model: VAE, x: Tensor, plane: Plane) -> Tensor:
    """KL(q || p(z | x)) ``(B,)`` on ever wider grids from ``plane`` on, until it changes no more."""
    reach, points, kl = float(plane.axis[-1]), len(plane.axis), plane.divergence
    for _ in range(MOST):
        reach, points = reach * GROWTH, 1 + round((points - 1) * GROWTH)
        plane, before = Plane.of(model, x, reach, points), kl
        kl = plane.divergence
        if (kl - before).abs().max() < TOLERANCE:
            break
    else:
        change = float((kl - before).abs().max())
        raise InputError(
            f"expected the divergence of q(z | x) to change by less than {TOLERANCE:g} nats on a grid {GROWTH:g} times "
            f"as wide; got {change:.2g} at [-{reach:g}, {reach:g}]: raise reach"
        )
    if (change := float((plane.halved.divergence - kl).abs().max())) > TOLERANCE:
        raise InputError(
            f"expected the divergence of q(z | x) to change by less than {TOLERANCE:g} nats with half the points; "
            f"got {change:.2g}: raise points"
        )
    return kl


def chosen(split: Split, count: int) -> Split:
    """The first datum of each of ``count`` labels; without labels, the first data."""
    split = split.frozen(0)
    if split.labels is None:
        return split.take(count)
    labels = split.labels.cpu()
    first = [int((labels == label).nonzero()[0]) for label in labels.unique()[:count]]
    return Split(split.values[first], split.scale, split.binarise, labels[first])


def on_grid(model: VAE, x: Tensor, across: Tensor, up: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x, z), log q(z | x) and log p(z), each ``(points, B)``, on each datum's grid ``across`` x ``up``.

    ``across`` and ``up`` are ``(B, n)``; points run from below, row by row.
    """
    n = across.shape[1]
    grid = torch.stack([across[:, None, :].expand(-1, n, -1), up[:, :, None].expand(-1, -1, n)], -1)
    z = grid.flatten(1, 2).transpose(0, 1)
    h = model.encoder(x)
    parts = []
    for part in z.split(CHUNK):
        trace = model.trace(x, h, len(part), Given([part]))
        (latent,) = trace.latents
        parts.append((trace.log_px + latent.log_p, latent.log_q, latent.log_p))
    log_joint, log_q, log_prior = (torch.cat(column) for column in zip(*parts, strict=True))
    return log_joint, log_q, log_prior


def _windows(plane: Plane) -> Tensor:
    """For each datum the square that holds p(z | x) and q(z | x): ``(B, (left, right, bottom, top))``."""
    both, axis, found = (plane.log_true.exp() + plane.log_q.exp()) / 2 * math.exp(plane.log_cell), plane.axis, []
    for marginal in (both.sum(0), both.sum(1)):
        centre = (axis[:, None] * marginal).sum(0)
        sd = ((axis[:, None] - centre) ** 2 * marginal).sum(0).sqrt()
        found.append((centre, sd))
    half = 4 * torch.maximum(found[0][1], found[1][1])
    (x, _), (y, _) = found
    return torch.stack([x - half, x + half, y - half, y + half], -1)


def _pictures(
    model: VAE, x: Tensor, windows: Tensor, plane: Plane, held_out: Split, aggregate: int
) -> dict[str, np.ndarray]:
    steps = torch.linspace(0, 1, PICTURE, dtype=x.dtype, device=x.device)
    left, right, bottom, top = (edge[:, None] for edge in windows.unbind(-1))
    log_joint, log_q, _ = on_grid(model, x, left + (right - left) * steps, bottom + (top - bottom) * steps)
    thinned = max(1, len(plane.axis) // PICTURE)
    prior = plane.log_prior[..., 0].exp().flip(0)
    return {
        "prior": _array(prior[::thinned, ::thinned]),
        "aggregate": _aggregate(model, held_out, aggregate, float(plane.axis[-1])),
        "q": _array(_upright(log_q.exp())),
        "true": _array(_upright((log_joint - log_joint.logsumexp(0)).exp())),
        "window": _array(windows),
    }


def _upright(density: Tensor) -> Tensor:
    """``(points, B)``, points from below, to ``(B, rows from above, columns)``, the highest value 1."""
    return (density / density.max(0).values).unflatten(0, (PICTURE, PICTURE)).permute(2, 0, 1).flip(1)


def _aggregate(model: VAE, held_out: Split, count: int, reach: float) -> np.ndarray:
    """A histogram of one draw from q(z | x) for every datum, rows from above."""
    held_out = held_out.take(count).frozen(0)
    draws = [
        model.encode(inputs(model, held_out, range(start, min(start + CHUNK, len(held_out)))))[0][0]
        for start in range(0, len(held_out), CHUNK)
    ]
    z = _array(torch.cat(draws))
    counts, _, _ = np.histogram2d(z[:, 1], z[:, 0], bins=BINS, range=[[-reach, reach]] * 2, density=True)
    return counts[::-1].copy()


def _array(t: Tensor) -> np.ndarray:
    return t.float().numpy(force=True)
