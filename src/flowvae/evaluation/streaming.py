"""Log-weights of many draws, reduced as they come."""

import math

import torch
from torch import Tensor


class LogWeights:
    """Statistics of log w over K draws of each of B data, added in parts ``(S, B)``, in double precision.

    The sums of w and w^2 are kept relative to the largest w so far: log sum_k w_k = top + log sum_k exp(log w_k - top).

    >>> weights = LogWeights(1)
    >>> weights.add(torch.tensor([[-1000.0]])); weights.add(torch.tensor([[-1000.0], [-1000.0]]))
    >>> weights.log_mean.tolist(), weights.ess.tolist()
    ([-1000.0], [3.0])
    """

    def __init__(self, count: int, device: torch.device | str = "cpu"):
        self.draws = 0
        zero = torch.zeros(count, dtype=torch.float64, device=device)
        self._top, self._first, self._second, self._total = zero - math.inf, zero, zero, zero

    def add(self, log_w: Tensor) -> None:
        """Take in the draws ``log_w`` ``(S, B)``, all finite."""
        log_w = log_w.double()
        top = torch.maximum(self._top, log_w.amax(0))
        before, w = torch.exp(self._top - top), torch.exp(log_w - top)
        self._first = self._first * before + w.sum(0)
        self._second = self._second * before.square() + w.square_().sum(0)
        self._total = self._total + log_w.sum(0)
        self._top = top
        self.draws += len(log_w)

    @property
    def log_mean(self) -> Tensor:
        """log( 1/K sum_k w_k ): the estimate of log p(x), ``(B,)``."""
        return self._top + self._first.log() - math.log(self.draws)

    @property
    def mean(self) -> Tensor:
        """1/K sum_k log w_k: the evidence lower bound, ``(B,)``."""
        return self._total / self.draws

    @property
    def ess(self) -> Tensor:
        """The effective sample size (sum_k w_k)^2 / sum_k w_k^2, ``(B,)``, between 1 and K."""
        return self._first.square() / self._second
