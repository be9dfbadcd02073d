"""Data from a known graph of Gaussian nodes, seen through noise, and models that learn the graph.

z_n = f_n(z_parents) + s_n e_n and x = z + s e, one coordinate a node. Where every f_n is linear, z = (I - A)^-1 S e and
p(x) = N(0, (I - A)^-1 S^2 (I - A)^-T + s^2 I): the evidence of any graph's best fit is exact.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from flowvae import VAE, registry
from flowvae.conditional import Conditional
from flowvae.distributions import DiagonalNormal
from flowvae.engine.step import Step
from flowvae.latents import Given
from flowvae.objectives import ELBO

NOISE = 0.3
Edge = tuple[int, int]


class Seen(Conditional):
    """x = z + s e: a likelihood without parameters, so that the structure of z shows in x."""

    def forward(self, c: Tensor) -> DiagonalNormal:
        return DiagonalNormal(c, torch.full_like(c, math.log(NOISE)))


class Regression(nn.Module):
    """N(a c + b, s^2), s the same for all c."""

    def __init__(self, parents: int):
        super().__init__()
        self.mean, self.log_scale = nn.Linear(parents, 1), nn.Parameter(torch.zeros(1))

    def forward(self, c: Tensor) -> DiagonalNormal:
        return DiagonalNormal(self.mean(c), self.log_scale.clamp(min=-5))


def linear_data(count: int, weights: Tensor, scales: Tensor) -> Tensor:
    """Data of the graph whose edge m -> n has the weight ``weights[n, m]``."""
    z = torch.linalg.solve(torch.eye(len(scales)) - weights, (torch.randn(count, len(scales)) * scales).T).T
    return z + NOISE * torch.randn_like(z)


def nonlinear_data(count: int) -> Tensor:
    """z_2 = 3/2 sin(2 z_1) + e / 3 and z_3 = e / 2 apart: one edge, 0 -> 1, that no correlation would show as it is."""
    e = torch.randn(count, 3)
    z = torch.stack([e[:, 0], 1.5 * torch.sin(2 * e[:, 0]) + e[:, 1] / 3, e[:, 2] / 2], -1)
    return z + NOISE * torch.randn_like(z)


def evidence(x: Tensor, edges: Sequence[Edge]) -> float:
    """The greatest mean log p(x), in nats, over all linear-Gaussian models of the graph: by the exact likelihood."""
    x = x.double()
    count = x.shape[1]
    mask = torch.zeros(count, count, dtype=torch.float64)
    for m, n in edges:
        mask[n, m] = 1
    a, log_s, b = (torch.zeros(shape, dtype=torch.float64).requires_grad_() for shape in ((count, count), count, count))
    eye = torch.eye(count, dtype=torch.float64)
    optimiser = torch.optim.LBFGS([a, log_s, b], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        root = torch.linalg.solve(eye - a * mask, torch.diag(log_s.exp()))
        value = -MultivariateNormal(b, root @ root.T + NOISE**2 * eye).log_prob(x).mean()
        value.backward()
        return value

    optimiser.step(loss)
    return -float(loss().detach())


def trained(x: Tensor, seed: int, steps: int, *, linear: bool, edges: Any = "all", **gates: Any) -> VAE:
    """A graph over as many nodes as x has coordinates, trained on x; its gates are open unless they are named."""
    torch.manual_seed(seed)
    count = x.shape[1]
    encoder = registry.build("encoder", {"name": "mlp", "depth": 0}, (count,))
    prior = {"name": "gaussian", "width": 16, "activation": "tanh"}
    posterior = {"name": "fused", "width": 24, "depth": 1, "activation": "tanh"}
    spec = {"name": "graph", "nodes": count, "dim": 1, "prior": prior, "root": "gaussian", "posterior": posterior}
    latents = registry.build("latents", spec | {"edges": edges, "gates": {"name": "open"} | gates}, encoder.features)
    if linear:
        for n, parents in enumerate(latents.parents):
            latents.priors[n] = Regression(len(parents)) if parents else latents.priors[n]
    step = Step(VAE(encoder, latents, Seen()).train(), ELBO())
    slow = [p for name, p in step.named_parameters() if "gates" not in name]
    optimiser = torch.optim.Adam([{"params": slow}, {"params": latents.gates.parameters(), "lr": 0.03}], lr=0.01)
    for t in range(steps):
        latents.anneal(100 * t / steps)
        loss, _ = step(x[torch.randint(len(x), (256,))], torch.tensor(1.0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return step.model.eval()


def standing(model: VAE) -> list[Edge]:
    """The edges that stand in the model's graph."""
    found = model.latents.structure()
    return [edge for edge, stands in zip(found["edges"], found["stands"], strict=True) if stands]


@torch.no_grad()
def evidence_on_a_grid(model: VAE, x: Tensor, reach: float = 4.5, points: int = 37) -> float:
    """The model's mean log p(x), in nats, its latents integrated out on a grid."""
    axes = [torch.linspace(-reach, reach, points)] * x.shape[1]
    z = torch.cartesian_prod(*axes)[:, None]
    h = model.encoder(torch.zeros(1, x.shape[1]))
    c, groups = model.latents.walk(Given(list(z.split(1, -1))), h, z.shape[:-1])
    log_p = sum((latent.log_p for latent in groups), torch.zeros(()))
    cell = x.shape[1] * math.log(2 * reach / (points - 1))
    return float(
        torch.stack([torch.logsumexp(model.likelihood(c).log_prob(one) + log_p, 0) for one in x]).mean() + cell
    )
