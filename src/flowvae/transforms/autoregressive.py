"""One autoregressive bijection with three updates: gated, affine, constant sigma."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from flowvae.transforms.base import Triangular


class Update(Protocol):
    """An elementwise bijection of x given unconstrained parameters; all tensors ``(*, D)``.

    It takes ``size`` parameters: (m, s) for most of this file.
    """

    @property
    def size(self) -> int:
        """The number of parameters a coordinate."""
        ...

    @property
    def forward(self) -> Callable[..., tuple[Tensor, Tensor]]:
        """y and log dy/dx, elementwise, of (x, *params)."""
        ...

    @property
    def inverse(self) -> Callable[..., Tensor]:
        """x such that forward(x, *params) = y, of (y, *params)."""
        ...


@dataclass(frozen=True)
class Gated:
    """y = g x + (1 - g) m with g = sigmoid(s + bias), the numerically stable form of Kingma et al. (2016).

    A positive ``bias`` starts the step near the identity, as a forget gate.
    """

    bias: float = 1.5
    size: ClassVar[int] = 2

    def forward(self, x: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        gate = torch.sigmoid(s + self.bias)
        return m + gate * (x - m), logsigmoid(s + self.bias)

    def inverse(self, y: Tensor, m: Tensor, s: Tensor) -> Tensor:
        # 1/g = 1 + exp(-s - bias); written around y so that y = m gives x = m exactly. A gate so small that rounding
        # has lost x is as good as closed, and bounding it keeps gradients finite
        closed = 0.25 * math.log(torch.finfo(s.dtype).max)
        return torch.addcmul(y, y - m, torch.exp(-(s + self.bias).clamp(min=-closed)))


@dataclass(frozen=True)
class Affine:
    """y = exp(t) x + m with t = bound tanh(s / bound): a learned sigma whose logarithm stays within ``bound``."""

    bound: float = 5.0
    size: ClassVar[int] = 2

    def forward(self, x: Tensor, m: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        log_sigma = self._log_sigma(s)
        return torch.exp(log_sigma) * x + m, log_sigma

    def inverse(self, y: Tensor, m: Tensor, s: Tensor) -> Tensor:
        return (y - m) * torch.exp(-self._log_sigma(s))

    def _log_sigma(self, s: Tensor) -> Tensor:
        return self.bound * torch.tanh(s / self.bound)


@dataclass(frozen=True)
class ConstantSigma:
    """y = x + m: sigma is 1 and the step preserves volume. There is no s."""

    size: ClassVar[int] = 1

    def forward(self, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        return x + m, torch.zeros_like(m)

    def inverse(self, y: Tensor, m: Tensor) -> Tensor:
        return y - m


Inversion = Literal["auto", "blocks", "jacobi"]

FEW = 128
"""Points up to which iterating over all coordinates at once was the faster, on a CPU."""
ROUNDING = 8
"""Units in the last place by which x may still change when such an iteration ends."""


class Autoregressive(Triangular):
    """y_i = u(x_i; phi_i) where the parameters phi_i, such as (m_i, s_i), depend on those x_j only that precede i.

    The Jacobian is triangular in that order, so log |det| = sum_i log du/dx_i. The forward direction (sampling under an
    inverse autoregressive flow) is one pass of ``net``. The inverse solves x = u^-1(y; net(x)):

    - ``blocks``: coordinate after coordinate, for the work of about one pass, where ``net`` has a method ``solve`` as
      `flowvae.nn.Autoregression` has; exact.
    - ``jacobi``: by fixed-point iteration, all coordinates at once. Pass k makes the first k of the order exact, so D
      passes suffice; without gradients it stops when no x_i changes by more than ``tolerance`` times max(1, |x_i|).
    - ``auto``: blocks where it can, but for a few points without gradients iteration until x changes by no more than
      rounding does, unless compiled.

    Args:
        net: autoregressive map from x ``(*, D)`` to the update's parameters, each ``(*, D)``, the context bound.
        update: such as `Gated`, `Affine`, `ConstantSigma`.
        inversion: how the inverse is found.
        tolerance: of ``jacobi``: the last change, which is not a bound on the error.

    Reference: Kingma, Salimans, Jozefowicz, Chen, Sutskever, Welling (2016), arXiv:1606.04934; iteration: Song, Meng,
    Liao, Ermon (2021), arXiv:2002.03629.
    """

    def __init__(
        self,
        net: Callable[[Tensor], tuple[Tensor, ...]],
        update: Update,
        inversion: Inversion = "auto",
        tolerance: float = 0.0,
    ):
        super().__init__()
        self.net = net
        self.update = update
        self.inversion = inversion
        self.tolerance = tolerance

    def call_and_ladjs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.update.forward(x, *self.net(x))

    def _inverse(self, y: Tensor) -> Tensor:
        solve = getattr(self.net, "solve", None)
        # whether an iteration has ended is seen in its values, which a compiler does not have
        ends = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
        few = ends and y[..., 0].numel() <= FEW
        if solve is None or self.inversion == "jacobi" or (self.inversion == "auto" and few):
            rounding = ROUNDING * torch.finfo(y.dtype).eps
            return self._iterated(y, self.tolerance if self.inversion == "jacobi" else rounding)
        return solve(y, self.update.inverse)

    def _iterated(self, y: Tensor, tolerance: float) -> Tensor:
        x = y
        # until their pass comes, later coordinates may run away; the masks multiply them by 0, which infinity survives
        bound = torch.finfo(y.dtype).max ** 0.25
        for _ in range(y.shape[-1]):
            previous, x = x, self.update.inverse(y, *self.net(x.clamp(-bound, bound)))
            # gradients converge with the passes too, and x may stand still before they do
            if not torch.is_grad_enabled() and self._unchanged(x, previous, tolerance):
                break
        return x

    def _unchanged(self, x: Tensor, previous: Tensor, tolerance: float) -> bool:
        return bool(((x - previous).abs() <= tolerance * x.abs().clamp(min=1)).all())
