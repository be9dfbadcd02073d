"""The structure without latents: the likelihood alone is the model."""

from typing import ClassVar

import torch
from torch import Tensor

from flowvae.latents.base import Draw, Latent, Latents
from flowvae.registry import register


@register("latents", "none")
class NoLatents(Latents):
    """No group at all: log w = log p(x), and the bound is the log-likelihood itself.

    The decoder's input has width 0, so p(x) is what the likelihood is without a condition: a density model of the data
    with the likelihood ``flow``. There is nothing to infer, and so no encoder.
    """

    infers: ClassVar = False

    def __init__(self, features: int):
        super().__init__()
        self.out_shape = (0,)

    def walk(self, draw: Draw, h: Tensor | None, batch: torch.Size) -> tuple[Tensor, tuple[Latent, ...]]:
        return self.no_parents(batch), ()
