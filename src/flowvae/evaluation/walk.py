"""Walks through the latent space: between two data, and uphill on a predicted property."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from flowvae.data import Split
from flowvae.distributions.diagonal import HALF_LOG_2PI
from flowvae.errors import InputError, require_count
from flowvae.evaluation.context import evaluating
from flowvae.evaluation.generate import Show, encode
from flowvae.evaluation.regression import Surrogate
from flowvae.latents import FromPrior, Held
from flowvae.model import VAE

FAR_BELOW, FAR_ABOVE = 1e3, 30.0
"""Standard deviations from which rounding leaves nothing of the expected improvement's exact form."""
STARTS, STEPS, RATE = 64, 100, 0.05  # of a search; the rate is relative to the spread of the latents


def interpolate(model: VAE, ends: Split, count: int, *, seed: int = 0, show: Show) -> Tensor:
    """What is shown of p(x | z) at ``count`` points z on the line between two data's posterior means: (count, *event).

    Of several groups of latents each goes its own straight way. Raises `InputError` as `encode` does, for
    fewer than two data, and for no points.
    """
    if len(ends) < 2:
        raise InputError(f"expected two data to walk between; got {len(ends)}: give a split of two")
    require_count(count, "point")
    means = [mean for name, mean in encode(model, ends, seed=seed).items() if name.startswith("mean")]
    along, like = torch.linspace(0, 1, count), next(model.parameters())
    points = {n: _between(torch.from_numpy(mean), along).to(like) for n, mean in enumerate(means)}
    with evaluating(model, seed):
        c, _ = model.latents.walk(Held(points, FromPrior()), None, along.shape)
        return show(model.likelihood(c)).float().cpu()


def _between(ends: Tensor, along: Tensor) -> Tensor:
    return torch.lerp(ends[0], ends[1], along.reshape(-1, *[1] * (ends.ndim - 1)))


def decode(model: VAE, z: Tensor, *, seed: int = 0, show: Show) -> Tensor:
    """What is shown of p(x | z) for z ``(n, D)``, on the CPU: ``(n, *event)``."""
    with evaluating(model, seed):
        return show(model.likelihood(z.to(next(model.parameters())))).float().cpu()


def ascend(
    surrogate: Surrogate, z: Tensor, *, aim: Literal["mean", "improvement"], best: float, seed: int = 0
) -> Tensor:
    """Points ``(n, D)`` uphill, the best first: gradient ascent from good and from random points.

    The aim is the predicted mean, or the expected improvement on ``best`` (Mockus, 1975; Jones et al., 1998). Points
    stay within the range of the known z ``(N, D)``, where predictions can be trusted.
    """
    low, high, spread = z.double().amin(0), z.double().amax(0), z.double().std(0)
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(STARTS, z.shape[1], generator=generator, dtype=torch.float64) * spread + z.double().mean(0)
    good = z.double()[surrogate.predict(z)[0].topk(min(STARTS, len(z))).indices]
    points = torch.cat([good, random])
    score: Callable[[Tensor], Tensor] = (
        (lambda at: surrogate.predict(at)[0]) if aim == "mean" else lambda at: log_improvement(surrogate, at, best)
    )
    with torch.enable_grad():
        steps = torch.zeros_like(points, requires_grad=True)
        optimiser = torch.optim.Adam([steps], lr=RATE)
        for _ in range(STEPS):
            optimiser.zero_grad()
            (-score((points + spread * steps).clamp(low, high))).sum().backward()
            optimiser.step()
    found = (points + spread * steps.detach()).clamp(low, high)
    return found[score(found).argsort(descending=True)]


def log_improvement(surrogate: Surrogate, z: Tensor, best: float) -> Tensor:
    """log E[ max(y - best, 0) ] at z ``(*, D)``, y normal: it has a slope where the expectation itself underflows.

    With u = (mean - best) / sd, it is log sd + log( phi(u) + u Phi(u) ): of u itself far above 0, of phi(u) / u^2 far
    below.
    """
    mean, sd = surrogate.predict(z)
    u = (mean - best) / sd
    near = u.clamp(-FAR_BELOW, FAR_ABOVE)
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(-near / math.sqrt(2))  # Phi(u) / phi(u)
    log_phi = -0.5 * u.clamp(max=FAR_ABOVE).square() - HALF_LOG_2PI
    correction = torch.where(u < -FAR_BELOW, -2 * u.clamp(max=-FAR_BELOW).neg().log(), torch.log1p(near * ratio))
    return sd.log() + torch.where(u > FAR_ABOVE, u.clamp(min=FAR_ABOVE).log(), log_phi + correction)
