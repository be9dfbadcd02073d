"""The arithmetic of one training step, in one module: what is compiled, wrapped and replayed."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from flowvae.latents import FromPosterior
from flowvae.model import VAE, Trace

Noise = Callable[[int, tuple[int, ...]], Tensor]

MEASURES = ("loss", "elbo", "distortion", "rate")


class Loss(Protocol):
    """An objective, as the step needs it."""

    samples: int
    terms: bool

    def __call__(self, trace: Trace, beta: Tensor) -> Tensor: ...


class Step(nn.Module):
    """x (B, *event) and beta -> the loss, and (loss, elbo, distortion, rate) as one tensor outside the graph.

    All are means over the batch in nats per datum; elbo = -(distortion + rate) whatever the objective, so that
    training and validation are on one scale.
    """

    def __init__(self, model: VAE, objective: Loss, noise: Noise | None = None) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.noise = noise

    def trace(self, x: Tensor) -> Trace:
        """The model's terms at ``x``, with the objective's number of samples."""
        return self.model(x, samples=self.objective.samples, draw=FromPosterior(self.noise, self.objective.terms))

    def loss(self, trace: Trace, beta: Tensor) -> Tensor:
        """The objective, and what the structure adds to it."""
        return self.objective(trace, beta) + self.model.latents.surcharge(trace.log_w, trace.latents)

    def forward(self, x: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        trace = self.trace(x)
        loss = self.loss(trace, beta)
        return loss, torch.stack([loss.detach(), *measures(trace)])


def measures(trace: Trace) -> tuple[Tensor, Tensor, Tensor]:
    """(elbo, distortion, rate): means over samples and data, detached."""
    distortion = -trace.log_px.detach().mean()
    rate = sum((latent.kl.detach().mean() for latent in trace.latents), torch.zeros_like(distortion))
    return -(distortion + rate), distortion, rate


def sliced_noise(rank: int, world: int, device: torch.device) -> Noise:
    """Standard normal noise of the whole batch, and this process' slice of it: (S, B, *) of (S, world B, *).

    Every process draws the same numbers, so that the split of a batch over processes does not change the result.
    """

    def noise(group: int, shape: tuple[int, ...]) -> Tensor:
        samples, batch, *rest = shape
        return torch.randn(samples, batch * world, *rest, device=device)[:, rank * batch : (rank + 1) * batch]

    return noise
