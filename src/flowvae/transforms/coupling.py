"""The coupling bijection."""

from collections.abc import Callable

import torch
from torch import Tensor

from flowvae.transforms.autoregressive import Update
from flowvae.transforms.base import Triangular


class Coupling(Triangular):
    """y_i = x_i where ``kept``, elsewhere y_i = u(x_i; phi_i), the parameters phi a function of the x that are kept.

    The Jacobian is triangular, so log |det| is the sum of log du/dx_i over what changes. Either direction is one pass
    of ``net``, since what is kept is known in both.

    Args:
        net: map from x ``(*, D)``, 0 wherever it is not kept, to the update's parameters, each ``(*, D)``.
        update: an elementwise bijection, such as `Affine`, finite for any parameters: it is computed for every
            coordinate, and what is kept takes no notice of it.
        kept: ``(D,)`` bool.

    Reference: Dinh, Sohl-Dickstein, Bengio (2017), arXiv:1605.08803.
    """

    def __init__(self, net: Callable[[Tensor], tuple[Tensor, ...]], update: Update, kept: Tensor):
        super().__init__()
        self.net = net
        self.update = update
        self.kept = kept

    def call_and_ladjs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, ladjs = self.update.forward(x, *self._parameters(x))
        return torch.where(self.kept, x, y), ladjs.masked_fill(self.kept, 0)

    def _inverse(self, y: Tensor) -> Tensor:
        return torch.where(self.kept, y, self.update.inverse(y, *self._parameters(y)))

    def inverse_and_ladj(self, y: Tensor) -> tuple[Tensor, Tensor]:
        params = self._parameters(y)
        x = torch.where(self.kept, y, self.update.inverse(y, *params))
        ladj = self.update.forward(x, *params)[1]
        return x, -ladj.masked_fill(self.kept, 0).sum(-1)

    def _parameters(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.net(x.masked_fill(~self.kept, 0))
