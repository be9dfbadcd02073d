"""Sequences as vectors."""

import torch
from torch import Tensor, nn

from flowvae.schema import END, Schema


class SequenceEmbedding(nn.Module):
    """A vector for every step: e(type), plus x v(type) for a feature x that is a number, or e(type, level).

    Shapes: values ``(*, L, columns)`` to ``(*, L, width)``.
    """

    first: Tensor
    numeric: Tensor

    def __init__(self, schema: Schema, width: int):
        super().__init__()
        types = 1 + len(schema.types)
        self.types = nn.Embedding(types, width)
        discrete = {n: feature for n, feature in schema.features.items() if feature.kind == "discrete"}
        continuous = schema.features.keys() - discrete.keys()
        self.slopes = nn.Embedding(types, width) if continuous else None
        self.levels = nn.Embedding(1 + sum(len(f.levels) for f in discrete.values()), width) if discrete else None
        first, numeric, count = torch.zeros(types, dtype=torch.long), torch.zeros(types, dtype=torch.bool), 1
        for number, feature in discrete.items():
            first[number], count = count, count + len(feature.levels)
        for number in continuous:
            numeric[number] = True
        self.register_buffer("first", first, persistent=False)  # row of the type's first level; 0 is no level
        self.register_buffer("numeric", numeric, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        types = values[..., 0].long()
        embedded = self.types(types)
        if self.slopes is not None:
            x = torch.where(self.numeric[types], values[..., 1], 0.0).to(embedded.dtype)
            embedded = embedded + x[..., None] * self.slopes(types)
        if self.levels is not None:
            first = self.first[types]
            embedded = embedded + self.levels(torch.where(first > 0, first + values[..., 1].long(), 0))
        return embedded


def lengths(values: Tensor) -> Tensor:
    """Steps before the end: ``(*, L, columns)`` to ``(*)``."""
    return within(values).sum(-1)


def within(values: Tensor) -> Tensor:
    """Which places hold a step, and not the end or what is behind it: ``(*, L, columns)`` to bool ``(*, L)``."""
    return (values[..., 0] == END).cumsum(-1) == 0
