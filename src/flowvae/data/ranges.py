"""What values an array holds, and which scale takes them to [0, 1]."""

import math
from collections.abc import Iterable

import numpy as np
from torch import Tensor

UNLIKE = 100.0
"""How many times the smallest standard deviation the greatest one is, from where on columns are of unlike scales."""


def value_range(arrays: Iterable[np.ndarray]) -> tuple[float, float]:
    """The least and the greatest value of all ``arrays``."""
    ends = [(float(array.min()), float(array.max())) for array in arrays]
    return min(low for low, _ in ends), max(high for _, high in ends)


def are_bytes(array: np.ndarray) -> bool:
    """Whether every value is a whole number in 0..255, so that uint8 holds it exactly."""
    if array.dtype in (np.uint8, np.bool_):
        return True
    return bool(array.min() >= 0 and array.max() <= 255 and (array == np.floor(array)).all())


def are_bits(array: np.ndarray | Tensor, one: float = 1.0) -> bool:
    """Whether every value is 0 or ``one``."""
    return bool(((array == 0) | (array == one)).all())


def fitting_scale(low: float, high: float, whole: bool) -> float | None:
    """The scale that takes [low, high] to [0, 1] by division, or None where values are negative.

    Whole numbers above 127 are bytes (255); others are divided by their greatest value, rounded up to 4
    digits.

    >>> fitting_scale(0, 250, whole=True), fitting_scale(0, 16, whole=True)
    (255.0, 16.0)
    >>> fitting_scale(0, 3.14159, whole=False)
    3.142
    """
    if low < 0:
        return None
    if high <= 1:
        return 1.0
    if whole and high <= 255:
        return 255.0 if high > 127 else float(high)
    unit = 10.0 ** (math.floor(math.log10(high)) - 3)
    rounded = float(f"{math.ceil(high / unit) * unit:.4g}")
    return max(rounded, float(high))


def interval(low: float, high: float) -> str:
    """The interval as a reader writes it.

    >>> interval(0.0, 255.0)
    '[0, 255]'
    """
    return f"[{low:.6g}, {high:.6g}]"


def rescaling(low: float, high: float, whole: bool) -> str:
    """What a user does to bring values in [low, high] to [0, 1].

    >>> rescaling(0, 255, whole=True)
    'use --set data.scale=255'
    """
    scale = fitting_scale(low, high, whole)
    if scale is None:
        return "rescale the file by (x - min) / (max - min)"
    return f"use --set data.scale={scale:.10g}"


def missing(array: np.ndarray) -> tuple[np.ndarray, int]:
    """The rows with values that float32 cannot hold (NaN, infinite, too large), and how many these are."""
    if array.dtype.kind in "bui":
        return np.empty(0, dtype=np.int64), 0
    with np.errstate(over="ignore"):
        lost = ~np.isfinite(array.astype(np.float32, copy=False)).reshape(len(array), -1)
    return np.flatnonzero(lost.any(axis=1)), int(lost.sum())


def unlike_scales(rows: np.ndarray) -> str:
    """What columns (N, D) of unlike scales want, or "": one learning rate cannot suit standard deviations far apart.

    >>> unlike_scales(np.array([[1.0, 20000.0], [2.0, 50000.0]]))
    'columns have standard deviations from 0.5 to 1.5e+04: standardise them, (x - mean) / sd, beforehand'
    """
    if rows.ndim != 2:
        return ""
    sd = rows[:, np.isfinite(rows).all(0)].std(0, dtype=np.float64)
    sd = sd[sd > 0]
    if not sd.size or sd.max() < UNLIKE * sd.min():
        return ""
    told = f"columns have standard deviations from {sd.min():.3g} to {sd.max():.3g}"
    return f"{told}: standardise them, (x - mean) / sd, beforehand"
