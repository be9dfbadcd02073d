"""Networks, usable alone."""

from flowvae.nn.made import MADE
from flowvae.nn.mlp import ACTIVATIONS, MLP, Activation

__all__ = ["ACTIVATIONS", "MADE", "MLP", "Activation"]
