"""Gates on the edges of a graph: open for good, or learned by one of three estimators of the gradient."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from flowvae.errors import InputError
from flowvae.latents.gating import Gates, LearnedGates, Per, log_probability, logistic
from flowvae.registry import Fraction, NonNegativeFloat, Positive, register

Inside = Annotated[float, Field(gt=0, lt=1, strict=True)]


@register("gates", "open")
class Open(Gates):
    """All candidate edges stand: a given structure, nothing to learn."""

    always: Tensor

    def __init__(self, edges: int):
        super().__init__(edges)
        self.register_buffer("always", torch.ones(edges), persistent=False)

    @property
    def means(self) -> Tensor:
        return self.always

    def forward(self, batch: torch.Size) -> Tensor:
        return self.always


@register("gates", "relaxed")
class Relaxed(LearnedGates):
    """c = sigmoid((logit mu + logit u) / tau), u uniform: Bernoulli(mu) as tau falls, with a pathwise gradient.

    tau = max(floor, temperature decay^epoch). Biased, the less the lower tau; its variance rises instead.
    ``start``, ``threshold``, ``price`` and ``per`` are those of all learned gates, `LearnedGates`.

    Reference: Maddison, Mnih, Teh (2017), arXiv:1611.00712; Jang, Gu, Poole (2017), arXiv:1611.01144.
    """

    tau: Tensor

    def __init__(
        self,
        edges: int,
        *,
        temperature: Positive = 1.0,
        decay: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.99,
        floor: Positive = 0.1,
        start: Inside = 0.5,
        threshold: Fraction = 0.5,
        price: NonNegativeFloat = 0.0,
        per: Per = "batch",
    ):
        super().__init__(edges, start, threshold, price, per)
        if floor > temperature:
            raise InputError(
                f"expected latents.gates.floor of at most latents.gates.temperature = {temperature}; got {floor}: "
                "lower it"
            )
        self.temperature, self.decay, self.floor = temperature, decay, floor
        self.register_buffer("tau", torch.tensor(temperature), persistent=False)

    def anneal(self, epochs: float) -> None:
        self.tau.fill_(max(self.floor, self.temperature * self.decay**epochs))

    def gates(self, u: Tensor) -> Tensor:
        return torch.sigmoid((self.logits + logistic(u)) / self.tau)


@register("gates", "straight_through")
class StraightThrough(LearnedGates):
    """c = [u > 1 - mu], and dc / dmu = 1: exact graphs, and a gradient that is exact where the loss is linear in c.

    ``start``, ``threshold``, ``price`` and ``per`` are those of all learned gates, `LearnedGates`.

    Reference: Bengio, Leonard, Courville (2013), arXiv:1308.3432.
    """

    def __init__(
        self,
        edges: int,
        *,
        start: Inside = 0.5,
        threshold: Fraction = 0.5,
        price: NonNegativeFloat = 0.0,
        per: Per = "batch",
    ):
        super().__init__(edges, start, threshold, price, per)

    def gates(self, u: Tensor) -> Tensor:
        mu = self.means
        return (u > 1 - mu).to(mu.dtype) + mu - mu.detach()


@register("gates", "score")
class Score(LearnedGates):
    """c = [u > 1 - mu], and the gradient E_c[ (b - log w) d log p(c) ]: unbiased whatever log w is in c, but noisy.

    The reward is the log-weight, whose mean is the bound, whatever else an objective does to its terms (a warm-up,
    free bits, several samples inside the logarithm). The baseline b is its running mean over earlier steps, with decay
    ``memory``. ``start``, ``threshold``, ``price`` and ``per`` are those of all learned gates, `LearnedGates`.

    Reference: Williams (1992), "Simple statistical gradient-following algorithms"; Mnih and Gregor (2014),
    arXiv:1402.0030.
    """

    baseline: Tensor
    steps: Tensor

    def __init__(
        self,
        edges: int,
        *,
        memory: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.9,
        start: Inside = 0.5,
        threshold: Fraction = 0.5,
        price: NonNegativeFloat = 0.0,
        per: Per = "batch",
    ):
        super().__init__(edges, start, threshold, price, per)
        self.memory = memory
        self.register_buffer("baseline", torch.zeros(()))
        self.register_buffer("steps", torch.zeros(()))

    def gates(self, u: Tensor) -> Tensor:
        return (u > 1 - self.means.detach()).to(self.logits.dtype)

    def surcharge(self, gates: Tensor, log_w: Tensor) -> Tensor:
        price = super().surcharge(gates, log_w)
        if self.frozen or not self.training:
            return price
        reward = log_w.detach() if self.per == "datum" else log_w.detach().mean()
        # the first step has no past to compare with, and teaches the baseline only
        past = torch.where(self.steps == 0, reward, self.baseline)
        credit = ((reward - past) * log_probability(gates, self.logits)).mean()
        with torch.no_grad():
            finite = reward.mean().isfinite()  # of a step that is left out nothing is to remain
            self.steps += finite
            rate = torch.clamp(1 / self.steps, min=1 - self.memory)
            self.baseline.copy_(torch.where(finite, torch.lerp(self.baseline, reward.mean(), rate), self.baseline))
        return price + credit.detach() - credit
