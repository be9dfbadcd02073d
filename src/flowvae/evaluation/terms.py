"""The terms of the bound for one chunk: some draws of some data."""

import logging
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from flowvae.engine.compiling import OPTIONS, worth_compiling
from flowvae.engine.generators import aside
from flowvae.engine.work import Work
from flowvae.evaluation.latent import Moments, moments
from flowvae.evaluation.memory import Footprint
from flowvae.evaluation.noise import DatumNoise
from flowvae.latents import FromPosterior
from flowvae.model import VAE

log = logging.getLogger(__name__)
TRIAL = 64
"""Draws on which the memory of a chunk is tried."""
TOLERANCE = 1e-4
"""How far rounding may carry compiled terms from the plain ones, on average: of log p(x | z), and of a nat at least."""


class Terms(NamedTuple):
    """log p(x | z) and log q - log p of every group, each ``(S, B)``; what the draws tell about every group."""

    log_px: Tensor
    kl: list[Tensor]
    moments: list[Moments]


def terms(model: VAE, x: Tensor, h: Tensor, samples: int, noise: dict[int, Tensor]) -> Terms:
    """The terms for data x ``(B, *event)`` with features h, from the noise ``(S, B, *event)`` of every group."""
    trace = model.trace(x, h, samples, FromPosterior(lambda n, _: noise[n]))
    return Terms(trace.log_px, [latent.kl for latent in trace.latents], [moments(latent) for latent in trace.latents])


@lru_cache(maxsize=16)
def _compiled(structure: str, shape: tuple[int, int]) -> Any:
    """`terms`, compiled for models of one structure and chunks of one shape, whatever the weights."""
    # the compiler keeps a handful of graphs of one code object and then gives up: here each has its own
    own = FunctionType(terms.__code__.replace(), terms.__globals__)
    return torch.compile(own, dynamic=False, options=OPTIONS)


def agree(found: Terms, plain: Terms) -> bool:
    """Whether the terms of one chunk are the ``plain`` ones but for rounding, or those are not finite."""
    tolerance = TOLERANCE * plain.log_px.abs().mean().clamp(min=1)
    pairs = zip((found.log_px, *found.kl), (plain.log_px, *plain.kl), strict=True)
    return all(bool(((a - b).abs().mean() <= tolerance) | ~b.isfinite().all()) for a, b in pairs)


class ChunkTerms:
    """The terms of a model for chunks of data and draws, with the noise that belongs to them."""

    def __init__(self, model: VAE, noise: DatumNoise, x: Tensor, h: Tensor):
        """Learn from one datum x ``(1, *event)`` with features h which groups ask for noise, and of what shape."""
        self.model, self.noise = model, noise
        self.events: dict[int, tuple[int, ...]] = {}
        self.compiled: dict[tuple[int, int], Any] = {}
        self.trusted = False

        def record(group: int, shape: torch.Size) -> Tensor:
            self.events[group] = tuple(shape[2:])
            return h.new_zeros(shape)

        with Work() as self.work:
            model.trace(x, h, 1, FromPosterior(record))

    def worth_compiling(self, pairs: int, chunks: int) -> bool:
        """Whether compiled terms win their compilation back over ``pairs`` pairs (draw, datum) in ``chunks`` chunks."""
        return worth_compiling(self.model, chunks * self.work.seconds(pairs / chunks), self.work.calls)

    def compile(self, draws: int, data: int) -> None:
        """Run chunks of this shape compiled, once the first agrees; others are remainders, and not worth it."""
        self.compiled[draws, data] = _compiled(repr(self.model), (draws, data))

    def __call__(self, x: Tensor, h: Tensor, rows: range, draws: range) -> Terms:
        """The terms of the draws ``draws`` of the data ``rows``, which are x and whose features are h."""
        noise = {n: self.noise(n, rows, draws, event) for n, event in self.events.items()}
        chunk = self.model, x, h, len(draws), noise
        shape = len(draws), len(rows)
        if shape in self.compiled and not self.trusted:
            self._compare(self.compiled[shape], chunk)
        return self.compiled.get(shape, terms)(*chunk)

    def _compare(self, compiled: Callable[..., Terms], chunk: tuple[Any, ...]) -> None:
        """Trust compiled terms if those of this chunk are the plain ones; else do without. Compilers have faults."""
        with aside(self.noise.generator.device):
            plain = terms(*chunk)
        with aside(self.noise.generator.device):
            self.trusted = agree(compiled(*chunk), plain)
        if not self.trusted:
            self.compiled.clear()
            log.warning("evaluating without compilation: compiled terms were off the plain ones")

    def bytes_per_pair(self, x: Tensor, h: Tensor, budget: int) -> int:
        """The memory that a chunk takes for each pair (draw, datum), tried on one datum within half of ``budget``.

        What a chunk takes whatever its size, such as masked weights, is shared among the draws that are tried.
        """

        def peak(draws: int) -> int:
            with Footprint() as footprint:
                self(x, h, range(1), range(draws))
            return footprint.peak

        draws, most, found = 1, min(TRIAL, self.noise.samples), peak(1)
        while draws < most and 2 * found <= budget // 2:  # twice the draws take twice as much at most
            draws = min(2 * draws, most)
            found = peak(draws)
        return -(-found // draws)
