"""The GRU decoder of sequences."""

from torch import Tensor, nn

from flowvae.decoders.recurrence import Recurrence
from flowvae.distributions.sequence import State
from flowvae.registry import Count, NonNegative, register


@register("recurrence", "gru")
class GRU(Recurrence):
    """Gated recurrent units, their h and first input made from z by ``depth`` hidden layers.

    Shapes: z ``(N, *in_shape)``, x ``(N, T, inputs)`` to h ``(N, T, width)``.

    Reference: Cho et al. (2014), arXiv:1406.1078.
    """

    states = 1

    def __init__(
        self, in_shape: tuple[int, ...], inputs: int, *, width: Count = 256, layers: Count = 1, depth: NonNegative = 1
    ):
        super().__init__(in_shape, inputs, nn.GRU(inputs, width, layers, batch_first=True), depth)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, last = self.net(x, state[0])
        return h, (last,)
