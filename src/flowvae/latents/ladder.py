"""The ladder structure: rungs of latent maps between a path up and a path down."""

from dataclasses import replace
from math import prod
from typing import Annotated, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from flowvae.latents.base import Draw, Latent, Latents
from flowvae.latents.rung import Inference, Rung
from flowvae.registry import Count, Kind, NonNegative, Spec, register


@register("latents", "ladder")
class Ladder(Latents):
    """A rung z_l of latent maps for each map of the encoder: p(z) = prod_l p(z_l | z_>l), q = prod_l q(z_l | z_>l, x).

    The encoder's maps are the path up, in one or several resolutions; the walk visits them from the last to the first.
    A stream of ``width`` channels starts from a learned constant, passes rung after rung, and is repeated to the next
    size where maps grow: it is the condition of every prior, and the decoder's input. `Rung` says what happens at one.
    Latents have ``dim`` channels; z is written as a vector of dim H W, channel by channel. An encoder without maps
    gives one rung of one pixel.

    ``flow`` bends every posterior, with ``context`` channels from the features: any flow, over maps where it knows
    them. ``checkpoint`` computes convolutions again for their gradients instead of keeping what they saw.

    Reference: Kingma et al. (2016), arXiv:1606.04934, the model of colour images (``additive`` inference); Sonderby et
    al. (2016), arXiv:1602.02282 (``weighted``).

    >>> ladder = Ladder(((8, 4, 4), (8, 2, 2)), dim=3, width=6)
    >>> h, batch = torch.randn(5, 8 * 16 + 8 * 4), torch.Size((7, 5))
    >>> from flowvae.latents import FromPosterior
    >>> c, rungs = ladder.walk(FromPosterior(), h, batch)
    >>> c.shape, [tuple(rung.z.shape) for rung in rungs]
    (torch.Size([7, 5, 6, 4, 4]), [(7, 5, 12), (7, 5, 48)])
    """

    over_maps = True

    def __init__(
        self,
        features: int | tuple[tuple[int, ...], ...],
        *,
        dim: Count = 16,
        width: Count = 64,
        inference: Inference = "additive",
        flow: Annotated[Spec | None, Kind("flow")] = None,
        context: NonNegative = 16,
        checkpoint: bool = False,
    ):
        super().__init__()
        self.maps = ((features, 1, 1),) if isinstance(features, int) else tuple(features)
        self.out_shape = (width, *self.maps[0][1:])
        self.start = nn.Parameter(torch.zeros(width, 1, 1))
        self.rungs = nn.ModuleList(
            Rung(maps, width, dim, inference, flow, context, checkpoint) for maps in reversed(self.maps)
        )

    def walk(self, draw: Draw, h: Tensor | None, batch: torch.Size) -> tuple[Tensor, tuple[Latent, ...]]:
        below = [None] * len(self.maps) if h is None else self._unpacked(h)
        stream = self.start.expand(*batch, *self.start.shape)
        found: list[Latent] = []
        rungs = zip(cast(list[Rung], self.rungs), reversed(below), strict=True)
        for n, (rung, maps) in enumerate(rungs):
            stream, latent = rung(draw, n, _repeated(stream, rung.event[1:]), maps)
            found.append(replace(latent, event=rung.event))
        return stream, tuple(found)

    def _unpacked(self, h: Tensor) -> list[Tensor]:
        """The encoder's maps ``(*, C, H, W)``, which h has side by side."""
        parts = h.split([prod(shape) for shape in self.maps], -1)
        return [part.unflatten(-1, shape) for part, shape in zip(parts, self.maps, strict=True)]


def _repeated(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps ``(*, C, h, w)`` with every pixel repeated to ``size``; a map of one pixel without a copy."""
    if maps.shape[-2:] == size:
        return maps
    if maps.shape[-2:] == (1, 1):
        return maps.expand(*maps.shape[:-2], *size)
    grown = interpolate(maps.reshape(-1, *maps.shape[-3:]), size, mode="nearest")
    return grown.reshape(*maps.shape[:-2], *size)
