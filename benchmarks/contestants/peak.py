"""What the processor can do: matrix products of a size that leaves nothing else to wait for."""

import torch

from benchmarks.contestants import Place


def multiply(place: Place, *, dtype: torch.dtype) -> None:
    """Products of two square matrices; work is counted in floating-point operations."""
    size = place.settings.square
    a, b = torch.randn(2, size, size).to(dtype)
    out = torch.empty_like(a)
    while True:
        place.gate(2 * size**3)
        torch.mm(a, b, out=out)
