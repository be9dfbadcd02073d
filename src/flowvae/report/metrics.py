"""The metrics of results: their titles, signs and decimals, and which of them a study shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Metric:
    """How a metric of the results is shown: ``sign`` -1 turns a bound, higher is better, into a cost."""

    title: str
    sign: int = 1
    decimals: int = 2
    nats: bool = True


METRICS = {
    "elbo": Metric("−ELBO", sign=-1),
    "log_likelihood": Metric("−log p(x)", sign=-1),
    "true_log_likelihood": Metric("−log p(x), true density", sign=-1),
    "log_likelihood_100": Metric("−log p(x), K = 100", sign=-1),
    "gap": Metric("gap"),
    "posterior_kl": Metric("KL(q ‖ p(z | x))", decimals=3),
    "rate": Metric("rate"),
    "distortion": Metric("distortion"),
    "bits_per_dim": Metric("bits/dim", decimals=3, nats=False),
    "gaussian_bits_per_dim": Metric("bits/dim of a Gaussian", decimals=3, nats=False),
    "linear_bits_per_dim": Metric("bits/dim of a linear model", decimals=3, nats=False),
    "ess": Metric("ESS", decimals=1, nats=False),
    "active_units": Metric("active units", decimals=1, nats=False),
    "edges": Metric("edges", decimals=1, nats=False),
    "match_taught": Metric("exact match, taught (%)", decimals=1, nats=False),
    "match": Metric("exact match, free-running (%)", decimals=1, nats=False),
    "feature_error": Metric("error of features", decimals=3, nats=False),
    "validity": Metric("valid (%)", decimals=1, nats=False),
    "uniqueness": Metric("unique (%)", decimals=1, nats=False),
    "novelty": Metric("novel (%)", decimals=1, nats=False),
    "rmse": Metric("RMSE", decimals=4, nats=False),
    "pearson": Metric("Pearson r", decimals=3, nats=False),
    "epochs": Metric("epochs", decimals=0, nats=False),
    "seconds": Metric("seconds", decimals=0, nats=False),
    "parameters": Metric("parameters", decimals=0, nats=False),
}


def metric(name: str) -> Metric:
    """How the metric ``name`` is shown; one that is not known is shown as it stands."""
    return METRICS.get(name, Metric(name.replace("_", " "), nats=False))


def as_shown(record: Mapping[str, Any], name: str) -> float | None:
    """The metric ``name`` of a record with its sign as shown; None where the record has none."""
    value = record.get(name)
    return None if value is None else metric(name).sign * float(value)


def in_nats(names: Sequence[str]) -> str:
    """A sentence on the unit of the metrics: where some are counts or shares, it lists those in nats.

    >>> in_nats(["gap", "rate"]), in_nats(["gap", "rate", "edges"])
    ('Nats per held-out datum, lower is better.', 'In nats per held-out datum, lower is better: gap, rate.')
    """
    nats = [metric(name).title for name in names if metric(name).nats]
    if not nats:
        return "Means on held-out data."
    if len(nats) == len(names):
        return "Nats per held-out datum, lower is better."
    return f"In nats per held-out datum, lower is better: {', '.join(nats)}."


def metrics_of(results: Mapping[str, Any]) -> list[str]:
    """The metrics that a study's tables and charts show."""
    return list(results.get("metrics") or ["elbo", "log_likelihood"])


def charted(results: Mapping[str, Any]) -> list[str]:
    """The metrics that share a study's chart: the bound and log p(x), else the first of its metrics."""
    names = metrics_of(results)
    return [name for name in ("elbo", "log_likelihood") if name in names] or names[:1]
