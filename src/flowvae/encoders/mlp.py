"""The MLP encoder."""

import math

import torch
from torch import Tensor, nn

from flowvae.nn import MLP, Activation, Norm, Widths
from flowvae.registry import Count, NonNegative, register


@register("encoder", "mlp")
class MLPEncoder(nn.Module):
    """h = MLP(x): ``(*, *event)`` to ``(*, features)``.

    ``depth`` 0 leaves h = x, flattened, so that a linear posterior is a linear encoder. ``widths`` lists the hidden
    layers one by one, in place of ``width`` and ``depth``; ``norm = "batch"`` normalises each before its activation.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        width: Count = 500,
        depth: NonNegative = 2,
        activation: Activation = "elu",
        widths: Widths = (),
        norm: Norm = "none",
    ):
        super().__init__()
        self.event_dims = len(event_shape)
        self.net = MLP(
            math.prod(event_shape), None, width=width, depth=depth, activation=activation, widths=widths, norm=norm
        )
        self.features = self.net.out

    @torch.no_grad()
    def centre(self, mean: Tensor) -> None:
        """Shift the first bias by -W mean: at the start the network sees data whose mean is 0.

        A normalised layer has no bias: it centres what it sees by itself.
        """
        if isinstance(first := next(iter(self.net), None), nn.Linear) and first.bias is not None:
            first.bias.sub_(first.weight @ mean.flatten().to(first.weight))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flatten(-self.event_dims))
