"""Latent structures, one a file, and the draws that walk them."""

from flowvae.latents.base import Draw, Latent, Latents
from flowvae.latents.draws import FromPosterior, FromPrior, Given, Held, Mixed
from flowvae.latents.gating import LearnedGates

__all__ = ["Draw", "FromPosterior", "FromPrior", "Given", "Held", "Latent", "Latents", "LearnedGates", "Mixed"]
