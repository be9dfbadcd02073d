"""Distributions with the noise in the open, and the families that make them from parameters."""

from flowvae.distributions.ancestral import Ancestral
from flowvae.distributions.base import (
    Family,
    Noise,
    Reparameterised,
    Sampled,
    rsample_and_log_prob,
    sample_and_log_prob,
)
from flowvae.distributions.bernoulli import Bernoulli
from flowvae.distributions.checks import unchecked
from flowvae.distributions.continuous_bernoulli import ContinuousBernoulli
from flowvae.distributions.diagonal import DiagonalNormal, standard_normal
from flowvae.distributions.energy import Energy
from flowvae.distributions.flow import FlowDistribution
from flowvae.distributions.full import FullNormal
from flowvae.distributions.logistic import DiscretisedLogistic, MixtureOfLogistics
from flowvae.distributions.lowrank import LowRankNormal
from flowvae.distributions.mixture import Mixture
from flowvae.distributions.product import product
from flowvae.distributions.sequence import SequenceDistribution
from flowvae.distributions.step import StepDensity
from flowvae.precision import in_full_precision

__all__ = [
    "Ancestral",
    "Bernoulli",
    "ContinuousBernoulli",
    "DiagonalNormal",
    "DiscretisedLogistic",
    "Energy",
    "Family",
    "FlowDistribution",
    "FullNormal",
    "LowRankNormal",
    "Mixture",
    "MixtureOfLogistics",
    "Noise",
    "Reparameterised",
    "Sampled",
    "SequenceDistribution",
    "StepDensity",
    "in_full_precision",
    "product",
    "rsample_and_log_prob",
    "sample_and_log_prob",
    "standard_normal",
    "unchecked",
]
