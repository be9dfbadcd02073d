"""The LSTM decoder of sequences."""

from torch import Tensor, nn

from flowvae.decoders.recurrence import Recurrence
from flowvae.distributions.sequence import State
from flowvae.registry import Count, NonNegative, register


@register("recurrence", "lstm")
class LSTM(Recurrence):
    """Long short-term memory, its h, c and first input made from z by ``depth`` hidden layers.

    Shapes: z ``(N, *in_shape)``, x ``(N, T, inputs)`` to h ``(N, T, width)``.

    Reference: Hochreiter and Schmidhuber (1997), Neural Computation 9(8).
    """

    states = 2

    def __init__(
        self, in_shape: tuple[int, ...], inputs: int, *, width: Count = 256, layers: Count = 1, depth: NonNegative = 1
    ):
        super().__init__(in_shape, inputs, nn.LSTM(inputs, width, layers, batch_first=True), depth)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, (short, long) = self.net(x, state)
        return h, (short, long)
