"""No encoder."""

from torch import Tensor, nn

from flowvae.registry import register


@register("encoder", "none")
class NoEncoder(nn.Module):
    """h of width 0, ``(*, event)`` to ``(*, 0)``: for models without latents, in which nothing is inferred."""

    features = 0

    def __init__(self, event_shape: tuple[int, ...]):
        super().__init__()
        self.event_dims = len(event_shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(-self.event_dims)[..., :0]
