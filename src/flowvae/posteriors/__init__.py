"""Posteriors q(z | x, c), one a file."""

from flowvae.posteriors.base import Amortised, Behind, Flowed, Fused, Posterior

__all__ = ["Amortised", "Behind", "Flowed", "Fused", "Posterior"]
