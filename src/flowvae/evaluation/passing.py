"""One pass over all data and all draws, in chunks that keep to a budget of memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from flowvae.conditional import Augmented
from flowvae.data import Split
from flowvae.engine.compiling import can_compile, require_compiler
from flowvae.engine.malloc import keep_memory
from flowvae.evaluation.context import evaluating, inputs, require_shape
from flowvae.evaluation.finite import require_finite
from flowvae.evaluation.latent import Code, Codes
from flowvae.evaluation.memory import Bytes, Footprint, parse_size, plan
from flowvae.evaluation.noise import DatumNoise
from flowvae.evaluation.streaming import LogWeights
from flowvae.evaluation.terms import ChunkTerms
from flowvae.model import VAE, require_draws

Compile = Literal["auto", "on", "off"]
Progress = Callable[[int, int], None]
"""Called with the pairs (draw, datum) done and the pairs to do."""


GRAPHS = 10
"""Structures that a model with a random one is averaged over."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a pass adds up: arrays over the data in float64, in nats, and what the codes tell about every latent group.

    All are averages over ``graphs`` structures, taken outside the logarithm.
    """

    log_px_hat: np.ndarray
    elbo: np.ndarray
    ess: np.ndarray
    kl: np.ndarray
    """log q - log p, averaged over the draws, ``(groups, N)``."""
    codes: list[Codes]
    graphs: int
    samples: int
    """Draws a datum and graph: those that were asked for, or 1 where nothing is drawn."""


def one_pass(
    model: VAE,
    split: Split,
    samples: int,
    seed: int,
    memory: str | int,
    progress: Progress | None = None,
    compile: Compile = "auto",
) -> Found:
    """All draws of all data of ``split``: see `evaluate`."""
    budget = parse_size(memory)
    require_draws(samples)
    require_shape(model, split)
    data = split.frozen(seed)
    with evaluating(model, seed) as device:
        if device.type == "cpu":
            keep_memory()
        graphs = GRAPHS if model.latents.random else 1
        noise = DatumNoise(seed, graphs * samples, device)
        return _Pass(model, data, noise, graphs, budget, progress, compile).run()


class _Pass:
    """A block of data is encoded at once; then part after part of its draws is computed, and reduced for the block.

    A part is computed in chunks of the block's data. Each graph has its share of the draws.
    """

    def __init__(
        self,
        model: VAE,
        data: Split,
        noise: DatumNoise,
        graphs: int,
        budget: int,
        progress: Progress | None,
        compile: Compile,
    ):
        self.model, self.data, self.samples, self.device = model, data, noise.samples, noise.generator.device
        self.seed, self.graphs = noise.seed, graphs
        self.progress, self.done = progress or (lambda done, total: None), 0
        with Footprint() as encoding:
            x = inputs(model, data, range(1))
            self.first = h = model.encoder(x)  # kept, since the encoder is to run once a datum
        self.terms = ChunkTerms(model, noise, x, h)
        self.likes = self.terms(x, h, range(1), range(1)).moments
        if not (self.likes or isinstance(model.likelihood, Augmented)):
            self.samples = 1  # nothing is drawn: the one weight is p(x) itself
        self.codes = [Codes(like) for like in self.likes]
        with Footprint() as coding:
            self._codes(1)
        cost = Bytes(datum=encoding.peak + coding.peak, pair=self.terms.bytes_per_pair(x, h, budget))
        self.plan = plan(
            len(data), self.samples // graphs, budget, cost, len(self.codes), on_cpu=self.device.type == "cpu"
        )
        pairs = len(data) * self.samples
        pays = self.terms.worth_compiling(pairs, max(1, pairs // (self.plan.draws * self.plan.data)))
        if _compiles(compile, pays, self.device):
            self.terms.compile(self.plan.draws, self.plan.data)

    def run(self) -> Found:
        count, step = len(self.data), self.plan.block
        blocks = [self._block(range(start, min(start + step, count))) for start in range(0, count, step)]
        weights, kl = zip(*blocks, strict=True)
        log_px_hat, elbo, ess = _joined(weights)
        samples = self.samples // self.graphs
        return Found(log_px_hat, elbo, ess, kl=_joined(kl), codes=self.codes, graphs=self.graphs, samples=samples)

    def _codes(self, count: int) -> list[Code]:
        """The codes of ``count`` data, a group each, to be added up."""
        return [Code(count, self.samples, like, below=group > 0) for group, like in enumerate(self.likes)]

    def _block(self, rows: range) -> tuple[Tensor, Tensor]:
        """log p(x), bound and effective sample size of the data ``rows``, ``(3, rows)``; KL ``(groups, rows)``."""
        x = inputs(self.model, self.data, rows)
        h = self._h(x, rows)
        kl = torch.zeros(len(self.codes), len(rows), dtype=torch.float64, device=self.device)
        codes, share, found = self._codes(len(rows)), self.samples // self.graphs, []
        generator = torch.Generator().manual_seed(self.seed)  # the same graphs for every block of data
        for graph in range(self.graphs):
            weights = LogWeights(len(rows), self.device)
            with self.model.latents.settled(generator):
                for first in range(graph * share, (graph + 1) * share, self.plan.draws):
                    draws = range(first, min(first + self.plan.draws, (graph + 1) * share))
                    log_px, log_ratio = self._part(x, h, rows, draws, codes)
                    weights.add(log_px - log_ratio.sum(0))
                    kl += log_ratio.sum(1) / self.samples
            found.append(torch.stack([weights.log_mean, weights.mean, weights.ess]))
        for total, code in zip(self.codes, codes, strict=True):
            total.add(code)
        return torch.stack(found).mean(0), kl

    def _part(self, x: Tensor, h: Tensor, rows: range, draws: range, codes: list[Code]) -> tuple[Tensor, Tensor]:
        """log p(x | z) ``(S, rows)`` and every group's log q - log p ``(groups, S, rows)`` for ``draws``.

        The moments of the draws are counted in ``codes``.
        """
        log_px = torch.empty(len(draws), len(rows), dtype=torch.float64, device=self.device)
        log_ratio = log_px.new_empty(len(self.codes), *log_px.shape)
        for start in range(0, len(rows), self.plan.data):
            inside = slice(start, start + self.plan.data)
            found = self.terms(x[inside], h[inside], rows[inside], draws)
            log_px[:, inside] = found.log_px
            for n, code in enumerate(codes):
                log_ratio[n, :, inside] = found.kl[n]
                code.add(range(len(rows))[inside], len(draws), found.moments[n])
            self.done += found.log_px.numel()
            self.progress(self.done, len(self.data) * self.samples)
        require_finite(self.model, x, rows, log_px, log_ratio)
        return log_px, log_ratio

    def _h(self, x: Tensor, rows: range) -> Tensor:
        """The features of x; those of datum 0 are known."""
        if rows.start > 0:
            return self.model.encoder(x)
        return torch.cat([self.first, self.model.encoder(x[1:])]) if len(rows) > 1 else self.first


def _joined(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.cat(tuple(parts), -1).numpy(force=True)


def _compiles(compile: Compile, pays: bool, device: torch.device) -> bool:
    """Whether to compile: ``on`` insists."""
    require_compiler(compile, device, "compile = 'auto'")
    return compile == "on" or (compile == "auto" and pays and can_compile(device))
