"""Bijections without parameters of their own: noise to latent, torch's direction."""

from flowvae.transforms.autoregressive import Affine, Autoregressive, ConstantSigma, Gated, Inversion, Update
from flowvae.transforms.base import Composed, Inverse, Transform
from flowvae.transforms.coupling import Coupling
from flowvae.transforms.linear import LU, Permuted, Reflected
from flowvae.transforms.ode import ODETransform
from flowvae.transforms.planar import PlanarTransform
from flowvae.transforms.radial import RadialTransform
from flowvae.transforms.solvers import dormand_prince, runge_kutta
from flowvae.transforms.spline import Spline
from flowvae.transforms.sylvester import SylvesterTransform

__all__ = [
    "LU",
    "Affine",
    "Autoregressive",
    "Composed",
    "ConstantSigma",
    "Coupling",
    "Gated",
    "Inverse",
    "Inversion",
    "ODETransform",
    "Permuted",
    "PlanarTransform",
    "RadialTransform",
    "Reflected",
    "Spline",
    "SylvesterTransform",
    "Transform",
    "Update",
    "dormand_prince",
    "runge_kutta",
]
