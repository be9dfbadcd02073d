"""Residual blocks over maps, of the same, half or twice the size."""

import torch
from torch import Tensor, nn
from torch.nn.functional import elu
from torch.utils.checkpoint import checkpoint

from flowvae.errors import InputError
from flowvae.nn.normed import NormedConv, NormedTranspose


class OverMaps(nn.Sequential):
    """Layers over maps ``(N, C, H, W)``, run over any number of leading dimensions ``(*, C, H, W)``."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x.reshape(-1, *x.shape[-3:]))
        return y.reshape(*x.shape[:-3], *y.shape[1:])


class Residual(nn.Module):
    """y = shortcut(x) + step conv(elu(change(elu(x)))): ``change`` may change size and channels, and so does shortcut.

    Without one, shortcut is the identity. Reference: He, Zhang, Ren, Sun (2016), arXiv:1603.05027.
    """

    def __init__(self, change: nn.Module, conv: nn.Module, shortcut: nn.Module | None = None, step: float = 1.0):
        super().__init__()
        self.change, self.conv, self.step = change, conv, step
        self.shortcut = shortcut if shortcut is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.step * self.conv(elu(self.change(elu(x))))


def checkpointed(module: nn.Module, x: Tensor, wanted: bool) -> Tensor:
    """module(x); where ``wanted``, what it computes on the way is not kept for gradients but computed again."""
    if wanted and torch.is_grad_enabled():
        return checkpoint(module, x, use_reentrant=False, preserve_rng_state=False)
    return module(x)


def same(channels: int, step: float = 1.0) -> Residual:
    """A block that keeps size and channels."""
    return Residual(NormedConv(channels, channels), NormedConv(channels, channels), step=step)


def half(channels: int, out: int, step: float = 1.0) -> Residual:
    """A block to maps of half the size, rounded up."""
    shortcut = NormedConv(channels, out, 1, stride=2)
    return Residual(NormedConv(channels, out, stride=2), NormedConv(out, out), shortcut, step)


def double(channels: int, out: int, size: tuple[int, int], nearest: bool = False, spread: float = 1.0) -> Residual:
    """A block to maps of ``size``, which halves to that of its input: by transposed convolutions, or by repetition.

    ``spread`` is the standard deviation with which shortcut and residual start from data.
    """

    def grown(kernel: int, spread: float = 1.0) -> nn.Module:
        if nearest:
            return nn.Sequential(nn.Upsample(size, mode="nearest"), NormedConv(channels, out, kernel, spread=spread))
        return NormedTranspose(channels, out, size, kernel, spread)

    return Residual(grown(3), NormedConv(out, out, spread=spread), grown(1, spread))


def halved(size: tuple[int, int]) -> tuple[int, int]:
    """The size that maps of ``size`` have after a block that halves them."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def require_images(
    shape: tuple[int, ...], part: str, divisor: int = 4, remedy: str = "resize them"
) -> tuple[int, tuple[int, int]]:
    """C and (H, W) of the shape of images; `InputError` for another, or a size that ``divisor`` does not divide."""
    if len(shape) != 3 or shape[1] % divisor or shape[2] % divisor:
        raise InputError(
            f"expected images (C, H, W) with H and W divisible by {divisor}; got {tuple(shape)}: "
            f"{remedy}, or use {part}.name = 'mlp'"
        )
    return shape[0], (shape[1], shape[2])
