"""The flat structure: one group of latents."""

from typing import Annotated

import torch
from torch import Tensor

from flowvae import registry
from flowvae.latents.base import Draw, Latent, Latents, bind
from flowvae.registry import Count, Kind, Spec, register


@register("latents", "flat")
class Flat(Latents):
    """One group z of ``dim`` coordinates: log w = log p(x | z) + log p(z) - log q(z | x).

    Reference: Kingma and Welling (2014), arXiv:1312.6114.
    """

    def __init__(
        self,
        features: int,
        *,
        dim: Count = 32,
        prior: Annotated[Spec, Kind("prior")] = "standard",
        posterior: Annotated[Spec, Kind("posterior")] = "gaussian",
    ):
        super().__init__()
        self.out_shape = (dim,)
        self.prior = registry.build("prior", prior, (dim,), 0)
        self.posterior = registry.build("posterior", posterior, features, (dim,))
        bind(self.prior, self.posterior, features)

    def walk(self, draw: Draw, h: Tensor | None, batch: torch.Size) -> tuple[Tensor, tuple[Latent, ...]]:
        p = self.prior(self.no_parents(batch))
        latent = draw(0, p, lambda: self.posterior(h, p).expand(batch))
        return latent.z, (latent,)
