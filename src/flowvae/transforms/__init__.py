"""Bijections without parameters of their own: noise to latent, torch's direction."""

from flowvae.transforms.autoregressive import Affine, Autoregressive, ConstantSigma, Gated, Inversion, Update
from flowvae.transforms.base import Composed, Inverse, Transform
from flowvae.transforms.coupling import Coupling
from flowvae.transforms.planar import PlanarTransform
from flowvae.transforms.spline import Spline

__all__ = [
    "Affine",
    "Autoregressive",
    "Composed",
    "ConstantSigma",
    "Coupling",
    "Gated",
    "Inverse",
    "Inversion",
    "PlanarTransform",
    "Spline",
    "Transform",
    "Update",
]
