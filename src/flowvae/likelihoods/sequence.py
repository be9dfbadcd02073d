"""The likelihood of sequences."""

from typing import Annotated

import torch
from torch import Tensor, nn

from flowvae import registry
from flowvae.conditional import Conditional
from flowvae.distributions import SequenceDistribution, StepDensity
from flowvae.distributions.sequence import State
from flowvae.nn import SequenceEmbedding
from flowvae.registry import Count, Fraction, Kind, Spec, register
from flowvae.schema import Schema


@register("likelihood", "sequence")
class Sequence(Conditional):
    """p(x | z) = prod_t p(type_t | x_<t, z) p(feature_t | type_t, x_<t, z), from a recurrent net that starts from z.

    ``word_dropout`` hides a share of the steps that the net is shown in training (Bowman et al., 2016,
    arXiv:1511.06349), and ``scheduled`` shows it, in place of a share of them, what it would have drawn there itself:
    drawn for all places at once, from a first pass over the data (Bengio et al., 2015, arXiv:1506.03099; in two passes
    as Duckworth et al., 2019, arXiv:1906.04331). Both are training's alone: the bounds of validation and evaluation
    are those of p.

    Shapes: z ``(*, *in_shape)`` to a distribution over ``(L, columns)``; the `Schema` says which columns.
    """

    accepts = ("sequence",)

    def __init__(
        self,
        in_shape: tuple[int, ...],
        event_shape: tuple[int, ...],
        *,
        decoder: Annotated[Spec, Kind("recurrence")] = "lstm",
        embedding: Count = 64,
        word_dropout: Fraction = 0.0,
        scheduled: Fraction = 0.0,
    ):
        super().__init__()
        self.schema, self.in_dims = Schema.of(event_shape), len(in_shape)
        self.word_dropout, self.scheduled = word_dropout, scheduled
        self.embedding = SequenceEmbedding(self.schema, embedding)
        self.decoder = registry.build("recurrence", decoder, in_shape, embedding)
        self.step = StepDensity(self.schema)
        self.head = nn.Linear(self.decoder.outputs, self.step.size)

    def forward(self, c: Tensor) -> SequenceDistribution:
        return SequenceDistribution(self, c, tuple(self.schema), self.in_dims)

    def teach(self, c: Tensor, values: Tensor) -> Tensor:
        """phi of every place from the data before it, ``(N, L, size)``: one call of the recurrent net."""
        first, state = self.decoder.start(c)
        shown = values[:, :-1]
        if self.training and self.scheduled:
            with torch.no_grad():
                own = self.step.draw(self._run(first, shown, state), 1.0)[:, :-1]
            shown = torch.where(self._chosen(self.scheduled, shown), own, shown)
        return self._run(first, shown, state)

    def start(self, c: Tensor) -> tuple[Tensor, State]:
        """phi of the first place, and the state behind it."""
        first, state = self.decoder.start(c)
        return self._next(first, state)

    def advance(self, steps: Tensor, state: State) -> tuple[Tensor, State]:
        """phi of the place after ``steps``, and the state behind it."""
        return self._next(self.embedding(steps), state)

    def _next(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        h, state = self.decoder(x[:, None], state)
        return self.head(h[:, 0]), state

    def _run(self, first: Tensor, shown: Tensor, state: State) -> Tensor:
        embedded = self.embedding(shown)
        if self.training and self.word_dropout:
            embedded = torch.where(self._chosen(self.word_dropout, shown), 0.0, embedded)
        h, _ = self.decoder(torch.cat([first[:, None], embedded], 1), state)
        return self.head(h)

    @staticmethod
    def _chosen(share: float, steps: Tensor) -> Tensor:
        """A mask over steps, of a given share on average, ``(N, T, 1)``."""
        return torch.rand(*steps.shape[:2], 1, device=steps.device) < share
