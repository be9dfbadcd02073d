"""Weight-normalised layers, linear and convolutional, that can start from data."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from flowvae.nn.linear import Linear
from flowvae.nn.starting import FromData


class Normed(FromData):
    """y_o = g_o <v_o, x> / |v_o| + b_o: length and direction of every weight vector apart.

    A start from data sets g and b so that every output has mean 0 and standard deviation ``spread`` on them. Until then
    g = |v|, and the layer is what it would be without normalisation. Under a fixed 0/1 ``mask``, of the shape of the
    weight, v is what the mask leaves.

    Reference: Salimans and Kingma (2016), arXiv:1602.07868.
    """

    spread: float
    mask: Tensor | None
    axis = 0
    """The dimension of the weight that counts the outputs."""

    def __init__(
        self, layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, spread: float = 1.0, mask: Tensor | None = None
    ):
        super().__init__()
        assert layer.bias is not None
        self.spread = spread
        self.direction, self.bias = layer.weight, layer.bias
        self.register_buffer("mask", None if mask is None else mask.to(layer.weight.dtype), persistent=False)
        self.gain = nn.Parameter(torch.ones_like(layer.bias))
        with torch.no_grad():
            self.gain.copy_(self._length(self._vectors()).flatten())

    @property
    def weight(self) -> Tensor:
        """g v / |v|."""
        vectors = self._vectors()
        length = self._length(vectors)
        return vectors * (self.gain.reshape(length.shape) / length)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        """The layer with another weight, without its bias."""
        return linear(x, weight)

    @property
    def ones(self) -> tuple[int, ...]:
        """What stands behind the outputs of one datum in a shape."""
        return ()

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_weight(x, self.weight) + self.bias.reshape(-1, *self.ones)

    @torch.no_grad()
    def start_from(self, x: Tensor) -> None:
        """Set g and b so that what varies of the outputs of x has mean 0 and standard deviation ``spread``."""
        vectors = self._vectors()
        y = self.apply_weight(x, vectors / self._length(vectors)).flatten(0, -2 - len(self.ones))
        over = [dim for dim in range(y.ndim) if dim != 1]
        spread, mean = torch.std_mean(y, over, correction=0)
        # an output that does not vary, as behind a learned constant, keeps its gain: any other would be enormous
        gain = torch.where(spread > 1e-4, self.spread / spread.clamp(min=1e-4), self.gain)
        self.gain.copy_(gain)
        self.bias.copy_(-mean * gain)

    def _vectors(self) -> Tensor:
        return self.direction if self.mask is None else self.direction * self.mask

    def _length(self, vectors: Tensor) -> Tensor:
        over = [dim for dim in range(vectors.ndim) if dim != self.axis]
        return (vectors.square().sum(over, keepdim=True) + 1e-12).sqrt()


class NormedLinear(Normed):
    """A weight-normalised linear layer, ``(*, features)`` to ``(*, out)``."""

    def __init__(self, features: int, out: int, spread: float = 1.0, mask: Tensor | None = None):
        super().__init__(Linear(features, out), spread, mask)


class NormedConv(Normed):
    """A weight-normalised convolution that keeps the size of maps ``(N, C, H, W)``, or divides it by ``stride``."""

    def __init__(
        self,
        channels: int,
        out: int,
        kernel: int = 3,
        stride: int = 1,
        spread: float = 1.0,
        mask: Tensor | None = None,
    ):
        super().__init__(nn.Conv2d(channels, out, kernel), spread, mask)
        self.stride, self.padding = stride, kernel // 2

    @property
    def ones(self) -> tuple[int, ...]:
        return (1, 1)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        return conv2d(x, weight, stride=self.stride, padding=self.padding)


class NormedTranspose(Normed):
    """A weight-normalised transposed convolution of stride 2: maps ``(N, C, H, W)`` to ``size``."""

    axis = 1

    def __init__(self, channels: int, out: int, size: tuple[int, int], kernel: int = 3, spread: float = 1.0):
        super().__init__(nn.ConvTranspose2d(channels, out, kernel), spread)
        self.padding = kernel // 2
        self.extra = tuple((length + 1) % 2 for length in size)

    @property
    def ones(self) -> tuple[int, ...]:
        return (1, 1)

    def apply_weight(self, x: Tensor, weight: Tensor) -> Tensor:
        if weight.shape[-1] == 1 and x.device.type == "cpu":
            x = x.contiguous()  # with channels last and few outputs torch 2.13 writes beyond its memory, backward
        return conv_transpose2d(x, weight, stride=2, padding=self.padding, output_padding=self.extra)
