"""The path up of a ladder: residual maps in one or several resolutions."""

from math import prod

import torch
from torch import Tensor, nn

from flowvae.errors import InputError
from flowvae.nn.normed import NormedConv
from flowvae.nn.residual import OverMaps, checkpointed, half, require_images, same
from flowvae.registry import Count, Positive, Several, register


@register("encoder", "bottom_up")
class BottomUp(nn.Module):
    """h = maps of ``depths`` residual blocks, side by side: a map a block, for a `ladder` with a rung for each.

    ``depths`` counts the blocks of every resolution. The first is half of the image's, behind a convolution of 5 x 5
    with stride 2, each further one half of the one before. ``(*, C, H, W)`` to ``(*, features)``; the attribute
    ``maps`` tells the shapes, from the largest to the smallest. ELU and weight normalisation throughout; what a block
    adds is multiplied by ``step``, which is 0.1 in the published model. ``checkpoint`` computes blocks again for their
    gradients instead of keeping what they saw. Raises `InputError` for a size that cannot be halved so often.

    Reference: Kingma et al. (2016), arXiv:1606.04934.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        depths: tuple[Count, ...] = (2, 2),
        width: Several = 64,
        step: Positive = 1.0,
        checkpoint: bool = False,
    ):
        super().__init__()
        if not depths:
            raise InputError("expected the number of blocks of one resolution at least; got none: set encoder.depths")
        remedy = "resize them" + ", shorten encoder.depths" * (len(depths) > 1)
        colours, (height, columns) = require_images(event_shape, "encoder", 2 ** len(depths), remedy)
        self.checkpoint = checkpoint
        self.first = OverMaps(NormedConv(colours, width, 5, stride=2))
        blocks: list[nn.Module] = []
        shapes: list[tuple[int, ...]] = []
        for scale, depth in enumerate(depths):
            size = (height // 2 ** (scale + 1), columns // 2 ** (scale + 1))
            blocks += [OverMaps(half(width, width, step) if scale else same(width, step))]
            blocks += [OverMaps(same(width, step)) for _ in range(depth - 1)]
            shapes += [(width, *size)] * depth
        self.blocks = nn.ModuleList(blocks)
        self.maps = tuple(shapes)
        self.features = sum(map(prod, shapes))

    def forward(self, x: Tensor) -> Tensor:
        maps, found = self.first(x), []
        for block in self.blocks:
            maps = checkpointed(block, maps, self.checkpoint)
            found.append(maps.flatten(-3))
        return torch.cat(found, -1)
