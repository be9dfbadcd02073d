"""Means, standard errors and Student-t intervals over seeds."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Estimate:
    r"""A mean over ``count`` independent repetitions, with its standard error and 95 % interval.

    .. math:: \bar x \pm t_{n-1,\,0.975}\, s / \sqrt n

    where s is the sample standard deviation (n - 1 in the denominator). One repetition has no error: ``error``, ``low``
    and ``high`` are NaN. Reference: Student (1908), "The probable error of a mean".
    """

    mean: float
    error: float
    low: float
    high: float
    count: int


def estimate(values: Iterable[float]) -> Estimate | None:
    """The estimate from ``values``; None when there are none.

    >>> estimate([1.0, 2.0, 3.0])
    Estimate(mean=2.0, error=0.577..., low=-0.484..., high=4.484..., count=3)
    >>> estimate([6.93] * 3).error
    0.0
    """
    x = np.asarray(list(values), dtype=float)
    if x.size == 0:
        return None
    mean = float(x.mean())
    if x.size == 1:
        return Estimate(mean, nan, nan, nan, 1)
    error = float(x.std(ddof=1)) / sqrt(x.size) if np.ptp(x) else 0.0  # else what rounding leaves
    reach = float(stdtrit(x.size - 1, 0.975)) * error
    return Estimate(mean, error, mean - reach, mean + reach, int(x.size))


def paired_difference(first: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
    """The estimate of ``other - first`` over the seeds that both have; None when they share none.

    Pairing by seed removes what the two have in common: the data's order, its binarisation and the initial weights.

    >>> paired_difference({0: 10.0, 1: 20.0}, {0: 9.0, 1: 19.0, 2: 5.0}).mean
    -1.0
    """
    return estimate(other[seed] - first[seed] for seed in sorted(first.keys() & other.keys()))
