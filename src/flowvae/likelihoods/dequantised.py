"""Variational dequantisation: a density as the likelihood of bytes."""

import math
from collections.abc import Callable
from typing import Annotated, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowvae import registry
from flowvae.conditional import Augmented
from flowvae.distributions import standard_normal
from flowvae.distributions.base import NO_SHAPE, Shape
from flowvae.errors import InputError
from flowvae.registry import Kind, Several, Spec, register


class Cells(Distribution):
    """x = k / (L - 1) for y ~ ``density`` in cell k, k / L <= y < (k + 1) / L; the outer cells are open to the outside.

    Its probabilities are integrals that are not known: ``log_prob`` is not implemented.
    """

    arg_constraints: ClassVar = {}
    support = constraints.unit_interval

    def __init__(self, density: Distribution, levels: int):
        self.density, self.levels = density, levels
        super().__init__(density.batch_shape, density.event_shape, validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "Cells":
        return Cells(self.density.expand(torch.Size(batch_shape)), self.levels)

    @property
    def mode(self) -> Tensor:
        """The cell of E[y], which stands for the most likely one."""
        return self._cell(self.density.mean)

    @torch.no_grad()
    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        return self._cell(self.density.sample(torch.Size(sample_shape)))

    def _cell(self, y: Tensor) -> Tensor:
        return (self.levels * y).floor().clamp(0, self.levels - 1) / (self.levels - 1)


@register("likelihood", "dequantised")
class Dequantised(Augmented):
    """log P(x | z) >= E_q(u | x)[ log p(y | z) - log q(u | x) ] - D log L, y = (k + u) / L: a density for bytes.

    k = (L - 1) x is the whole number, of L ``levels``, and u in (0, 1)^D the noise that spreads it over its cell. u is
    Phi(v), Phi the distribution function of the normal, with v ~ q(v | x), any ``posterior`` behind its own
    ``encoder``: then -log q(u | x) = log N(v; 0, I) - log q(v | x), and q(v | x) = N(0, I) is uniform noise, as the
    data option ``dequantise`` adds it. With a flow, the noise of one pixel depends on that of others.

    Shapes: z ``(*, *in_shape)`` to a distribution over ``event_shape``. What is drawn is a whole number over L - 1.
    Raises `InputError` for a density that is none of values in [0, 1], and without an encoder.

    Reference: Ho, Chen, Srinivas, Duan, Abbeel (2019), arXiv:1902.00275; Hoogeboom, Cohen, Tomczak (2020),
    arXiv:2001.11235.
    """

    accepts = ("levels",)

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        density: Annotated[Spec, Kind("likelihood")] = "gaussian",
        encoder: Annotated[Spec, Kind("encoder")] = "mlp",
        posterior: Annotated[Spec, Kind("posterior")] = "gaussian",
        levels: Several = 256,
    ):
        super().__init__()
        self.event_shape, self.levels, self.size = tuple(event_shape), levels, math.prod(event_shape)
        self.density = registry.build("likelihood", density, in_shape, event_shape)
        if "unit" not in self.density.accepts or "binary" in self.density.accepts:
            raise InputError(
                "expected a density of values in [0, 1] as likelihood.density; got a likelihood of others: "
                "use 'gaussian', 'flow' or 'continuous_bernoulli'"
            )
        self.encoder = registry.build("encoder", encoder, self.event_shape)
        if not self.encoder.features:
            raise InputError("expected an encoder of the datum as likelihood.encoder; got none: use 'mlp' or 'resnet'")
        self.posterior = registry.build("posterior", posterior, self.encoder.features, (self.size,))

    def centre(self, mean: Tensor) -> None:
        """Start from the mean of y, u being uniform."""
        if hasattr(self.density, "centre"):
            self.density.centre(self._spread(mean, torch.full_like(mean, 0.5)))

    def noise(self, x: Tensor, batch: torch.Size) -> tuple[Distribution, Callable[[], Distribution]]:
        p = standard_normal(x.new_zeros(*batch, self.size))
        return p, lambda: self.posterior(self.encoder(x), p).expand(batch)

    def log_prob(self, c: Tensor, x: Tensor, v: Tensor) -> Tensor:
        y = self._spread(x, torch.special.ndtr(v).unflatten(-1, self.event_shape))
        return self.density(c).log_prob(y) - self.size * math.log(self.levels)

    def forward(self, c: Tensor) -> Cells:
        return Cells(self.density(c), self.levels)

    def _spread(self, x: Tensor, u: Tensor) -> Tensor:
        """y = (k + u) / L."""
        return ((self.levels - 1) * x + u) / self.levels
