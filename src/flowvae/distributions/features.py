"""Densities of the feature of a step, from unconstrained parameters."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import log_softmax, softplus
from torch.special import ndtr, ndtri

from flowvae.distributions.continuous_bernoulli import ContinuousBernoulli
from flowvae.distributions.diagonal import HALF_LOG_2PI
from flowvae.schema import Feature

LEAST = 0.01
"""The least standard deviation, on the normalised scale: a density of repeated values would else grow without bound."""


class FeatureDensity(ABC):
    """The density of a number x ``(*)`` given parameters phi ``(*, size)``."""

    size: int

    @abstractmethod
    def log_prob(self, phi: Tensor, x: Tensor) -> Tensor:
        """log p(x), ``(*)``, in nats; finite for any x, for the sake of those that are masked."""

    @abstractmethod
    def draw(self, phi: Tensor, temperature: float) -> Tensor:
        """x ~ p with its spread scaled by ``temperature``, ``(*)``; the mode at 0."""


class NormalFeature(FeatureDensity):
    """N(m, sigma^2), phi = (m, s) and sigma = 0.01 + softplus(s)."""

    size = 2

    def log_prob(self, phi: Tensor, x: Tensor) -> Tensor:
        m, s = phi.unbind(-1)
        sigma = LEAST + softplus(s)
        return -0.5 * ((x - m) / sigma).square() - sigma.log() - HALF_LOG_2PI

    def draw(self, phi: Tensor, temperature: float) -> Tensor:
        m, s = phi.unbind(-1)
        return m + temperature * (LEAST + softplus(s)) * torch.randn_like(m)


class UnitFeature(FeatureDensity):
    """N(mu, sigma^2) truncated to [0, 1], mu and sigma between 0 and 1: phi = (logit of mu, s)."""

    size = 2

    def log_prob(self, phi: Tensor, x: Tensor) -> Tensor:
        mu, sigma = self._moments(phi)
        inside = ndtr((1 - mu) / sigma) - ndtr(-mu / sigma)  # at least a third, as mu lies within and sigma < 1
        return -0.5 * ((x - mu) / sigma).square() - sigma.log() - HALF_LOG_2PI - inside.log()

    def draw(self, phi: Tensor, temperature: float) -> Tensor:
        mu, sigma = self._moments(phi)
        if not temperature:
            return mu
        sigma = (temperature * sigma).clamp(min=1e-6)
        low, high = ndtr(-mu / sigma), ndtr((1 - mu) / sigma)
        u = torch.rand_like(mu).clamp(1e-6, 1 - 1e-6)
        return (mu + sigma * ndtri(low + u * (high - low))).clamp(0, 1)

    def _moments(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        m, s = phi.unbind(-1)
        return m.sigmoid(), LEAST + (1 - LEAST) * s.sigmoid()


class ContinuousBernoulliFeature(FeatureDensity):
    """The continuous Bernoulli density on [0, 1], phi its logit: monotone, so that its mode is 0 or 1."""

    size = 1

    def log_prob(self, phi: Tensor, x: Tensor) -> Tensor:
        return ContinuousBernoulli(phi, 1).log_prob(x[..., None])

    def draw(self, phi: Tensor, temperature: float) -> Tensor:
        if not temperature:
            return (phi[..., 0] > 0).to(phi.dtype)
        return ContinuousBernoulli(phi / temperature, 1).sample()[..., 0]


class DiscreteFeature(FeatureDensity):
    """A categorical variable by logits; x is the index of its level."""

    def __init__(self, levels: int):
        self.size = levels

    def log_prob(self, phi: Tensor, x: Tensor) -> Tensor:
        index = x.long().clamp(0, self.size - 1)
        return log_softmax(phi, -1).gather(-1, index[..., None])[..., 0]

    def draw(self, phi: Tensor, temperature: float) -> Tensor:
        return categorical(phi, temperature).to(phi.dtype)


def categorical(logits: Tensor, temperature: float) -> Tensor:
    """An index drawn with logits / ``temperature``, ``(*, K)`` to ``(*)``; the greatest at 0 (Gumbel's trick)."""
    if not temperature:
        return logits.argmax(-1)
    noise = -torch.log(torch.empty_like(logits).exponential_())
    return (logits + temperature * noise).argmax(-1)


def density_of(feature: Feature) -> FeatureDensity:
    """The density that a feature is declared to have."""
    match feature.kind:
        case "discrete":
            return DiscreteFeature(len(feature.levels))
        case "unit":
            return UnitFeature()
        case "continuous-bernoulli":
            return ContinuousBernoulliFeature()
        case _:
            return NormalFeature()
