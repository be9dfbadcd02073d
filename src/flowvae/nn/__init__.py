"""Networks, usable alone."""

from flowvae.nn.activation import ACTIVATIONS, Activation
from flowvae.nn.conditioned import Conditioned
from flowvae.nn.embedding import SequenceEmbedding, lengths, within
from flowvae.nn.incremental import Autoregression
from flowvae.nn.made import MADE
from flowvae.nn.masked_conv import ConvMADE
from flowvae.nn.mlp import MLP, BatchNorm, Norm, Widths
from flowvae.nn.starting import FromData, starting, unstarted

__all__ = [
    "ACTIVATIONS",
    "MADE",
    "MLP",
    "Activation",
    "Autoregression",
    "BatchNorm",
    "Conditioned",
    "ConvMADE",
    "FromData",
    "Norm",
    "SequenceEmbedding",
    "Widths",
    "lengths",
    "starting",
    "unstarted",
    "within",
]
