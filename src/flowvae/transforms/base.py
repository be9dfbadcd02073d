"""The contract of a bijection, and the two ways to make one from others."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import constraints


class Transform(torch.distributions.Transform):
    """A bijection y = f(x) of vectors that tells its log-determinant in the same pass.

    ``call_and_ladj(x)`` maps ``(*, D)`` to y ``(*, D)`` and log |det df/dx| ``(*)``. Parameters come from outside (a
    `Flow` makes the transform from a context), and may carry fewer batch dimensions than x: they broadcast. torch's
    cache stays off, because it breaks ``deepcopy``.
    """

    bijective = True
    domain = constraints.real_vector
    codomain = constraints.real_vector

    @abstractmethod
    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y = f(x) and log |det df/dx|."""

    @property
    def by_coordinate(self) -> bool:
        """Whether its log-determinant is a sum over coordinates: a `Triangular`, or made of such."""
        return False

    def call_and_ladjs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y = f(x) and the terms of log |det df/dx|, one a coordinate ``(*, D)``, where it is ``by_coordinate``."""
        raise NotImplementedError

    def _call(self, x: Tensor) -> Tensor:
        return self.call_and_ladj(x)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self.call_and_ladj(x)[1]

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """x = f^-1(y) and log |det dx/dy|."""
        x = self._inverse(y)
        return x, -self.call_and_ladj(x)[1]


class Triangular(Transform):
    """A bijection whose Jacobian is triangular in some order: log |det| is the sum of the log |dy_i/dx_i|."""

    @abstractmethod
    def call_and_ladjs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y = f(x) and log |dy_i/dx_i|, both ``(*, D)``."""

    @property
    def by_coordinate(self) -> bool:
        return True

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, ladjs = self.call_and_ladjs(x)
        return y, ladjs.sum(-1)


class Composed(Transform):
    """f = f_K o ... o f_1, applied in the order given; the log-determinants add."""

    def __init__(self, parts: Sequence[Transform]):
        super().__init__()
        self.parts = tuple(parts)

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(x.shape[:-1])
        for part in self.parts:
            x, ladj = part.call_and_ladj(x)
            total = total + ladj
        return x, total

    @property
    def by_coordinate(self) -> bool:
        return all(part.by_coordinate for part in self.parts)

    def call_and_ladjs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = torch.zeros_like(x)
        for part in self.parts:
            x, ladjs = part.call_and_ladjs(x)
            total = total + ladjs
        return x, total

    def _inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        total = y.new_zeros(y.shape[:-1])
        for part in reversed(self.parts):
            y, ladj = part.inverse_and_ladj(y)
            total = total + ladj
        return y, total


class Inverse(Transform):
    """f^-1 of a transform f, as a transform: a MAF is the inverse of an IAF."""

    def __init__(self, base: Transform):
        super().__init__()
        self.base = base

    @property
    def by_coordinate(self) -> bool:
        return self.base.by_coordinate

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.base.inverse_and_ladj(x)

    def call_and_ladjs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.base._inverse(x)
        return y, -self.base.call_and_ladjs(y)[1]

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base(y)

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.base.call_and_ladj(y)
