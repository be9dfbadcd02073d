"""The autoregressive network over maps: masked convolutions."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from flowvae.errors import InputError
from flowvae.nn.activation import ACTIVATIONS, Activation
from flowvae.nn.context import required
from flowvae.nn.normed import NormedConv


class MaskedConv(nn.Conv2d):
    """A convolution whose kernel is multiplied by a fixed 0/1 ``mask`` ``(out, in, k, k)``; maps keep their size."""

    mask: Tensor

    def __init__(self, mask: Tensor):
        out, channels, kernel, _ = mask.shape
        super().__init__(channels, out, kernel, padding=kernel // 2)
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class ConvMADE(nn.Module):
    """Autoregressive network over maps (C, H, W): output i sees only what precedes i, and the context h around it.

    The order is by rows, in a row by pixels, in a pixel by channels; ``reverse`` turns all three round, inside the
    masks. A kernel sees the pixels before its centre, and of the centre itself what degrees allow: channel c has degree
    c + 1, a hidden channel one of 0 to C, and a connection exists from degree a to a hidden degree b >= a, but to an
    output degree b > a. The context enters the first hidden layer through an unmasked convolution. ``normed`` kernels
    are weight-normalised, and can start from data: hidden layers with standard deviation 1, the outputs with 0.1.

    Shapes: x ``(*, C H W)`` and h ``(*, K H W)``, maps as vectors, channel by channel, with any batch of h that
    broadcasts against x's; every output ``(*, C H W)``.

    Reference: van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves, Kavukcuoglu (2016), arXiv:1606.05328; Kingma,
    Salimans, Jozefowicz, Chen, Sutskever, Welling (2016), arXiv:1606.04934. Raises `InputError` for an even kernel, for
    a context that is no map of that size, and for residual layers where there is but one.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        context: int = 0,
        *,
        outputs: int = 2,
        width: int = 64,
        depth: int = 2,
        kernel: int = 3,
        activation: Activation = "elu",
        reverse: bool = False,
        residual: bool = False,
        normed: bool = False,
    ):
        super().__init__()
        channels, height, columns = event_shape
        if kernel % 2 == 0:
            raise InputError(f"expected an odd kernel; got {kernel}: use {kernel + 1}")
        if context % (height * columns):
            raise InputError(
                f"expected a context of maps {height} x {columns}; got {context} features: use a multiple of their size"
            )
        if residual and depth < 2:
            raise InputError(f"expected two hidden layers, of which the second is residual; got {depth}: set depth = 2")
        self.event_shape = tuple(event_shape)
        self.context_shape = (context // (height * columns), height, columns)
        self.outputs, self.residual = outputs, residual
        degrees = torch.arange(channels) + 1
        if reverse:
            degrees = degrees.flip(0)
        hidden = torch.arange(width) * (channels + 1) // width
        masks = [_mask(hidden[:, None] >= degrees, kernel, reverse)]
        masks += [_mask(hidden[:, None] >= hidden, kernel, reverse)] * (depth - 1)
        self.context: nn.Module | None = None
        if context:
            maps = self.context_shape[0]
            self.context = NormedConv(maps, width) if normed else nn.Conv2d(maps, width, 3, padding=1, bias=False)
        self.hidden = nn.ModuleList(_layer(mask, normed) for mask in masks)
        self.activation = ACTIVATIONS[activation]()
        self.out = _layer(_mask((degrees[:, None] > hidden).repeat(outputs, 1), kernel, reverse), normed, spread=0.1)
        with torch.no_grad():
            # a flow begins close to the bare update, and stays there until a gradient says otherwise
            (self.out.weight if isinstance(self.out, MaskedConv) else self.out.gain).mul_(0.1)

    def forward(self, x: Tensor, h: Tensor | None = None) -> tuple[Tensor, ...]:
        return self.given(x, self.bind(h))

    def bind(self, h: Tensor | None) -> Tensor | None:
        """The share of h in the first layer, ``(*, width, H, W)``: computed once for any number of passes."""
        if self.context is None:
            return None
        h = required(h)
        maps = self.context(h.reshape(-1, *self.context_shape))
        return maps.reshape(*h.shape[:-1], *maps.shape[1:])

    def given(self, x: Tensor, bound: Tensor | None) -> tuple[Tensor, ...]:
        """The outputs for x under a context already bound."""
        first, *others = self.hidden
        a = first(x.reshape(-1, *self.event_shape))
        a = a.reshape(*x.shape[:-1], *a.shape[1:])
        if bound is not None:
            a = a + bound
        units = self.activation(a.reshape(-1, *a.shape[-3:]))
        for layer in others:
            new = self.activation(layer(units))
            units = units + new if self.residual else new
        maps = self.out(units)
        maps = maps.reshape(*a.shape[:-3], *maps.shape[1:])
        return tuple(part.flatten(-3) for part in maps.chunk(self.outputs, -3))


def _layer(mask: Tensor, normed: bool, spread: float = 1.0) -> MaskedConv | NormedConv:
    out, channels, kernel, _ = mask.shape
    return NormedConv(channels, out, kernel, spread=spread, mask=mask) if normed else MaskedConv(mask)


def _mask(centre: Tensor, kernel: int, reverse: bool) -> Tensor:
    """All connections from pixels before a kernel's centre, and at the centre those of ``centre`` ``(out, in)``."""
    middle = kernel // 2
    mask = torch.zeros(*centre.shape, kernel, kernel, dtype=torch.bool)
    mask[..., :middle, :] = True
    mask[..., middle, :middle] = True
    mask[..., middle, middle] = centre
    return mask.flip(-1, -2) if reverse else mask
