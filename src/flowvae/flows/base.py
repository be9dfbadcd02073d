"""The contract of a flow."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from flowvae.errors import InputError
from flowvae.transforms import Inverse, Transform


class Cost(NamedTuple):
    """What a flow costs in either direction, in words; a pass runs every network once."""

    drawing: str
    """A draw with its density, as in training a posterior."""
    scoring: str
    """The density of a given point, as in training a prior."""


class Flow(nn.Module, ABC):
    """A family of bijections with learned parameters: a context h chooses one.

    Built as ``Flow(event_shape, context, **options)``: ``event_shape`` is the shape of one point, ``context`` the
    number of features of h, 0 for none. ``forward(h)`` maps h ``(*, context)`` (or None without context) to a
    `Transform` whose parameters have h's batch and broadcast against the points'.

    The attribute ``context`` is what the flow looks at: one that has no use for h sets it to 0. ``cost`` says what
    drawing and scoring cost; ``scores`` marks a flow that is made for scoring, whose inverse is the faster direction.

    Points are vectors ``(*, D)``. A flow with ``maps`` also takes an event (C, H, W): its points are maps, written as
    vectors of D = C H W, and so is its context, of ``context`` = K H W features. Raises `InputError` where it does not.
    """

    accuracy: float = 0.0
    """How far a map, its inverse and its log-determinant may be from each other, beyond rounding: 0 if it is exact."""
    cost: ClassVar[Cost] = Cost("not stated", "not stated")
    scores: ClassVar[bool] = False
    maps: ClassVar[bool] = False

    def __init__(self, event_shape: tuple[int, ...], context: int):
        super().__init__()
        if len(event_shape) not in ((1, 3) if self.maps else (1,)):
            takes = "vectors (D,) or maps (C, H, W)" if self.maps else "vectors (D,)"
            got, remedy = ("maps ", "use flow.name = 'iaf'") if len(event_shape) == 3 else ("", "flatten the event")
            raise InputError(f"expected {takes}; got {got}{tuple(event_shape)}: {remedy}")
        self.event_shape = tuple(event_shape)
        self.context = context

    @abstractmethod
    def forward(self, h: Tensor | None = None) -> Transform:
        """The transform that the context chooses."""

    def scoring(self, h: Tensor | None = None) -> Transform:
        """From noise to points, by the transform or by its inverse: the way round that scores given points fast."""
        transform = self(h)
        return transform if self.scores else Inverse(transform)
