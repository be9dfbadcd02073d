"""The decoder from maps, as a ladder ends in, to images."""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from flowvae.errors import InputError
from flowvae.nn.normed import NormedConv
from flowvae.nn.residual import OverMaps
from flowvae.registry import Count, register


@register("decoder", "upsample")
class Upsample(nn.Module):
    """phi = conv(repeat(elu(z))): maps ``(*, K, h, w)`` to ``(*, C, H, W)``, H and W multiples of h and w.

    Every pixel of the maps is repeated to the size of the image before a weight-normalised convolution with an odd
    ``kernel``. Vectors (K,) are maps of one pixel. Raises `InputError` for sizes that are no multiples, and without
    latents.

    Reference: Kingma et al. (2016), arXiv:1606.04934, the last layer of the model of colour images.
    """

    def __init__(self, in_shape: tuple[int, ...], out_shape: tuple[int, ...], *, kernel: Count = 5):
        super().__init__()
        self.maps = (*in_shape, 1, 1)[:3]
        if not self.maps[0]:
            raise InputError("expected latents for decoder 'upsample'; got none: use decoder.name = 'mlp'")
        if len(out_shape) != 3 or out_shape[1] % self.maps[1] or out_shape[2] % self.maps[2]:
            raise InputError(
                f"expected images whose size is a multiple of that of the maps {self.maps}; got {tuple(out_shape)}: "
                "use decoder.name = 'mlp'"
            )
        if kernel % 2 == 0:
            raise InputError(f"expected an odd decoder.kernel; got {kernel}: use {kernel + 1}")
        colours, *size = out_shape
        repeat = nn.Upsample((size[0], size[1]), mode="nearest")
        self.in_dims = len(in_shape)
        self.layers = OverMaps(repeat, NormedConv(self.maps[0], colours, kernel, spread=0.1))
        self.offset = nn.Parameter(torch.zeros(colours, 1, 1))

    @torch.no_grad()
    def centre(self, phi: Tensor) -> None:
        """Let the parameters lie around the mean of phi ``(C, H, W)`` over the pixels at the start."""
        self.offset.copy_(phi.mean((-2, -1), keepdim=True))

    def forward(self, z: Tensor) -> Tensor:
        maps = z.flatten(-self.in_dims).unflatten(-1, self.maps)
        return self.layers(elu(maps)) + self.offset
