"""Objectives: functions of the terms of the bound, to be minimised, in nats per datum."""

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import kl_divergence
from torch.distributions.kl import _dispatch_kl

from flowvae.distributions import DiagonalNormal
from flowvae.distributions.diagonal import kl_per_dimension
from flowvae.errors import InputError
from flowvae.latents import Latent
from flowvae.model import Trace
from flowvae.registry import Count, Fraction, NonNegativeFloat, register

KL = Literal["auto", "analytic", "monte-carlo"]


class Objective(nn.Module, ABC):
    """A loss of a `Trace`; ``samples`` is how many posterior draws a datum it is made for.

    The weight of the KL is computed outside the loss, in plain Python, and given to it as ``beta``: a warm-up then
    never recompiles a compiled step.
    """

    samples: int = 1
    terms: bool = False
    """Whether it wants log q coordinate by coordinate, `Latent.terms`."""

    def weight(self, step: int, steps_per_epoch: int) -> float:
        """beta at a step of training, counted from 0."""
        return 1.0

    @abstractmethod
    def forward(self, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
        """The loss, a scalar."""


class _Annealed(Objective):
    """An objective whose beta warms up, once or in cycles."""

    def __init__(self, samples: int, beta: float, warmup: float, period: float, unit: str):
        super().__init__()
        if period and not warmup:
            raise InputError(f"expected objective.warmup with objective.period = {period}; got none: set it")
        if period and period < warmup:
            raise InputError(
                f"expected objective.period of at least objective.warmup = {warmup}; got {period}: raise it"
            )
        self.samples = samples
        self.beta, self.warmup, self.period, self.unit = beta, warmup, period, unit

    def weight(self, step: int, steps_per_epoch: int) -> float:
        time = step / steps_per_epoch if self.unit == "epoch" else float(step)
        if self.period:
            time = math.fmod(time, self.period)
        return self.beta * min(1.0, time / self.warmup) if self.warmup else self.beta


@register("objective", "elbo")
class ELBO(_Annealed):
    """-E_q[ log p(x | z) ] + beta sum_n KL_n: the negative evidence lower bound at beta = 1.

    ``kl`` is ``analytic`` (an error where no closed form is known, as under a flow), ``monte-carlo`` (log q - log p at
    the draw), or ``auto``: analytic where a closed form is known. beta rises linearly over ``warmup`` epochs or steps
    (``unit``), and again at the start of every ``period`` if one is given. Raises `InputError` for a period that is
    shorter than the warm-up, or has none.

    Reference: Kingma and Welling (2014), arXiv:1312.6114; warm-up: Sonderby et al. (2016), arXiv:1602.02282; cycles:
    Fu et al. (2019), arXiv:1903.10145.
    """

    def __init__(
        self,
        *,
        kl: KL = "auto",
        beta: NonNegativeFloat = 1.0,
        warmup: NonNegativeFloat = 0.0,
        period: NonNegativeFloat = 0.0,
        unit: Literal["epoch", "step"] = "epoch",
        samples: Count = 1,
    ):
        super().__init__(samples, beta, warmup, period, unit)
        self.kl = kl

    def forward(self, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
        loss = -trace.log_px.mean()
        for latent in trace.latents:
            loss = loss + beta * group_kl(latent, self.kl).mean()
        return loss


@register("objective", "free_bits")
class FreeBits(_Annealed):
    """-E_q[ log p(x | z) ] + beta sum_g max(free, KL_g), KL_g averaged over the batch: the first nats are free.

    A group g is a latent group or, with ``per = "dimension"``, one coordinate, or with "channel" one channel of latent
    maps, as in a ladder. These two want a diagonal prior, and a posterior whose log q is a sum over coordinates:
    diagonal, or so behind autoregressive flows and couplings, where the KL of a coordinate is the difference of its
    terms of log q and log p at the draw. ``kl`` is as in `ELBO`; reports use the plain KL. ``free`` is in nats.

    Reference: Kingma et al. (2016), arXiv:1606.04934.
    """

    def __init__(
        self,
        *,
        free: NonNegativeFloat = 0.25,
        per: Literal["group", "channel", "dimension"] = "group",
        kl: KL = "auto",
        beta: NonNegativeFloat = 1.0,
        warmup: NonNegativeFloat = 0.0,
        period: NonNegativeFloat = 0.0,
        unit: Literal["epoch", "step"] = "epoch",
        samples: Count = 1,
    ):
        super().__init__(samples, beta, warmup, period, unit)
        self.free, self.per, self.kl = free, per, kl
        self.terms = per != "group"

    def forward(self, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
        loss = -trace.log_px.mean()
        for latent in trace.latents:
            kl = self._kl(latent)
            loss = loss + beta * kl.clamp(min=self.free).sum()
        return loss

    def _kl(self, latent: Latent) -> Tensor:
        if self.per == "group":
            return group_kl(latent, self.kl).mean()
        kl = self._kl_of_coordinates(latent).flatten(0, -2).mean(0)
        if self.per == "dimension":
            return kl
        if latent.event is None:
            raise InputError(
                "expected latent maps for free bits per channel; got latents without channels: "
                "use objective.per = 'dimension'"
            )
        return kl.unflatten(0, latent.event).sum((1, 2))

    def _kl_of_coordinates(self, latent: Latent) -> Tensor:
        q, p = latent.q, latent.p
        if isinstance(p, DiagonalNormal):
            if isinstance(q, DiagonalNormal) and self.kl != "monte-carlo":
                return kl_per_dimension(q, p)
            if latent.terms is not None and self.kl != "analytic":
                return latent.terms - p.log_terms(latent.z)
        raise InputError(
            f"expected a diagonal Gaussian prior and a posterior that is one, or is so behind autoregressive flows or "
            f"couplings (unless objective.kl = 'analytic'), for free bits per {self.per}; got "
            f"{type(q).__name__} and {type(p).__name__}: use objective.per = 'group'"
        )


@register("objective", "tempered")
class Tempered(_Annealed):
    """E_q[ log q(z | x) - beta (log p(x | z) + log p(z)) ]: the free energy of a joint density raised to beta.

    beta rises linearly from ``start`` to 1 over ``warmup`` epochs or steps (``unit``): a hot target is flat, and a flow
    finds all of its modes before they part.

    Reference: Rezende and Mohamed (2015), arXiv:1505.05770.
    """

    def __init__(
        self,
        *,
        start: Fraction = 0.01,
        warmup: NonNegativeFloat = 0.0,
        unit: Literal["epoch", "step"] = "epoch",
        samples: Count = 1,
    ):
        super().__init__(samples, 1.0, warmup, 0.0, unit)
        self.start = start

    def weight(self, step: int, steps_per_epoch: int) -> float:
        return self.start + (1 - self.start) * super().weight(step, steps_per_epoch)

    def forward(self, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
        joint = sum((latent.log_p for latent in trace.latents), trace.log_px)
        log_q = sum((latent.log_q for latent in trace.latents), torch.zeros_like(joint))
        return (log_q - beta * joint).mean()


@register("objective", "iwae")
class IWAE(Objective):
    """-log mean_k w_k: the negative importance-weighted bound with ``samples`` draws a datum.

    Reference: Burda, Grosse, Salakhutdinov (2016), arXiv:1509.00519.
    """

    def __init__(self, *, samples: Count = 50):
        super().__init__()
        self.samples = samples

    def forward(self, trace: Trace, beta: Tensor | float = 1.0) -> Tensor:
        return -log_mean_exp(trace.log_w).mean()


def log_mean_exp(log_w: Tensor) -> Tensor:
    """log(1/S sum_s w_s) over the first dimension: ``(S, *)`` to ``(*)``."""
    return torch.logsumexp(log_w, 0) - math.log(log_w.shape[0])


def group_kl(latent: Latent, kl: KL) -> Tensor:
    """KL(q || p) of one group, ``(S, B)``, in closed form or by its draw."""
    if kl == "monte-carlo":
        return latent.kl
    if kl == "auto" and not has_closed_kl(latent):
        return latent.kl
    try:
        return kl_divergence(latent.q, latent.p)
    except NotImplementedError:
        raise InputError(
            f"expected a closed form of KL({type(latent.q).__name__} || {type(latent.p).__name__}); got none: "
            "use objective.kl = 'monte-carlo' or 'auto'"
        ) from None


def has_closed_kl(latent: Latent) -> bool:
    """Whether torch knows a rule for KL(q || p)."""
    return _dispatch_kl(type(latent.q), type(latent.p)) is not NotImplemented
