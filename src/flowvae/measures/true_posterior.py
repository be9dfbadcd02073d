"""The true posterior of a model of two latents, on a grid, and how far q is from it."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from flowvae.conditional import Augmented
from flowvae.data import Data, Split
from flowvae.engine.generators import aside
from flowvae.errors import InputError
from flowvae.evaluation.context import inputs
from flowvae.latents import FromPrior, Given
from flowvae.measures.base import Measured, finds
from flowvae.model import VAE
from flowvae.registry import Count, Positive, register

CHUNK = 4096
PICTURE = 121
"""Points of a picture's side."""
BINS = 45
"""Of the aggregate posterior's histogram."""
TOLERANCE = 2e-3
"""Nats by which a wider grid, or one of half its points, may change an integral."""
GROWTH = 1.5
MOST = 3
"""How much wider the next grid is, and how often."""


@register("measure", "true_posterior")
@finds("posterior_kl", "posterior_kl_*")
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

    Where there are fewer labels, it is one datum of each.

    KL = E_q[ log q(z | x) - log p(x, z) ] + log p(x), p(x) = integral p(x, z) dz. Both integrals are sums over grids of
    ``points`` x ``points``, around q and around p(z | x), which a grid on [-reach, reach]^2 finds, or on that whole
    plane (``window``); then over wider ones of the same step, until they change no more, by 0.002 nats: little of q far
    out, where p is next to nothing, can cost much.

    Figures: ``posterior_kl`` is the mean over the data, ``posterior_kl_0`` and so on those of each. Arrays, densities
    as ``(rows from above, columns)``: ``prior`` and ``aggregate``, the mean of q(z | x) over the first ``aggregate``
    held-out data, on the plane; ``q`` and ``true`` of each datum, ``(count, *)``, on its ``window``
    ``(count, (left, right, bottom, top))``, drawn around it or the whole plane; and the data, ``x``.

    Raises `InputError` for a model whose latents are not one group of two, for a likelihood with noise of its own, for
    integrals that still grow on a grid three times wider, and for a grid so coarse that half its points give others.
    """
    require_plane(model)
    if points < 3:
        raise InputError(f"expected at least 3 points along a side of a grid; got {points}: raise points")
    shown = chosen(held_out, count)
    x = inputs(model, shown, range(len(shown)))
    plane = Grid.of(model, x, x.new_tensor([-reach, reach, -reach, reach]).expand(len(x), 4), points)
    own = window == "posterior"
    q, p = (Grid.of(model, x, plane.around(log), points) if own else plane for log in (plane.log_q, plane.log_true))
    kl = settled(model, x, q, Grid.cost) + settled(model, x, p, Grid.log_px)
    figures = {"posterior_kl": float(kl.mean())} | {f"posterior_kl_{i}": float(value) for i, value in enumerate(kl)}
    windows = plane.around(torch.logaddexp(plane.log_q, plane.log_true)) if own else plane.windows
    return Measured(figures, {**_pictures(model, x, windows, plane, held_out, aggregate), "x": _array(x)})


def require_plane(model: VAE) -> None:
    """`InputError` unless the latents are one group of two, and all that log p(x | z) depends on beside x."""
    if model.latents.out_shape != (2,):
        raise InputError(f"expected latents in the plane; got {model.latents.out_shape}: set latents.dim to 2")
    with aside(model.latents.origin.device):
        _, groups = model.latents.walk(FromPrior(), None, torch.Size((1,)))
    if len(groups) != 1:
        raise InputError(f"expected latents of one group; got {len(groups)}: use latents.name = 'flat'")
    if isinstance(model.likelihood, Augmented):
        raise InputError("expected log p(x | z) itself; got a likelihood that bounds it: use one without own noise")


class Grid(NamedTuple):
    """log p(x, z), log q(z | x) and log p(z) of a model on square grids of each datum's own.

    Axes are ``(B, n)``, densities ``(n, n, B)``, the first n from below; windows ``(B, (left, right, bottom, top))``.
    """

    across: Tensor
    up: Tensor
    log_joint: Tensor
    log_q: Tensor
    log_prior: Tensor

    @classmethod
    def of(cls, model: VAE, x: Tensor, windows: Tensor, points: int) -> "Grid":
        """The grids of ``points`` x ``points`` on ``windows``."""
        steps = torch.linspace(0, 1, points, dtype=x.dtype, device=x.device)
        left, right, bottom, top = (edge[:, None] for edge in windows.unbind(-1))
        across, up = left + (right - left) * steps, bottom + (top - bottom) * steps
        found = on_grid(model, x, across, up)
        return cls(across, up, *(log.unflatten(0, (points, points)) for log in found))

    @property
    def windows(self) -> Tensor:
        """What the grids cover."""
        return torch.stack([self.across[:, 0], self.across[:, -1], self.up[:, 0], self.up[:, -1]], -1)

    def around(self, log_density: Tensor) -> Tensor:
        """The squares that hold a density: four of its larger standard deviation to each side."""
        density, found = (log_density - torch.logsumexp(log_density, (0, 1))).double().exp(), []
        for axis, marginal in ((self.across, density.sum(0).T), (self.up, density.sum(1).T)):
            centre = (axis * marginal).sum(1)
            sd = ((axis - centre[:, None]).square() * marginal).sum(1).sqrt()
            found.append((centre, sd.clamp(min=float((axis[:, 1] - axis[:, 0]).max()))))
        half = 4 * torch.maximum(found[0][1], found[1][1])
        (right, _), (up, _) = found
        return torch.stack([right - half, right + half, up - half, up + half], -1).to(self.across)

    @property
    def halved(self) -> "Grid":
        """Every second point in either direction."""
        return Grid(self.across[:, ::2], self.up[:, ::2], *(log[::2, ::2] for log in self[2:]))

    @property
    def log_cell(self) -> Tensor:
        """log of the area that a point stands for, ``(B,)``."""
        sides = [(axis[:, -1].double() - axis[:, 0]) / (axis.shape[1] - 1) for axis in (self.across, self.up)]
        return torch.log(sides[0] * sides[1])

    @property
    def log_true(self) -> Tensor:
        """log p(z | x), normalised on the grid."""
        return self.log_joint - self.log_px()

    def log_px(self) -> Tensor:
        """log p(x) ``(B,)``."""
        return torch.logsumexp(self.log_joint.double(), (0, 1)) + self.log_cell

    def cost(self) -> Tensor:
        """E_q[ log q(z | x) - log p(x, z) ] ``(B,)``, of the part of q that is on the grid."""
        weights = torch.softmax(self.log_q.double().flatten(0, 1), 0)
        terms = (self.log_q.double() - self.log_joint).flatten(0, 1)
        return torch.where(weights > 0, weights * terms, 0.0).sum(0)


def settled(model: VAE, x: Tensor, grid: Grid, integral: Callable[[Grid], Tensor]) -> Tensor:
    """An integral ``(B,)`` on ever wider grids from ``grid`` on, until it changes no more."""
    value = integral(grid)
    for _ in range(MOST):
        points = 1 + round((grid.across.shape[1] - 1) * GROWTH)
        grid, before = Grid.of(model, x, wider(grid.windows), points), value
        value = integral(grid)
        if (value - before).abs().max() < TOLERANCE:
            break
    else:
        change = float((value - before).abs().max())
        raise InputError(
            f"expected the divergence of q(z | x) to change by less than {TOLERANCE:g} nats on a grid {GROWTH:g} times "
            f"as wide; got {change:.2g}: raise reach"
        )
    if (change := float((integral(grid.halved) - value).abs().max())) > TOLERANCE:
        raise InputError(
            f"expected the divergence of q(z | x) to change by less than {TOLERANCE:g} nats with half the points; "
            f"got {change:.2g}: raise points"
        )
    return value


def wider(windows: Tensor) -> Tensor:
    """Windows ``(B, (left, right, bottom, top))`` grown about their centres."""
    low, high = windows[:, ::2], windows[:, 1::2]
    more = (GROWTH - 1) / 2 * (high - low)
    return torch.stack([low - more, high + more], -1).flatten(1)


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


def _pictures(
    model: VAE, x: Tensor, windows: Tensor, plane: Grid, held_out: Split, aggregate: int
) -> dict[str, np.ndarray]:
    seen = Grid.of(model, x, windows, PICTURE)
    thinned = max(1, plane.up.shape[1] // PICTURE)
    prior = plane.log_prior[..., 0].exp().flip(0)
    return {
        "prior": _array(prior[::thinned, ::thinned]),
        "aggregate": _aggregate(model, held_out, aggregate, float(plane.up[0, -1])),
        "q": _array(_upright(seen.log_q.exp())),
        "true": _array(_upright(seen.log_true.exp())),
        "window": _array(windows),
    }


def _upright(density: Tensor) -> Tensor:
    """``(n, n, B)``, the first n from below, to ``(B, rows from above, columns)``, the highest value 1."""
    return (density / density.amax((0, 1))).permute(2, 0, 1).flip(1)


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
