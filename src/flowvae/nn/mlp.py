"""The multilayer perceptron."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from flowvae.errors import InputError
from flowvae.nn.activation import ACTIVATIONS, Activation
from flowvae.nn.linear import Linear
from flowvae.registry import Count

Norm = Literal["none", "batch"]

Widths = tuple[Count, ...]
"""The widths of hidden layers one by one, in place of ``width`` and ``depth``; empty where those two say it."""


def merged(x: Tensor) -> Tensor:
    """x ``(*, D)`` with one batch dimension, as a view where its memory allows.

    Networks work on this between their first and last layer: behind a view the compiler does not see that a unit and
    its derivative can be had from one saved tensor, saves a mask of bytes for each, and takes a fifth longer a step.
    """
    return x.flatten(0, -2) if x.ndim > 2 else x


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of features ``(*, D)`` over all other dimensions; in evaluation mode by running statistics.

    A batch that is not finite leaves the running statistics alone, so that its step can be skipped. Each process of a
    run normalises its own share of a batch. Raises `InputError` for a batch of one in training mode.

    Reference: Ioffe and Szegedy (2015), arXiv:1502.03167.
    """

    running_mean: Tensor
    running_var: Tensor

    def forward(self, x: Tensor) -> Tensor:
        kept = self.running_mean, self.running_var
        mean, variance = (t.clone() for t in kept) if self.training else kept  # moved on in place by what follows
        flat = x.reshape(-1, x.shape[-1])
        if self.training and len(flat) == 1:
            raise InputError(
                "expected at least 2 data, over which norm = 'batch' normalises; got 1: give more, or leave norm out"
            )
        y = batch_norm(flat, mean, variance, self.weight, self.bias, self.training, eps=self.eps)
        if self.training:
            for old, now in zip(kept, (mean, variance), strict=True):
                old.copy_(torch.where(torch.isfinite(now).all(), now, old))
        return y.reshape(x.shape)


class MLP(nn.Sequential):
    """``depth`` hidden layers of ``width`` units, each followed by the activation: ``(*, features)`` to ``(*, out)``.

    ``widths`` lists the hidden layers one by one instead. With ``norm = "batch"`` each is normalised before its
    activation, and then has no bias of its own. With ``out`` None the last hidden layer is the output. ``depth`` 0
    leaves one linear layer, or, without ``out``, the identity. The attribute ``out`` tells the number of outputs.
    """

    def __init__(
        self,
        features: int,
        out: int | None,
        *,
        width: int,
        depth: int,
        activation: Activation,
        widths: Sequence[int] = (),
        norm: Norm = "none",
    ):
        layers: list[nn.Module] = []
        for units in widths or (width,) * depth:
            layers.append(Linear(features, units, bias=norm == "none"))
            if norm == "batch":
                layers.append(BatchNorm(units))
            layers.append(ACTIVATIONS[activation]())
            features = units
        if out is not None:
            layers.append(Linear(features, out))
            features = out
        super().__init__(*layers)
        self.out = features

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(merged(x)).reshape(*x.shape[:-1], self.out)
