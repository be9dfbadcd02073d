"""The bound on the validation split: the same noise at every call, and none taken from the training's generators."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowvae.data import Split
from flowvae.engine.generators import aside
from flowvae.engine.launch import reduced
from flowvae.engine.step import measures
from flowvae.model import VAE

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHUNK = 500


@dataclass(frozen=True)
class Validation:
    """Means over the split, nats per datum; ``kl`` per latent group, sum = ``rate``; elbo = -(distortion + rate)."""

    elbo: float
    distortion: float
    rate: float
    kl: list[float]


@torch.no_grad()
def validate(model: VAE, split: Split, fabric: "Fabric", seed: int) -> Validation:
    """One posterior sample a datum, beta = 1, in chunks of a fixed size, each with its own seed.

    Every process takes its share of the chunks, so that the result does not depend on their number.
    """
    model.eval()
    chunks = torch.arange(len(split), device=fabric.device).split(CHUNK)
    own = range(fabric.global_rank, len(chunks), fabric.world_size)
    sums: Tensor | float = 0.0
    with aside(fabric.device), fabric.autocast():
        for number in own or [0]:  # without a chunk of its own a process adds zeros, of the right shape
            torch.manual_seed(seed + number)
            trace = model(split.batch(chunks[number]))
            terms = torch.stack([*measures(trace), *(latent.kl.mean() for latent in trace.latents)])
            sums = sums + terms.double() * len(chunks[number]) * (number in own)
    model.train()
    elbo, distortion, rate, *kl = (reduced(fabric, torch.as_tensor(sums), "sum") / len(split)).tolist()
    return Validation(elbo, distortion, rate, kl)
