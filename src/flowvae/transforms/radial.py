"""The radial bijection."""

import torch
from torch import Tensor

from flowvae.transforms.base import Transform


class RadialTransform(Transform):
    """y = x + beta (x - c) / (alpha + r) with r = |x - c|, invertible by construction: beta = gamma - alpha > -alpha.

    Distances from the centre become r (r + gamma) / (r + alpha), and directions stay:
    log |det| = (D - 1) log [(r + gamma) / (r + alpha)] + log [(r^2 + 2 alpha r + alpha gamma) / (r + alpha)^2].

    Written with gamma, neither logarithm is one of a difference. The inverse is the root of a quadratic in r.

    Args:
        centre: c ``(*, D)``, any batch that broadcasts against x; alpha, gamma: ``(*)``, positive.

    Reference: Rezende and Mohamed (2015), arXiv:1505.05770.
    """

    def __init__(self, centre: Tensor, alpha: Tensor, gamma: Tensor):
        super().__init__()
        self.centre, self.alpha, self.gamma = centre, alpha, gamma

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        offset = x - self.centre
        r = torch.linalg.vector_norm(offset, dim=-1)
        stretch = (r + self.gamma) / (r + self.alpha)
        slope = (r * (r + 2 * self.alpha) + self.alpha * self.gamma) / (r + self.alpha).square()
        ladj = (x.shape[-1] - 1) * stretch.log() + slope.log()
        return self.centre + stretch[..., None] * offset, ladj

    def _inverse(self, y: Tensor) -> Tensor:
        offset = y - self.centre
        distance = torch.linalg.vector_norm(offset, dim=-1)
        # of r^2 - 2 half r - alpha distance = 0; where half is negative, the root is written as a quotient
        half = (distance - self.gamma) / 2
        size = half.abs() + (half.square() + self.alpha * distance).sqrt()
        r = torch.where(half > 0, size, self.alpha * distance / size)
        return self.centre + ((r + self.alpha) / (r + self.gamma))[..., None] * offset
