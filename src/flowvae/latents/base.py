"""The contract of a latent structure: one walk for inference, generation and scoring."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution


@dataclass(frozen=True)
class Latent:
    """One latent group: a draw z ``(S, B, *event)`` with log q(z | x, c) and log p(z | c), each ``(S, B)``, in nats."""

    z: Tensor
    log_q: Tensor
    log_p: Tensor
    q: Distribution
    p: Distribution
    gates: Tensor | None = None
    """Of the edges into the group, ``(*, E)``, in a structure that has gates."""
    event: tuple[int, ...] | None = None
    """The shape (C, H, W) of the maps that z lists channel by channel, where it does."""

    terms: Tensor | None = None
    """log q as a sum over coordinates, ``(S, B, D)``, where it is one and the draw was asked for its terms."""

    @property
    def kl(self) -> Tensor:
        """The one-sample estimate log q - log p, ``(S, B)``."""
        return self.log_q - self.log_p


class Draw(Protocol):
    """Where the latents of a walk come from; called once a group, in order, with its prior and its posterior."""

    def __call__(self, n: int, p: Distribution, q: Callable[[], Distribution]) -> Latent: ...


class Latents(nn.Module, ABC):
    """An ordered list of latent groups: built as ``Latents(features, **options)``.

    ``out_shape`` is the shape of the decoder's input. The prior that a walk scores is the prior that it generates from.

    A structure with ``over_maps`` is given the shapes of the encoder's maps in place of ``features``, where the encoder
    has any: h has them side by side, each written as a vector.
    """

    infers: ClassVar[bool] = True
    """Whether it reads the encoder's features."""

    over_maps: ClassVar[bool] = False
    """Whether it is given the shapes of the encoder's maps."""

    out_shape: tuple[int, ...]
    origin: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("origin", torch.zeros(0), persistent=False)

    def no_parents(self, batch: torch.Size) -> Tensor:
        """The condition of a group without parents: width 0, ``(*batch, 0)``."""
        return self.origin.expand(*batch, 0)

    @abstractmethod
    def walk(self, draw: Draw, h: Tensor | None, batch: torch.Size) -> tuple[Tensor, tuple[Latent, ...]]:
        """Visit every group in order.

        Args:
            draw: gives each group its latents.
            h: the encoder's features ``(B, features)``, shared by all samples; None when nothing is inferred.
            batch: the batch of the draw, ``(S, B)``.

        Returns:
            The decoder's input ``(*batch, *out_shape)`` and the groups.
        """

    def anneal(self, epochs: float) -> None:
        """Told the time of training, since the last reset, before every step."""

    def surcharge(self, log_w: Tensor, latents: tuple[Latent, ...]) -> Tensor:
        """What the structure adds to the loss of any objective, from the log-weights ``(S, B)`` and groups of a walk.

        The price of its parts, and terms of value 0 that carry the gradients of what it drew without one.
        """
        return log_w.new_zeros(())

    def account(self) -> dict[str, list[float]]:
        """Figures of the structure that the journal keeps at every validation."""
        return {}

    def structure(self) -> dict[str, Any]:
        """The graph over the groups as plain numbers, for `flowvae.evaluation.graph_of`; empty where there is none."""
        return {}

    @property
    def random(self) -> bool:
        """Whether the structure itself is drawn, so that the model is an average over structures."""
        return False

    def settled(self, generator: torch.Generator) -> AbstractContextManager[None]:
        """Inside, a random structure is one of those that are possible, drawn by ``generator``."""
        return nullcontext()


def bind(prior: nn.Module, posterior: nn.Module, features: int) -> None:
    """Give a group's posterior, which takes ``features`` features, to its prior if that has a method ``bind``."""
    if callable(take := getattr(prior, "bind", None)):
        take(posterior, features)
