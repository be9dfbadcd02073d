"""Posteriors q(z | x, c), one a file."""

from flowvae.posteriors.base import Amortised, Flowed, Posterior

__all__ = ["Amortised", "Flowed", "Posterior"]
