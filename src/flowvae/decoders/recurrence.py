"""The contract of recurrent decoders of sequences: the kind ``recurrence``."""

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

from flowvae.distributions.sequence import State
from flowvae.nn import MLP


class Recurrence(nn.Module, ABC):
    """(h_t, state) = f(x_t, state), built as ``Recurrence(in_shape, inputs, **options)``.

    From the latents z ``(N, *in_shape)`` a multilayer perceptron makes the first input x_0 ``(N, inputs)`` and the
    state before it, tensors ``(layers, N, width)``. ``forward(x, state)`` runs over x ``(N, T, inputs)`` in one fused
    call, and returns h ``(N, T, outputs)`` and the state behind the last step.
    """

    compiles = False
    """The compiler breaks its graph at fused recurrent layers."""

    states: int

    def __init__(self, in_shape: tuple[int, ...], inputs: int, net: nn.RNNBase, depth: int):
        super().__init__()
        self.net = net
        self.inputs, self.outputs = inputs, net.hidden_size
        size = math.prod(in_shape)
        remembered = self.states * net.num_layers * net.hidden_size
        self.begin = MLP(size, inputs + remembered, width=net.hidden_size, depth=depth, activation="elu")

    def start(self, z: Tensor) -> tuple[Tensor, State]:
        """x_0 and the state before it."""
        begin = self.begin(z.flatten(1))
        state = begin[:, self.inputs :].unflatten(-1, (self.states, self.net.num_layers, -1)).permute(1, 2, 0, 3)
        return begin[:, : self.inputs], tuple(t.contiguous() for t in state)

    @abstractmethod
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """h of every step, and the state behind the last."""
