"""What the processor can do: matrix products and convolutions of a size that leaves nothing else to wait for."""

import torch
from torch.nn.functional import conv2d

from benchmarks.contestants import Place


def multiply(place: Place, *, dtype: torch.dtype) -> None:
    """Products of two square matrices; work is counted in floating-point operations."""
    size = place.settings.square
    a, b = torch.randn(2, size, size).to(dtype)
    out = torch.empty_like(a)
    while True:
        place.gate(2 * size**3)
        torch.mm(a, b, out=out)


@torch.no_grad()
def convolve(place: Place, *, dtype: torch.dtype) -> None:
    """Convolutions of 3 x 3 over many maps, channels last; work is counted in floating-point operations."""
    number, channels, side = 8, place.settings.square // 32, 32
    maps, kernels = (
        torch.randn(shape).to(dtype, memory_format=torch.channels_last)
        for shape in ((number, channels, side, side), (channels, channels, 3, 3))
    )
    while True:
        place.gate(2 * 9 * number * side**2 * channels**2)
        conv2d(maps, kernels, padding=1)
