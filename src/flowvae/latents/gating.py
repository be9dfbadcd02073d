"""The contract of the gates on a graph's edges, and what all learned gates share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

Per = Literal["batch", "datum"]


class Gates(nn.Module, ABC):
    """Numbers between 0 and 1 on the E candidate edges of a graph: built as ``Gates(edges, **options)``."""

    def __init__(self, edges: int):
        super().__init__()
        self.edges = edges

    @property
    @abstractmethod
    def means(self) -> Tensor:
        """How probable every edge is, ``(E,)``."""

    def likely(self) -> Tensor:
        """The graph that stands in evaluation mode, 0 or 1 for each edge, ``(E,)``."""
        return self.means

    @property
    def random(self) -> bool:
        """Whether the graph is still open: several are possible."""
        return False

    @abstractmethod
    def forward(self, batch: torch.Size) -> Tensor:
        """The gates of a walk, ``(E,)`` or ``(*batch, E)``."""

    def anneal(self, epochs: float) -> None:
        """Told the time of training before every step."""

    def surcharge(self, gates: Tensor, log_w: Tensor) -> Tensor:
        """What the gates add to the loss, having been ``gates`` where the log-weights were ``log_w`` ``(S, B)``."""
        return log_w.new_zeros(())

    @contextmanager
    def settled(self, generator: torch.Generator) -> Iterator[None]:
        """Inside, the gates are one graph drawn from those that are possible."""
        yield


class LearnedGates(Gates):
    """c_e ~ Bernoulli(mu_e) for every edge e, mu learned: the model is E_c[ p(x | c) ], its bound E_c[ ELBO(c) ].

    Training draws gates anew at every step, one graph for the batch or one for every draw of every datum (``per``; the
    processes of a run then draw the same ones for their shares of a batch). Where an objective has several draws inside
    its logarithm, as `IWAE` has, draws with graphs of their own bound log E_c[ p(x | c) ], in place of its mean over
    graphs outside. In evaluation mode gates are the graph of the edges with mu_e >= ``threshold``, at 1/2 the most
    probable one. Frozen, they are that graph for good: it and the flag are part of the state. ``price`` is what an
    expected edge costs, in nats a datum: with N data, log((1 - r) / r) / N is that of the prior Bernoulli(r) on edges.
    """

    structure: Tensor

    def __init__(self, edges: int, start: float, threshold: float, price: float, per: Per):
        super().__init__(edges)
        self.threshold, self.price, self.per = threshold, price, per
        self.logits = nn.Parameter(torch.full((edges,), math.log(start / (1 - start))))
        self.register_buffer("structure", torch.ones(edges))
        self.frozen = False

    @property
    def means(self) -> Tensor:
        return torch.sigmoid(self.logits)

    @property
    def random(self) -> bool:
        return not self.frozen

    def forward(self, batch: torch.Size) -> Tensor:
        if self.frozen or not self.training:
            return self.likely()
        shape = (*batch, self.edges) if self.per == "datum" else (self.edges,)
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return self.gates(u)

    @abstractmethod
    def gates(self, u: Tensor) -> Tensor:
        """Uniform noise to gates, ``(*, E)`` both; u_e > 1 - mu_e is an edge."""

    def likely(self) -> Tensor:
        return self.structure if self.frozen else (self.means >= self.threshold).to(self.logits.dtype)

    @torch.no_grad()
    def freeze(self, frozen: bool = True) -> None:
        """Stand at the graph as it is likely now; or, with ``frozen`` off, learn again."""
        if frozen and not self.frozen:
            self.structure.copy_(self.likely())
        self.frozen = frozen

    def surcharge(self, gates: Tensor, log_w: Tensor) -> Tensor:
        return self.price * self.means.sum() if self.price and not self.frozen else log_w.new_zeros(())

    @contextmanager
    def settled(self, generator: torch.Generator) -> Iterator[None]:
        before, structure = self.frozen, self.structure.clone()
        drawn = torch.rand(self.edges, generator=generator, dtype=torch.float64) > 1 - self.means.cpu().double()
        self.structure.copy_(structure if before else drawn)
        self.frozen = True
        try:
            yield
        finally:
            self.frozen = before
            self.structure.copy_(structure)

    def get_extra_state(self) -> bool:
        return self.frozen

    def set_extra_state(self, state: bool) -> None:
        self.frozen = state


def logistic(u: Tensor) -> Tensor:
    """log(u / (1 - u)), u kept a rounding error within (0, 1)."""
    return torch.logit(u, eps=torch.finfo(u.dtype).eps)


def log_probability(gates: Tensor, logits: Tensor) -> Tensor:
    """log p(c) = sum_e [ c_e log mu_e + (1 - c_e) log(1 - mu_e) ], ``(*, E)`` to ``(*)``."""
    return (gates * logsigmoid(logits) + (1 - gates) * logsigmoid(-logits)).sum(-1)
