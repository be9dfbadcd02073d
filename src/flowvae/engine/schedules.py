"""Schedules: a factor on the learning rate for every step of a phase."""

import math
from dataclasses import dataclass
from typing import Any

from flowvae.registry import Count, Fraction, NonNegativeFloat, Positive, register


@dataclass(kw_only=True)
class Schedule:
    """A factor on the learning rate, rising linearly over the first ``warmup`` epochs.

    Called with the step within the phase, the steps of an epoch and the steps of the phase.
    """

    warmup: NonNegativeFloat = 0.0

    def __call__(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        warm = self.warmup * steps_per_epoch
        if step < warm:
            return (step + 1) / (warm + 1)
        return self.factor((step - warm) / steps_per_epoch, (total_steps - warm) / steps_per_epoch)

    def factor(self, epochs: float, total: float) -> float:
        """The factor ``epochs`` after the warm-up, of ``total`` epochs without it."""
        return 1.0

    def observe(self, elbo: float) -> None:
        """Told the bound after every validation."""

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on; empty for a function of the step."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""


@register("schedule", "constant")
@dataclass(kw_only=True)
class Constant(Schedule):
    """The learning rate as it is, after ``warmup`` epochs of linear rise."""


@register("schedule", "cosine")
@dataclass(kw_only=True)
class Cosine(Schedule):
    """Half a cosine from 1 to ``final`` over the phase: final + (1 - final) (1 + cos(pi t / T)) / 2.

    Reference: Loshchilov and Hutter, 2016, arXiv:1608.03983.
    """

    final: Fraction = 0.0

    def factor(self, epochs: float, total: float) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(1.0, epochs / total))) / 2


@register("schedule", "step")
@dataclass(kw_only=True)
class Steps(Schedule):
    """Multiplied by ``decay`` every ``every`` epochs after the warm-up."""

    every: Count = 10
    decay: Fraction = 0.5

    def factor(self, epochs: float, total: float) -> float:
        return self.decay ** (epochs // self.every)


@register("schedule", "plateau")
@dataclass(kw_only=True)
class Plateau(Schedule):
    """Multiplied by ``decay``, down to ``floor``, after ``wait`` validations in a row that gain no ``margin`` nats."""

    decay: Fraction = 0.5
    wait: Count = 5
    margin: NonNegativeFloat = 0.0
    floor: Positive = 1e-3

    def __post_init__(self) -> None:
        self._scale = 1.0
        self._best = -math.inf
        self._stale = 0

    def factor(self, epochs: float, total: float) -> float:
        return self._scale

    def observe(self, elbo: float) -> None:
        if elbo > self._best + self.margin:
            self._best, self._stale = elbo, 0
            return
        self._stale += 1
        if self._stale >= self.wait:
            self._scale, self._stale = max(self.floor, self._scale * self.decay), 0

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self._scale, "best": self._best, "stale": self._stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._scale, self._best, self._stale = state["scale"], state["best"], state["stale"]
