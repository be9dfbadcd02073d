"""The contract of a flow."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from flowvae.transforms import Transform


class Flow(nn.Module, ABC):
    """A family of bijections with learned parameters: a context h chooses one.

    Built as ``Flow(event_shape, context, **options)``: ``event_shape`` is the shape of one point, ``context`` the
    number of features of h, 0 for none. ``forward(h)`` maps h ``(*, context)`` (or None without context) to a
    `Transform` whose parameters have h's batch and broadcast against the points'.
    """

    def __init__(self, event_shape: tuple[int, ...], context: int):
        super().__init__()
        self.event_shape = tuple(event_shape)
        self.context = context

    @abstractmethod
    def forward(self, h: Tensor | None = None) -> Transform:
        """The transform that the context chooses."""
