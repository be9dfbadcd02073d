"""Distributions that leave the checking of their arguments to the caller."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.distributions import Distribution


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside, no distribution checks its arguments: checks read values, and so cannot be compiled.

    >>> from torch.distributions import Normal
    >>> with unchecked():
    ...     p = Normal(float("nan"), 1.0)
    >>> Normal(float("nan"), 1.0)
    Traceback (most recent call last):
    ValueError: Expected parameter loc ...
    """
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)
