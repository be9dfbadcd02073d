"""Roots of increasing functions of one variable."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def increasing_root(f: Callable[[Tensor], tuple[Tensor, Tensor]], target: Tensor, reach: Tensor) -> Tensor:
    """The a with f(a) = target, elementwise, where f increases and never strays from a by more than ``reach``.

    ``f`` returns its value and its derivative. The bracket is halved to floating-point resolution, which no shape of f
    can mislead; gradients are those of the implicit function, d a = (d target - d f) / f'(a).
    """
    with torch.no_grad():
        low, high = torch.broadcast_tensors(target - reach, target + reach)
        for _ in range(2 * -math.frexp(torch.finfo(target.dtype).eps)[1]):
            middle = (low + high) / 2
            above = f(middle)[0] > target
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        root = (low + high) / 2
    value, slope = f(root)
    gap = target - value
    return root + (gap - gap.detach()) / slope.detach()
