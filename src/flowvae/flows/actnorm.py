"""Activation normalisation."""

import torch
from torch import Tensor, nn

from flowvae.flows.base import Cost, Flow
from flowvae.nn import FromData
from flowvae.registry import register
from flowvae.transforms import Transform
from flowvae.transforms.base import Triangular

BOUND = 5.0


@register("flow", "actnorm")
class ActNorm(Flow):
    """Activation normalisation, y = exp(s) x + m, coordinate by coordinate, with |s| < 5 by a smooth bound.

    The identity when built. A training run starts it from its first batch: what comes out, in whichever direction data
    pass first, has mean 0 and standard deviation 1 on that batch. From then on m and s are learned like any other
    parameters. All data share them; the context is ignored. log |det| = sum_i s_i.

    Shapes: points ``(*, D)``.

    Reference: Kingma and Dhariwal (2018), arXiv:1807.03039.
    """

    cost = Cost("1 pass", "1 pass")

    def __init__(self, event_shape: tuple[int, ...], context: int = 0):
        super().__init__(event_shape, 0)
        (dim,) = self.event_shape
        self.moments = Moments(dim)

    def forward(self, h: Tensor | None = None) -> Transform:
        return Standardised(self.moments)


class Moments(FromData):
    """(m, s) for points x ``(*, D)``, the same for all; they start from the points, on either side of the map."""

    def __init__(self, dim: int):
        super().__init__()
        self.m = nn.Parameter(torch.zeros(dim))
        self.s = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, inverse: bool = False) -> tuple[Tensor, Tensor]:
        return self.m, BOUND * torch.tanh(self.s / BOUND)

    @torch.no_grad()
    def start_from(self, x: Tensor, inverse: bool = False) -> None:
        """Make what comes of x have mean 0 and standard deviation 1; where all points agree, mean 0 alone."""
        deviation, mean = torch.std_mean(x.reshape(-1, x.shape[-1]), 0, correction=0)
        s = torch.where(deviation > 0, deviation, 1).log().clamp(-0.9 * BOUND, 0.9 * BOUND)
        self.s.copy_(BOUND * torch.atanh((s if inverse else -s) / BOUND))
        self.m.copy_(mean if inverse else -mean * torch.exp(-s))


class Standardised(Triangular):
    """y = exp(s) x + m with (m, s) = ``moments``: log |det| = sum_i s_i."""

    def __init__(self, moments: Moments):
        super().__init__()
        self.moments = moments

    def call_and_ladjs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        m, s = self.moments(x)
        return torch.exp(s) * x + m, s.expand_as(x)

    def _inverse(self, y: Tensor) -> Tensor:
        m, s = self.moments(y, True)
        return (y - m) * torch.exp(-s)
