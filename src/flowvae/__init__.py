"""flowvae: variational autoencoders whose posterior, latent structure, prior, likelihood and objective are chosen freely."""

from flowvae import registry
from flowvae.errors import InputError
from flowvae.model import VAE, Trace, build_model

__all__ = ["VAE", "InputError", "Trace", "build_model", "registry"]
