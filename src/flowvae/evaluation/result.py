"""The record of an evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class PerDatum:
    """Each ``(N,)`` float64, in nats: the estimate of log p(x), the bound, the effective sample size."""

    log_px_hat: np.ndarray
    elbo: np.ndarray
    ess: np.ndarray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model on held-out data: means over the data, nats per datum, all from the same K = ``samples`` draws a datum.

    elbo = mean_k log w_k = -(``distortion`` + ``rate``), log_likelihood = log mean_k w_k.
    """

    elbo: float
    elbo_standard_error: float | None
    """Over the data, s / sqrt(N); None for one datum."""
    log_likelihood: float
    standard_error: float | None
    """Of ``log_likelihood`` over the data."""
    gap: float
    """log_likelihood - elbo: from below, the divergence to the true posterior."""
    ess: float
    """Effective sample size (sum w)^2 / sum w^2, between 1 and ``samples``."""
    distortion: float
    """-E_q log p(x | z)."""
    rate: float
    """KL(q(z | x) || p(z)), by the draws, summed over groups."""
    kl: list[float]
    """The rate of each latent group."""
    kl_per_dimension: list[list[float]]
    """Of each group, the KL of the marginal of each dimension: exact for a Gaussian posterior; else a lower bound,
    which takes the marginal for Gaussian. Empty where the prior is no Gaussian, and where one draw stands for a
    posterior that is none."""
    active_units: list[int | None]
    """Of each group, the dimensions whose posterior mean varies over the data by more than 0.01. Where that mean is
    estimated, behind a flow or below another group, few draws of few data cannot tell its noise from activity: None."""
    bits_per_dim: float | None
    """-log_likelihood / (D log 2), of a probability of bits, bytes or other levels, and log2 L more for a density of L
    levels spread by noise; None for densities of what is not spread, and for values between 0 and 1 scored as bits."""
    samples: int
    seed: int
    binarise: str
    count: int
    """Number of data."""
    graphs: int = 1
    """Structures, drawn from those that a model with open gates holds possible, that the figures are averages over."""
    per_datum: PerDatum | None = field(default=None, repr=False)
    """Figures of every datum, in the order of the split; not part of `to_dict`."""

    def to_dict(self) -> dict[str, Any]:
        """The record as plain numbers, strings and lists, ready for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "per_datum"}

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "Evaluation":
        """The evaluation that `to_dict` made ``record`` of; entries it does not know are left out."""
        known = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})

    def __str__(self) -> str:
        lines = {
            "ELBO": _with_error(self.elbo, self.elbo_standard_error),
            "log p(x)": _with_error(self.log_likelihood, self.standard_error),
            "gap": f"{self.gap:9.2f}",
            "distortion": f"{self.distortion:9.2f}",
            "rate": f"{self.rate:9.2f}",
        }
        if self.bits_per_dim is not None:
            lines["bits per dimension"] = f"{self.bits_per_dim:10.3f}"
        if self.active_units:
            lines["active units"] = f"{units(self.active_units):>9}"
        lines["effective samples"] = f"{self.ess:9.1f} of {self.samples}"
        graphs = f", mean over {self.graphs} graphs drawn by open gates" if self.graphs > 1 else ""
        head = f"nats per datum (standard error) over {self.count} data, binarise = {self.binarise}, seed = {self.seed}"
        return "\n".join([head + graphs, *(f"{name:<20}{value}" for name, value in lines.items())])


def units(active: Sequence[int | None]) -> str:
    """The active units of every group in words.

    >>> units([16, 3]), units([16, None])
    ('16 + 3', '16 + ?')
    """
    return " + ".join("?" if number is None else str(number) for number in active)


def _with_error(value: float, error: float | None) -> str:
    return f"{value:9.2f}" if error is None else f"{value:9.2f} ({error:.2f})"
