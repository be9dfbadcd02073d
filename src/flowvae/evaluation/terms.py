"""The terms of the bound for one chunk: some draws of some data."""

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowvae.evaluation.latent import Moments, moments
from flowvae.evaluation.memory import Footprint
from flowvae.evaluation.noise import DatumNoise
from flowvae.latents import FromPosterior
from flowvae.model import VAE

# Measured on two cores: a pair costs two floating-point operations a weight at some 130 GFLOP/s; compiled an eighth less,
# and compiling takes some 15 s.
FLOPS = 1.3e11
GAIN = 0.12
COST = 15.0

TRIAL = 64
"""Draws on which the memory of a chunk is tried."""


class Terms(NamedTuple):
    """log p(x | z) and log q - log p of every group, each ``(S, B)``; what the draws tell about every group."""

    log_px: Tensor
    kl: list[Tensor]
    moments: list[Moments]


def terms(model: VAE, x: Tensor, h: Tensor, samples: int, noise: dict[int, Tensor]) -> Terms:
    """The terms for data x ``(B, *event)`` with features h, from the noise ``(S, B, *event)`` of every group."""
    trace = model.trace(x, h, samples, FromPosterior(lambda n, _: noise[n]))
    return Terms(trace.log_px, [latent.kl for latent in trace.latents], [moments(latent) for latent in trace.latents])


@cache
def _compiled() -> Any:
    return torch.compile(terms, dynamic=False)


def worth_compiling(model: VAE, pairs: int) -> bool:
    """Whether compiled terms win their compilation back over ``pairs`` pairs (draw, datum), by sizes alone."""
    weights = sum(p.numel() for part in (model.latents, model.likelihood) for p in part.parameters())
    return 2 * weights * pairs / FLOPS * GAIN > COST


class ChunkTerms:
    """The terms of a model for chunks of data and draws, with the noise that belongs to them.

    Chunks of the shape ``compiled``, (draws, data), run compiled; a compiler is slower than it is worth for others.
    """

    def __init__(self, model: VAE, noise: DatumNoise, x: Tensor, h: Tensor):
        """Learn from one datum x ``(1, *event)`` with features h which groups ask for noise, and of what shape."""
        self.model, self.noise = model, noise
        self.compiled: tuple[int, int] | None = None
        self.events: dict[int, tuple[int, ...]] = {}

        def record(group: int, shape: torch.Size) -> Tensor:
            self.events[group] = tuple(shape[2:])
            return h.new_zeros(shape)

        model.trace(x, h, 1, FromPosterior(record))

    def __call__(self, x: Tensor, h: Tensor, rows: range, draws: range) -> Terms:
        """The terms of the draws ``draws`` of the data ``rows``, which are x and whose features are h."""
        noise = {n: self.noise(n, rows, draws, event) for n, event in self.events.items()}
        run = _compiled() if (len(draws), len(rows)) == self.compiled else terms
        return run(self.model, x, h, len(draws), noise)

    def bytes_per_pair(self, x: Tensor, h: Tensor, budget: int) -> int:
        """The memory that a chunk takes for each pair (draw, datum), tried on one datum within a quarter of ``budget``.

        What a chunk takes whatever its size, such as masked weights, is shared among the draws that are tried.
        """

        def peak(draws: int) -> int:
            with Footprint() as footprint:
                self(x, h, range(1), range(draws))
            return footprint.peak

        draws = max(1, min(TRIAL, self.noise.samples, budget // 4 // peak(1)))
        return -(-peak(draws) // draws)
