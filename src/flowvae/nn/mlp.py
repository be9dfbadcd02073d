"""The multilayer perceptron."""

from typing import Literal

from torch import nn

Activation = Literal["elu", "gelu", "relu", "silu", "softplus", "tanh"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


class MLP(nn.Sequential):
    """``depth`` hidden layers of ``width`` units, each followed by the activation: ``(*, features)`` to ``(*, out)``.

    With ``out`` None the last hidden layer is the output. ``depth`` 0 leaves one linear layer, or, without ``out``, the
    identity. The attribute ``out`` tells the number of outputs.
    """

    def __init__(self, features: int, out: int | None, *, width: int, depth: int, activation: Activation):
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(features, width), ACTIVATIONS[activation]()]
            features = width
        if out is not None:
            layers.append(nn.Linear(features, out))
            features = out
        super().__init__(*layers)
        self.out = features
