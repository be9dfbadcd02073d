"""The Transformer encoder of sequences."""

import torch
from torch import Tensor, nn

from flowvae.errors import InputError
from flowvae.nn import SequenceEmbedding, lengths
from flowvae.registry import Count, register
from flowvae.schema import Schema


@register("encoder", "transformer")
class TransformerEncoder(nn.Module):
    """h = the mean, over the steps and the end, of a Transformer's last layer (pre-norm, GELU, learned positions).

    What stands behind the end is neither attended to nor averaged. Shapes: x ``(*, L, columns)`` to ``(*, width)``.

    Reference: Vaswani et al. (2017), arXiv:1706.03762.
    """

    def __init__(self, event_shape: tuple[int, ...], *, width: Count = 128, layers: Count = 2, heads: Count = 4):
        super().__init__()
        schema = Schema.of(event_shape)
        if width % heads:
            raise InputError(
                f"expected encoder.width as a multiple of encoder.heads = {heads}; got {width}: change one"
            )
        self.embedding = SequenceEmbedding(schema, width)
        self.positions = nn.Parameter(0.1 * torch.randn(schema.length, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.net = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.features = width

    def forward(self, x: Tensor) -> Tensor:
        values = x.flatten(0, -3) if x.ndim > 2 else x[None]
        read = torch.arange(values.shape[1], device=x.device) <= lengths(values)[:, None]
        h = self.net(self.embedding(values) + self.positions, src_key_padding_mask=~read)
        weights = read.to(h.dtype)[..., None]
        return ((h * weights).sum(1) / weights.sum(1)).reshape(*x.shape[:-2], self.features)
