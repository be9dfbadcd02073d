"""A target density in the plane as the prior: what a posterior that sees no data is fitted to."""

from typing import Literal

import torch
from torch import Tensor

from flowvae import distributions
from flowvae.conditional import Conditional
from flowvae.distributions.energy import log_normaliser
from flowvae.errors import InputError
from flowvae.registry import register


@register("prior", "energy")
class EnergyPrior(Conditional):
    """p(z) = exp(-U(z)) / Z on the box |z_i| < 4 of the plane, for one of four energies; the condition is ignored.

    Without an observation (likelihood ``none`` on the data ``nothing``) the bound is -KL(q || p): variational inference
    of a known density. Raises `InputError` for latents that are not two.

    Reference: Rezende and Mohamed (2015), arXiv:1505.05770.
    """

    origin: Tensor

    def __init__(
        self, event_shape: tuple[int, ...], context: int = 0, *, energy: Literal["u1", "u2", "u3", "u4"] = "u1"
    ):
        super().__init__()
        if event_shape != (2,):
            raise InputError(f"expected two latents under an energy; got the event {event_shape}: set latents.dim to 2")
        self.energy, self.log_z = energy, log_normaliser(energy)
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    def forward(self, c: Tensor) -> distributions.Energy:
        return distributions.Energy(self.energy, self.log_z, self.origin, c.shape[:-1])
