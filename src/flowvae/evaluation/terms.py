"""The terms of the bound for one chunk: some draws of some data."""

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowvae.evaluation.latent import Moments, moments
from flowvae.evaluation.memory import PeakMemory
from flowvae.evaluation.noise import DatumNoise
from flowvae.latents import FromPosterior
from flowvae.model import VAE

# Measured on two cores: a pair costs two floating-point operations a weight at some 130 GFLOP/s; compiled a tenth less,
# and compiling takes some 20 s the first time.
FLOPS = 1.3e11
GAIN = 0.1
COST = 20.0

TRIAL = 8  # draws more in a second trial, whose memory tells that of a draw


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

    def memory(self, x: Tensor, h: Tensor) -> tuple[int, int]:
        """Bytes that a chunk takes at its peak: whatever its size, and more for each pair (draw, datum)."""
        peaks = []
        for draws in (1, 1 + TRIAL):
            with PeakMemory() as trial:
                self(x, h, range(1), range(draws))
            peaks.append(trial.peak)
        pair = -(-(peaks[1] - peaks[0]) // TRIAL)
        return peaks[0] - pair, pair
