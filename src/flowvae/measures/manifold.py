"""What the decoder makes of the latent plane."""

import torch

from flowvae.data import Data, Split
from flowvae.distributions.base import typical
from flowvae.errors import InputError
from flowvae.measures.base import Measured, finds
from flowvae.model import VAE
from flowvae.registry import Count, register


@register("measure", "manifold")
@finds()
def manifold(model: VAE, data: Data, held_out: Split, *, side: Count = 20) -> Measured:
    """Means of p(x | z) over the latent plane, z at the quantiles (i + 1/2) / side of a standard normal a coordinate.

    Array ``means``: ``(side^2, *event)``, row by row from above, z_1 rising to the right and z_2 upwards. Where no
    mean is known, it is the mode, or else a draw. Raises `InputError` for a model whose latents are not two.

    Reference: Kingma and Welling (2014), arXiv:1312.6114.
    """
    if model.latents.out_shape != (2,):
        raise InputError(f"expected latents in the plane; got {model.latents.out_shape}: set latents.dim to 2")
    weight = next(model.parameters())
    quantiles = torch.special.ndtri((torch.arange(side, dtype=torch.float64) + 0.5) / side).to(weight)
    up, across = torch.meshgrid(quantiles.flip(0), quantiles, indexing="ij")
    means = typical(model.likelihood(torch.stack([across, up], -1).flatten(0, 1)))
    return Measured(arrays={"means": means.float().numpy(force=True)})
