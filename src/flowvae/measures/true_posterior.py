"""The true posterior of a model of two latents, on a grid, and how far q is from it."""

import math
from typing import Literal

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
MASS = 1e-3
"""How far the grid's sum of q may be from 1."""


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
    ``points`` on [-reach, reach]^2, exact to rounding where no density is narrower than its step. Figures:
    ``posterior_kl`` is the mean over the data, ``posterior_kl_0`` and so on those of each. Arrays, densities as
    ``(rows from above, columns)``: ``prior`` and ``aggregate``, the mean of q(z | x) over the first ``aggregate``
    held-out data, on the plane; ``q`` and ``true`` of each datum, ``(count, *)``, on its ``window``
    ``(count, (left, right, bottom, top))``, drawn around it or the whole plane; and the data, ``x``.

    Raises `InputError` for a model whose latents are not one group of two, and for a grid too coarse or too small for
    q (its mass is told).
    """
    if getattr(model.latents, "out_shape", None) != (2,):
        raise InputError(f"expected latents in the plane; got {model.latents.out_shape}: set latents.dim to 2")
    x = inputs(model, chosen(held_out, count), range(min(count, len(held_out))))
    axis = torch.linspace(-reach, reach, points, dtype=x.dtype, device=x.device)
    log_joint, log_q, log_prior = on_grid(model, x, axis.expand(len(x), -1), axis.expand(len(x), -1))
    cell = 2 * math.log(2 * reach / (points - 1))
    mass = log_q.double().exp().sum(0) * math.exp(cell)
    if (mass - 1).abs().max() > MASS:
        worst = float(mass[(mass - 1).abs().argmax()])
        raise InputError(f"expected q(z | x) to sum to 1 on the grid; got {worst:.4f}: raise reach or points")
    log_true = log_joint - (torch.logsumexp(log_joint, 0) + cell)
    weights = log_q.double().exp() * math.exp(cell)
    kl = torch.where(weights > 0, weights * (log_q - log_true).double(), 0.0).sum(0)
    figures = {"posterior_kl": float(kl.mean())} | {f"posterior_kl_{i}": float(value) for i, value in enumerate(kl)}
    plane = x.new_tensor([-reach, reach, -reach, reach]).expand(len(x), 4)
    windows = _windows(log_true, log_q, axis, cell) if window == "posterior" else plane
    return Measured(figures, {**_pictures(model, x, windows, log_prior, axis, held_out, aggregate), "x": _array(x)})


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


def _windows(log_true: Tensor, log_q: Tensor, axis: Tensor, cell: float) -> Tensor:
    """For each datum the square that holds p(z | x) and q(z | x): ``(B, (left, right, bottom, top))``."""
    n = len(axis)
    both = ((log_true.exp() + log_q.exp()) / 2 * math.exp(cell)).unflatten(0, (n, n))
    found = []
    for marginal in (both.sum(0), both.sum(1)):
        centre = (axis[:, None] * marginal).sum(0)
        sd = ((axis[:, None] - centre) ** 2 * marginal).sum(0).sqrt()
        found.append((centre, sd))
    half = 4 * torch.maximum(found[0][1], found[1][1])
    (x, _), (y, _) = found
    return torch.stack([x - half, x + half, y - half, y + half], -1)


def _pictures(
    model: VAE, x: Tensor, windows: Tensor, log_prior: Tensor, axis: Tensor, held_out: Split, aggregate: int
) -> dict[str, np.ndarray]:
    steps = torch.linspace(0, 1, PICTURE, dtype=x.dtype, device=x.device)
    left, right, bottom, top = (edge[:, None] for edge in windows.unbind(-1))
    log_joint, log_q, _ = on_grid(model, x, left + (right - left) * steps, bottom + (top - bottom) * steps)
    side = (len(axis), len(axis))
    prior = log_prior[:, 0].exp().unflatten(0, side).flip(0)
    return {
        "prior": _array(prior[:: max(1, side[0] // PICTURE), :: max(1, side[0] // PICTURE)]),
        "aggregate": _aggregate(model, held_out, aggregate, float(axis[-1])),
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
