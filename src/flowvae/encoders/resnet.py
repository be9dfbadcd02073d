"""The residual encoder of images."""

from torch import Tensor, nn

from flowvae.nn.normed import NormedLinear
from flowvae.nn.residual import OverMaps, half, halved, require_images, same
from flowvae.registry import Several, register


@register("encoder", "resnet")
class ResNetEncoder(nn.Module):
    """h = elu(linear(blocks(x))): ``(*, C, H, W)`` to ``(*, features)``, H and W divisible by 4.

    Three residual blocks of stride 2 with ``channels``, 2 ``channels``, 2 ``channels`` outputs, a block of stride 1
    behind each but the last; ELU and weight normalisation throughout. Raises `InputError` for another shape.

    Reference: Kingma et al. (2016), arXiv:1606.04934, the model of binary images, with 16 channels and 450 features.
    """

    def __init__(self, event_shape: tuple[int, ...], *, channels: Several = 16, features: Several = 450):
        super().__init__()
        colours, size = require_images(event_shape, "encoder")
        wide = 2 * channels
        self.blocks = OverMaps(
            half(colours, channels), same(channels), half(channels, wide), same(wide), half(wide, wide)
        )
        height, width = halved(halved(halved(size)))
        self.dense = NormedLinear(wide * height * width, features)
        self.features = features

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.elu(self.dense(nn.functional.elu(self.blocks(x)).flatten(-3)))
