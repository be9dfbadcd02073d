"""Activations by name."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["elu", "gelu", "relu", "silu", "softplus", "tanh"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}

_IN_PLACE: dict[type[nn.Module], Callable[[Tensor], Tensor]] = {
    nn.ELU: partial(F.elu, inplace=True),
    nn.ReLU: torch.relu_,
    nn.SiLU: partial(F.silu, inplace=True),
    nn.Tanh: torch.tanh_,
}


def in_place(activation: nn.Module) -> Callable[[Tensor], Tensor]:
    """The same of ``activation``, in the memory of what it is given where torch can do that."""
    return _IN_PLACE.get(type(activation), activation)
