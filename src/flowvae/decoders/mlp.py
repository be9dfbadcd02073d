"""The MLP decoder."""

import math

import torch
from torch import Tensor, nn

from flowvae.nn import MLP, Activation, Norm, Widths
from flowvae.registry import Count, NonNegative, register


@register("decoder", "mlp")
class MLPDecoder(nn.Module):
    """phi = MLP(z): ``(*, *in_shape)`` to ``(*, *out_shape)``; ``depth`` 0 is one linear layer.

    ``widths`` lists the hidden layers one by one, in place of ``width`` and ``depth``; ``norm = "batch"`` normalises
    each before its activation.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        out_shape: tuple[int, ...],
        *,
        width: Count = 500,
        depth: NonNegative = 2,
        activation: Activation = "elu",
        widths: Widths = (),
        norm: Norm = "none",
    ):
        super().__init__()
        self.in_dims, self.out_shape = len(in_shape), tuple(out_shape)
        size = math.prod(out_shape)
        self.net = MLP(
            math.prod(in_shape), size, width=width, depth=depth, activation=activation, widths=widths, norm=norm
        )

    @torch.no_grad()
    def centre(self, phi: Tensor) -> None:
        """Set the last bias to phi, ``out_shape``: at the start the parameters lie around it."""
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        last.bias.copy_(phi.flatten())

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z.flatten(-self.in_dims)).unflatten(-1, self.out_shape)
