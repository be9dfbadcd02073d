"""The bound on the validation split: the same noise at every call, and none taken from the training's generators."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowvae.data import Split
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
    total: Tensor | None = None
    devices = [fabric.device] if fabric.device.type == "cuda" else []
    with torch.random.fork_rng(devices), fabric.autocast():
        for number, indices in enumerate(torch.arange(len(split), device=fabric.device).split(CHUNK)):
            if number % fabric.world_size != fabric.global_rank:
                continue
            torch.manual_seed(seed + number)
            trace = model(split.batch(indices))
            terms = [*measures(trace), *(latent.kl.mean() for latent in trace.latents)]
            sums = torch.stack([term.double() for term in terms]) * len(indices)
            total = sums if total is None else total + sums
    model.train()
    total = fabric.all_reduce(total, reduce_op="sum")
    elbo, distortion, rate, *kl = (total / len(split)).tolist()
    return Validation(elbo, distortion, rate, kl)
