"""The recurrent encoder of sequences."""

from typing import Literal

import torch
from torch import Tensor, nn

from flowvae.nn import SequenceEmbedding, lengths
from flowvae.registry import Count, register
from flowvae.schema import Schema

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}


@register("encoder", "rnn")
class RecurrentEncoder(nn.Module):
    """h = [ last state of a net that reads the steps forwards ; of one that reads them backwards from the last ].

    Each direction has ``layers`` layers of ``width`` units of its own. What stands behind the end is never read, and no
    lengths leave the device: the sequence is turned around by an index. Shapes: x ``(*, L, columns)`` to
    ``(*, 2 width)``.

    Reference: Schuster and Paliwal (1997), IEEE Transactions on Signal Processing 45(11).
    """

    compiles = False
    """The compiler breaks its graph at fused recurrent layers."""

    def __init__(
        self,
        event_shape: tuple[int, ...],
        *,
        cell: Literal["gru", "lstm"] = "lstm",
        width: Count = 256,
        layers: Count = 1,
        embedding: Count = 64,
    ):
        super().__init__()
        schema = Schema.of(event_shape)
        self.embedding = SequenceEmbedding(schema, embedding)
        self.forwards = CELLS[cell](embedding, width, layers, batch_first=True)
        self.backwards = CELLS[cell](embedding, width, layers, batch_first=True)
        self.features = 2 * width

    def forward(self, x: Tensor) -> Tensor:
        values = x.flatten(0, -3) if x.ndim > 2 else x[None]
        embedded, last = self.embedding(values), (lengths(values) - 1).clamp(min=0)
        turned = (last[:, None] - torch.arange(values.shape[1], device=x.device)).clamp(min=0)
        backwards = torch.take_along_dim(embedded, turned[..., None], 1)
        states = [net(read)[0] for net, read in ((self.forwards, embedded), (self.backwards, backwards))]
        ends = [torch.take_along_dim(h, last[:, None, None], 1)[:, 0] for h in states]
        return torch.cat(ends, -1).reshape(*x.shape[:-2], self.features)
