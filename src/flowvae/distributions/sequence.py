"""Sequences of variable length, one step given those before it."""

from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from flowvae.distributions.base import NO_SHAPE, Shape
from flowvae.distributions.step import StepDensity, ended
from flowvae.precision import in_full_precision
from flowvae.schema import END

State = tuple[Tensor, ...]
"""What a network remembers of the steps so far: tensors ``(layers, N, width)``."""


class Network(Protocol):
    """What says phi of each step from the condition and the steps before it."""

    step: StepDensity

    def teach(self, c: Tensor, values: Tensor) -> Tensor:
        """phi of every place, each given the steps of ``values`` before it: c ``(N, *)`` to ``(N, L, size)``."""

    def start(self, c: Tensor) -> tuple[Tensor, State]:
        """phi of the first place, ``(N, size)``, and the state behind it."""

    def advance(self, steps: Tensor, state: State) -> tuple[Tensor, State]:
        """phi of the place after ``steps`` ``(N, columns)``, and the state behind it."""


class SequenceDistribution(Distribution):
    """p(x | c) = prod_t p(x_t | x_<t, c) over sequences of at most L steps, each ended by a token of its own.

    log p(x) = sum_{t <= T} log p(x_t | x_<t, c) with the steps t < T and the end T; behind the last place the end is
    certain, so that probabilities of all sequences sum to 1. What stands behind the end has no influence.

    `log_prob` lets the network see the data (teacher forcing): one call for all places. Draws run free: each step is
    fed back as it was drawn, and the state is kept, so that L steps cost L. Shapes: c ``(*, *condition)``, x
    ``(*, L, columns)``. There is no mean; `mode` is the greedy sequence, which need not be the most probable one.

    Reference: Graves (2013), arXiv:1308.0850; Bowman et al. (2016), arXiv:1511.06349.
    """

    arg_constraints: ClassVar = {}
    support = constraints.independent(constraints.real, 2)

    def __init__(self, network: Network, c: Tensor, event_shape: tuple[int, ...], condition_dims: int = 1):
        self.network, self.c, self.condition_dims = network, c, condition_dims
        split = c.ndim - condition_dims
        super().__init__(c.shape[:split], torch.Size(event_shape), validate_args=False)

    def expand(self, batch_shape: Shape, _instance: Distribution | None = None) -> "SequenceDistribution":
        c = self.c.expand(torch.Size(batch_shape) + self.c.shape[self.c.ndim - self.condition_dims :])
        return SequenceDistribution(self.network, c, tuple(self.event_shape), self.condition_dims)

    def log_prob(self, value: Tensor) -> Tensor:
        batch = torch.broadcast_shapes(self.batch_shape, value.shape[:-2])
        x = value.expand(batch + self.event_shape).reshape(-1, *self.event_shape)
        phi = self.network.teach(self._flat(batch), x)
        is_end = ended(x)
        counts = is_end.cumsum(-1) - is_end.long() == 0  # the steps and the end itself
        log_p = torch.where(counts, self.network.step.log_prob(phi, x), 0.0)
        return log_p.sum(-1).reshape(batch)

    @torch.no_grad()
    def taught(self, value: Tensor) -> Tensor:
        """The greedy step of every place, each given the steps of ``value`` before it: of the shape of a draw."""
        batch = torch.broadcast_shapes(self.batch_shape, value.shape[:-2])
        x = value.expand(batch + self.event_shape).reshape(-1, *self.event_shape)
        return self.network.step.draw(self.network.teach(self._flat(batch), x), 0.0).reshape(batch + self.event_shape)

    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        return self.decode(sample_shape)

    @property
    def mode(self) -> Tensor:
        """The greedy sequence: step by step the most probable type, and the mode of its feature."""
        return self.decode(temperature=0.0)

    @torch.no_grad()
    def decode(self, sample_shape: Shape = NO_SHAPE, temperature: float = 1.0) -> Tensor:
        """Sequences drawn step by step, the spread of each step scaled by ``temperature``; greedy at 0."""
        shape = self._extended_shape(torch.Size(sample_shape))
        phi, state = self.network.start(self._flat(shape[: len(shape) - 2]))
        like = in_full_precision(phi)  # half precision has not enough whole numbers for the types
        x = torch.full((len(phi), *self.event_shape), float(END), dtype=like.dtype, device=like.device)
        done = torch.zeros(len(phi), dtype=torch.bool, device=phi.device)
        for place in range(self.event_shape[0]):
            if place:
                phi, state = self.network.advance(x[:, place - 1], state)
            steps = self.network.step.draw(phi, temperature)
            done = done | ended(steps)
            if done.all():
                break
            x[:, place] = torch.where(done[:, None], float(END), steps)
        return x.reshape(shape)

    @torch.no_grad()
    def beam(self, width: int) -> tuple[Tensor, Tensor]:
        """The ``width`` most probable sequences that are found by keeping as many prefixes, ``(width, *, L, columns)``,
        and log p of their choices (`StepDensity.choices`), ``(width, *)``, the best first.

        A prefix that has ended competes as it is. Where fewer sequences exist, log p of the rest is -inf.
        """
        phi, state = self.network.start(self._flat(self.batch_shape))
        count = len(phi)
        like = in_full_precision(phi)
        x = like.new_zeros(count, 1, *self.event_shape)
        total = like.new_zeros(count, 1)
        done = torch.zeros_like(total, dtype=torch.bool)
        rows = torch.arange(count, device=phi.device)[:, None]
        for place in range(self.event_shape[0]):
            if place:
                phi, state = self.network.advance(x[:, :, place - 1].flatten(0, 1), state)
            steps, log_p = (t.unflatten(0, (count, -1)) for t in self.network.step.choices(phi))
            only_end = torch.full_like(log_p, -torch.inf)
            only_end[..., 0] = 0.0
            total = (total[..., None] + torch.where(done[..., None], only_end, log_p)).flatten(1)
            total, best = total.topk(min(width, total.shape[1]))
            parent, choice = best // log_p.shape[-1], best % log_p.shape[-1]
            x, chosen = x[rows, parent], steps[rows, parent, choice]
            done = done[rows, parent] | ended(chosen)
            x[:, :, place] = torch.where(done[..., None], float(END), chosen)
            flat = (rows * steps.shape[1] + parent).flatten()
            state = tuple(t[:, flat] for t in state)
        missing = width - x.shape[1]
        x = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, missing))
        total = torch.nn.functional.pad(total, (0, missing), value=-torch.inf)
        return (
            x.transpose(0, 1).reshape(width, *self.batch_shape, *self.event_shape),
            total.mT.reshape(width, *self.batch_shape),
        )

    def _flat(self, batch: torch.Size) -> Tensor:
        """The condition of every sequence of a batch, ``(N, *condition)``."""
        condition = self.c.shape[self.c.ndim - self.condition_dims :]
        return self.c.expand(batch + condition).reshape(batch.numel(), *condition)
