"""One rung of a ladder: what it reads from above and below, and what it passes on."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from flowvae import registry
from flowvae.distributions import Family
from flowvae.latents.base import Draw, Latent
from flowvae.nn.normed import NormedConv
from flowvae.nn.residual import OverMaps, checkpointed
from flowvae.posteriors import Amortised, Flowed, Fused, Posterior
from flowvae.registry import Spec

Inference = Literal["additive", "weighted"]

STEP = 0.1
"""How much of what a rung computes enters the stream at the start, as in the published model."""


class Rung(nn.Module):
    """Latent maps z (dim, H, W), and the stream (width, H, W) that passes them on.

    A convolution reads prior, top-down features and a deterministic part d from the stream s,

        p(z | s) = N(mu_p, sigma_p^2),    q(z | x, s) from the bottom-up features, and s,
        s' = s + 0.1 conv(elu([z, d])).

    ``additive`` inference adds top-down to bottom-up features before the linear map to mu and sigma, so that the two
    add up in every parameter of q; ``weighted`` makes a normal of the bottom-up features alone and multiplies it with
    p. A flow acts on z behind either, its context from the same features.
    """

    def __init__(
        self,
        features: tuple[int, ...],
        width: int,
        dim: int,
        inference: Inference,
        flow: Spec | None,
        context: int,
        checkpoint: bool,
    ):
        super().__init__()
        channels, *size = features
        self.event = (dim, *size)
        self.additive, self.checkpoint = inference == "additive", checkpoint
        self.sizes = [2 * dim, channels * self.additive, width]
        self.down = OverMaps(NormedConv(width, sum(self.sizes), spread=STEP))
        self.merge = OverMaps(NormedConv(dim + width, width))
        self.family: Family = registry.build("family", "diagonal", (dim * size[0] * size[1],))
        self.posterior = _posterior(channels, self.event, self.family, inference, flow, context)

    def forward(self, draw: Draw, n: int, stream: Tensor, below: Tensor | None) -> tuple[Tensor, Latent]:
        """The stream ``(*batch, width, H, W)`` behind the rung, and its latents; ``below`` has no draws."""
        batch = stream.shape[:-3]
        phi, above, kept = checkpointed(self.down, elu(stream), self.checkpoint).split(self.sizes, -3)
        p = self.family(phi.flatten(-3))

        def q() -> torch.distributions.Distribution:
            assert below is not None
            return self.posterior(below + above if self.additive else below, p).expand(batch)

        latent = draw(n, p, q)
        z = latent.z.unflatten(-1, self.event)
        change = checkpointed(self.merge, elu(torch.cat([z, kept], -3)), self.checkpoint)
        return stream + STEP * change, latent


class _Flat(OverMaps):
    """Layers over maps whose output is written as a vector, channel by channel."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten(-3)


def _posterior(
    channels: int, event: tuple[int, ...], family: Family, inference: Inference, flow: Spec | None, context: int
) -> Posterior:
    dim, height, width = event
    posterior: Posterior = Amortised(_Flat(NormedConv(channels, 2 * dim, spread=STEP)), family)
    if inference == "weighted":
        posterior = Fused(posterior)
    if flow is None:
        return posterior
    name = flow if isinstance(flow, str) else flow["name"]
    over_maps = getattr(registry.component("flow", name), "maps", False)
    shape = event if over_maps else (dim * height * width,)
    bijections = registry.build("flow", flow, shape, context * height * width)
    summary = _Flat(NormedConv(channels, context, spread=STEP)) if bijections.context else None
    return Flowed(posterior, bijections, summary)
