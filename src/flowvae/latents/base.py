"""The contract of a latent structure: one walk for inference, generation and scoring."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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
    """

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
