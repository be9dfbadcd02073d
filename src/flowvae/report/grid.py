"""Pictures in a grid: arrays of images to one array of pixels, and to a file."""

from math import ceil, sqrt
from pathlib import Path

import numpy as np
from PIL import Image

from flowvae.errors import InputError

GAP = 1  # pixels of white between tiles, before enlargement
ENLARGED = 640  # pixels that the longer side of a saved grid has at least


def as_images(images: np.ndarray) -> np.ndarray | None:
    """Images channels last, ``(N, H, W, 3)`` or ``(N, H, W, 1)``, as floats; None for events that are no pictures.

    Pictures are ``(N, 1, H, W)``, ``(N, 3, H, W)`` or ``(N, H, W)``. Bytes above 1 are divided by 255.

    >>> as_images(np.zeros((5, 3, 8, 8))).shape, as_images(np.zeros((5, 8, 8))).shape, as_images(np.zeros((5, 16)))
    ((5, 8, 8, 3), (5, 8, 8, 1), None)
    """
    values = np.asarray(images)
    if values.dtype == np.uint8 and values.size and values.max() > 1:
        values = values / np.float32(255)
    values = values.astype(np.float32)
    if values.ndim == 3:
        return values[..., None]
    if values.ndim == 4 and values.shape[1] in (1, 3):
        return np.moveaxis(values, 1, -1)
    return None


def limits(*arrays: np.ndarray) -> tuple[float, float]:
    """The values shown as black and white: 0 and 1 where everything lies between, else the least and the greatest.

    >>> limits(np.array([0.0, 0.5])), limits(np.array([-1.0, 0.5]), np.array([3.0]))
    ((0.0, 1.0), (-1.0, 3.0))
    """
    finite = np.concatenate([np.asarray(a, dtype=float)[np.isfinite(a)].ravel() for a in arrays])
    if finite.size == 0 or (finite.min() >= 0 and finite.max() <= 1):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def to_unit(images: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map ``[low, high]`` to [0, 1] and cut off what lies outside; what is not a number is shown as ``low``."""
    return np.clip((np.nan_to_num(images, nan=low) - low) / (high - low), 0, 1)


def tile(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """``(N, H, W, C)`` in [0, 1], row by row on white: ``(rows (H + GAP) - GAP, columns (W + GAP) - GAP, C)``."""
    count, height, width, channels = images.shape
    columns = min(columns or ceil(sqrt(count)), count)
    rows = ceil(count / columns)
    board = np.ones((rows, height + GAP, columns, width + GAP, channels), dtype=np.float32)
    for i, picture in enumerate(images):
        board[i // columns, :height, i % columns, :width] = picture
    return board.reshape(rows * (height + GAP), columns * (width + GAP), channels)[:-GAP, :-GAP]


def enlarge(pixels: np.ndarray, size: int) -> np.ndarray:
    """Repeat every pixel a whole number of times, so that the longer side has at least ``size``."""
    factor = max(1, ceil(size / max(pixels.shape[:2])))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def save_grid(images: np.ndarray, path: Path, columns: int | None = None) -> Path:
    """Write the images as one picture; the format follows the name (``.png`` and what else Pillow writes).

    ``images`` are ``(N, 1, H, W)``, ``(N, 3, H, W)`` or ``(N, H, W)``; values in [0, 1] are shown as they are, any
    other range from its least to its greatest. ``columns`` defaults to a square. Raises InputError for events that are
    no pictures, an empty array or a format that cannot be written.
    """
    path = Path(path)
    pictures = as_images(images)
    if pictures is None:
        raise InputError(
            f"expected pictures of shape (N, 1, H, W), (N, 3, H, W) or (N, H, W); got {np.asarray(images).shape}: "
            "write them to a .npz file instead"
        )
    if len(pictures) == 0:
        raise InputError("expected at least one picture; got none: ask for one or more")
    if columns is not None and columns < 1:
        raise InputError(f"expected at least 1 column; got {columns}: leave it out for a square")
    pixels = enlarge(tile(to_unit(pictures, *limits(pictures)), columns), ENLARGED)
    data = np.round(255 * pixels).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        Image.fromarray(data[..., 0] if data.shape[-1] == 1 else data).save(path)
    except (ValueError, KeyError):
        raise InputError(
            f"expected the name of a picture; got {str(path)!r}: end it in .png, or in .npz for the arrays"
        ) from None
    return path
