"""What likelihoods share: a decoder that gives every coordinate its parameters."""

from typing import Literal

import torch
from torch import Tensor, nn

from flowvae import registry
from flowvae.conditional import Conditional
from flowvae.distributions import in_full_precision
from flowvae.distributions.diagonal import positive
from flowvae.registry import Spec

Scale = Literal["global", "channel", "pixel"]
"""Who shares a scale: all coordinates, those of a channel, or none."""

FLOOR = 1e-3
"""The least scale, in units of that at the start."""


class Decoded(Conditional):
    """A likelihood over ``event_shape`` with ``parts`` parameters a coordinate, given by a decoder.

    The decoder's output is ``(*, parts C, ...)`` for an event ``(C, ...)``: the parameters side by side, channel-wise.
    """

    def __init__(self, in_shape: tuple[int, ...], event_shape: tuple[int, ...], decoder: Spec, parts: int = 1):
        super().__init__()
        self.event_shape, self.parts = tuple(event_shape), parts
        self.event_dims = len(event_shape)
        out_shape = (parts * event_shape[0], *event_shape[1:])
        self.decoder = registry.build("decoder", decoder, in_shape, out_shape)

    def parameters_of(self, c: Tensor) -> tuple[Tensor, ...]:
        """The parameters ``(*, *event)``, in single precision at least."""
        return in_full_precision(self.decoder(c)).chunk(self.parts, -self.event_dims)

    def start(self, *phi: Tensor) -> None:
        """Let the parameters lie around ``phi`` at the start, each of the shape of the event, if the decoder can."""
        if hasattr(self.decoder, "centre"):
            self.decoder.centre(torch.cat(phi))


class Located(Decoded):
    """A likelihood with a location and a positive scale: mu from the decoder, sigma shared or from the decoder too.

    sigma = ``start_scale`` (f + (1 - f) softplus(s + log(e - 1))), so that s = 0 is sigma = ``start_scale``. The floor
    f = 0.001 is there because the density of a coordinate that never varies has no upper bound.
    """

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        decoder: Spec,
        scale: Scale,
        start_scale: float,
    ):
        super().__init__(in_shape, event_shape, decoder, parts=2 if scale == "pixel" else 1)
        self.start_scale = start_scale
        shapes = {"global": (1,) * self.event_dims, "channel": (event_shape[0], *(1,) * (self.event_dims - 1))}
        self.shared = nn.Parameter(torch.zeros(shapes[scale])) if scale in shapes else None

    def centre(self, mean: Tensor) -> None:
        """Start from the data's mean."""
        self.start(*(mean, torch.zeros_like(mean))[: self.parts])

    def located(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """mu and sigma, ``(*, *event)`` or with ones where sigma is shared."""
        loc, *own = self.parameters_of(c)
        s = own[0] if self.shared is None else in_full_precision(self.shared)
        return loc, self.start_scale * (FLOOR + (1 - FLOOR) * positive(s))
