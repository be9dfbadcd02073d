"""The multilayer perceptron that a context steers."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from flowvae.nn.activation import ACTIVATIONS, Activation
from flowvae.nn.context import required
from flowvae.nn.mlp import MLP
from flowvae.precision import in_full_precision


class Conditioned(nn.Module):
    """net(x, h): an MLP of x ``(*, features)`` to ``(*, out)`` whose first hidden layer also takes a linear share of h.

    h ``(*, context)`` has any batch that broadcasts against x's; ``context`` 0 stands for none. The last layer starts
    at 0, so that a flow whose parameters it gives starts as its bare update.
    """

    def __init__(self, features: int, out: int, context: int = 0, *, width: int, depth: int, activation: Activation):
        super().__init__()
        self.context = nn.Linear(context, width, bias=False) if context else None
        self.first = nn.Linear(features, width)
        self.activation = ACTIVATIONS[activation]()
        self.hidden = MLP(width, None, width=width, depth=depth - 1, activation=activation)
        self.out = nn.Linear(width, out)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.given(x, self.bind(h))

    def bind(self, h: Tensor | None) -> Tensor | None:
        """The share of h in the first layer, ``(*, width)``: computed once for any number of passes."""
        return None if self.context is None else self.context(required(h))

    def given(self, x: Tensor, bound: Tensor | None) -> Tensor:
        """The outputs for x under a context already bound, in float32 at least."""
        a = self.first(x) if bound is None else self.first(x) + bound
        return in_full_precision(self.out(self.hidden(self.activation(a))))

    def inputs(self, bound: Tensor | None) -> list[Tensor]:
        """What `given` computes with beside x: weights, and the bound share in place of those that made it."""
        weights: list[Tensor] = [p for layer in (self.first, self.hidden, self.out) for p in layer.parameters()]
        return weights if bound is None else [*weights, bound]

    def under(self, h: Tensor | None) -> Callable[[Tensor], Tensor]:
        """The net as a function of x alone."""
        return partial(self.given, bound=self.bind(h))
