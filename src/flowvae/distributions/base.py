"""Sampling and scoring in one pass, from noise that the caller may choose."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, cast

import torch
from torch import Tensor
from torch.distributions import Distribution

from flowvae.errors import InputError

Shape = torch.Size | list[int] | tuple[int, ...]
NO_SHAPE = torch.Size()

Noise = Callable[[torch.Size], Tensor]
"""Draws standard-normal noise of a shape; given explicitly where results must not depend on batches or processes.

It may be drawn on any device and in any type: it is moved to the distribution's.
"""


class Reparameterised(Distribution, ABC):
    """A distribution that is a pushforward of standard-normal noise: z = f(eps), eps ~ N(0, I).

    ``from_noise(eps)`` maps ``(*, D)`` to z ``(*, D)`` and log q(z) ``(*)``, never inverting f.
    """

    has_rsample = True

    @abstractmethod
    def from_noise(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """z = f(eps) and log q(z)."""

    @property
    def by_coordinate(self) -> bool:
        """Whether log q is known as a sum of one term a coordinate."""
        return False

    def terms_from_noise(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """z = f(eps) and the terms of log q(z), one a coordinate ``(*, D)``, where it is ``by_coordinate``."""
        raise NotImplementedError

    @property
    @abstractmethod
    def like(self) -> Tensor:
        """A tensor of the distribution, for the type and device of its noise."""

    def rsample_and_log_prob(self, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """One draw of shape batch + event, and its log-density of shape batch."""
        return self.from_noise(self._noise(noise))

    def rsample_and_terms(self, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """As `rsample_and_log_prob`, with the terms of the log-density, of shape batch + event."""
        return self.terms_from_noise(self._noise(noise))

    def rsample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        return self.from_noise(self._standard_normal(self._extended_shape(torch.Size(sample_shape))))[0]

    def _noise(self, noise: Noise | None) -> Tensor:
        shape = self.batch_shape + self.event_shape
        return noise(shape).to(self.like) if noise else self._standard_normal(shape)

    def _standard_normal(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape, dtype=self.like.dtype, device=self.like.device)


class Sampled(Distribution, ABC):
    """A distribution over vectors that draws for itself, because it makes choices that no noise decides smoothly.

    Draws carry no gradient; the density does. ``draw(shape, temperature)`` gives z ``(*shape, D)``, the batch being the
    end of ``shape``.
    """

    has_rsample = False

    @abstractmethod
    def draw(self, shape: torch.Size, temperature: float = 1.0) -> Tensor:
        """Draws of z, choices made as they are, and the noise that follows them scaled by ``temperature``."""

    @torch.no_grad()
    def sample(self, sample_shape: Shape = NO_SHAPE) -> Tensor:
        return self.draw(torch.Size(sample_shape) + self.batch_shape)


def rsample_and_log_prob(q: Distribution, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
    """A reparameterised draw z ~ q and log q(z), in one pass; any torch distribution works.

    Drawing and then scoring would invert a flow. A distribution that is no pushforward of Gaussian noise draws for
    itself and leaves ``noise`` unused.
    """
    if isinstance(q, Reparameterised):
        return q.rsample_and_log_prob(noise)
    z = q.rsample()
    return z, q.log_prob(z)


def sample_and_log_prob(p: Distribution, temperature: float = 1.0, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
    """A draw z from p with its noise scaled by ``temperature``, and log p(z), the density of p as it is.

    ``noise`` is as for `rsample_and_log_prob`. Raises `InputError` for a temperature other than 1 where p does not say
    what that means.
    """
    if isinstance(p, Sampled):
        with torch.no_grad():
            z = p.draw(p.batch_shape, temperature)
        return z, p.log_prob(z)
    if temperature == 1:
        return rsample_and_log_prob(p, noise)
    if isinstance(p, Reparameterised):
        draw = noise or p._standard_normal
        return p.rsample_and_log_prob(lambda shape: temperature * draw(shape))
    raise InputError(f"expected temperature = 1; got {temperature}: a {type(p).__name__} has none")


def known(p: Distribution, what: Literal["mean", "mode"]) -> Tensor | None:
    """The ``mean`` or the ``mode`` of p, if p knows it; behind a flow neither is known."""
    with suppress(NotImplementedError):
        return cast(Tensor | None, getattr(p, what))
    return None


def typical(p: Distribution) -> Tensor:
    """The datum that stands for p: its mean, its mode where data cannot be averaged, a draw where neither is known."""
    if (mean := known(p, "mean")) is not None:
        return mean
    return p.sample() if (mode := known(p, "mode")) is None else mode


def average(p: Distribution) -> Tensor:
    """Typical data averaged over the first batch dimension, ``(S, *)`` to ``(*)``; modes only where S is 1."""
    if (mean := known(p, "mean")) is not None:
        return mean.mean(0)
    if (mode := known(p, "mode")) is None:
        return p.sample().mean(0)
    if len(mode) > 1:
        raise InputError(f"expected one draw a datum, since such data have no mean; got {len(mode)}: ask for one")
    return mode[0]


class Family(ABC):
    """Unconstrained parameters phi ``(*, size)`` to a distribution over an event; ``size`` is how many it takes."""

    size: int

    @abstractmethod
    def __call__(self, phi: Tensor) -> Distribution:
        """The distribution with parameters phi."""
