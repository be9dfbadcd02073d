"""Data like MNIST without a download: the embedded digits, enlarged and shifted, as bytes."""

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

import flowvae as fv
from benchmarks.settings import Settings


def write(path: Path, settings: Settings) -> None:
    """An .npz of uint8 images ``train``, ``validation`` and ``test``, (N, 1, side, side), the same at every call."""
    digits = fv.load_data("digits").train.values / 16
    random = np.random.default_rng(0)
    side, size = settings.side, settings.side * 5 // 7
    large = interpolate(digits, size=(size, size), mode="bilinear").mul(255).round().to(torch.uint8).numpy()

    def split(rows: int) -> np.ndarray:
        images = np.zeros((rows, 1, side, side), np.uint8)
        tops, lefts = random.integers(0, side - size + 1, (2, rows))
        for image, which, top, left in zip(images, random.integers(len(large), size=rows), tops, lefts, strict=True):
            image[:, top : top + size, left : left + size] = large[which]
        return images

    rows = max(settings.points, settings.memory_points)
    np.savez(path, train=split(settings.rows), validation=split(rows), test=split(rows))


def read(path: Path, split: str) -> torch.Tensor:
    """The bytes of a split as rows, (N, pixels)."""
    with np.load(path) as file:
        return torch.from_numpy(file[split]).flatten(1)


def bits(values: torch.Tensor) -> torch.Tensor:
    """The bytes as 0. and 1., drawn once."""
    x = values / 255
    return (torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) < x).float()
