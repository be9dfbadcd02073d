"""The residual decoder of images."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from flowvae.nn.normed import NormedLinear
from flowvae.nn.residual import OverMaps, double, halved, require_images, same
from flowvae.registry import Several, register


@register("decoder", "resnet")
class ResNetDecoder(nn.Module):
    """phi = blocks(linear(elu(linear(z)))): ``(*, *in_shape)`` to ``(*, C, H, W)``, H and W divisible by 4.

    The mirror of the encoder `resnet`: ``features`` units, maps of an eighth of the size (rounded up), three residual
    blocks that double it, a block that keeps it behind the first two. Sizes grow by transposed convolutions, or by
    repeating pixels where ``nearest``. ELU and weight normalisation throughout; both parts of the last block start
    from data with standard deviation 0.1, so that phi begins near where it is centred. Raises `InputError` for another
    shape.

    Reference: Kingma et al. (2016), arXiv:1606.04934, the model of binary images, with 16 channels and 450 features.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
        *,
        channels: Several = 16,
        features: Several = 450,
        nearest: bool = False,
    ):
        super().__init__()
        colours, size = require_images(out_shape, "decoder")
        self.in_dims, wide = len(in_shape), 2 * channels
        second = halved(size)
        third = halved(second)
        self.smallest = (wide, *halved(third))
        self.units = NormedLinear(math.prod(in_shape), features)
        self.dense = NormedLinear(features, math.prod(self.smallest))
        self.blocks = OverMaps(
            double(wide, wide, third, nearest),
            same(wide),
            double(wide, channels, second, nearest),
            same(channels),
            double(channels, colours, size, nearest, spread=0.1),
        )
        self.offset = nn.Parameter(torch.zeros(colours, 1, 1))

    @torch.no_grad()
    def centre(self, phi: Tensor) -> None:
        """Let the parameters lie around the mean of phi ``(C, H, W)`` over the pixels at the start."""
        self.offset.copy_(phi.mean((-2, -1), keepdim=True))

    def forward(self, z: Tensor) -> Tensor:
        h = elu(self.dense(elu(self.units(z.flatten(-self.in_dims)))))
        return self.blocks(h.unflatten(-1, self.smallest)) + self.offset
