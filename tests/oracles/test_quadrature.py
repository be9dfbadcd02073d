"""Importance weights against numerical integration: log p(x) of models with one or two latent dimensions."""

from typing import Any

import pytest
import torch
from torch import Tensor

from flowvae import build_model
from flowvae.objectives import log_mean_exp
from tests.laws.catalogue import generic, models, part

FLOWS = (None, "iaf", "planar")
STRUCTURES = [
    tables
    for tables in models()
    if (part(tables), part(tables, "prior")) == ("flat", "standard") and part(tables, "posterior", "flow") in FLOWS
]


def evidence(model: Any, x: Tensor, dim: int) -> Tensor:
    """log of the integral of p(x | z) p(z) over z, by the trapezium rule."""
    step = 0.1
    axis = torch.arange(-8, 8 + step / 2, step, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * dim).reshape(-1, 1, dim)
    log_prior = model.latents.prior(z[..., :0]).log_prob(z)
    return torch.logsumexp(model.likelihood(z).log_prob(x) + log_prior, 0) + dim * torch.tensor(step).log()


def fit(model: Any, x: Tensor) -> None:
    """Bring the posterior so near that the weights have a variance; the model of x stays."""
    optimiser = torch.optim.Adam([*model.encoder.parameters(), *model.latents.parameters()], lr=0.02)
    for _ in range(100):
        optimiser.zero_grad()
        (-log_mean_exp(model(x, samples=16).log_w)).mean().backward()
        optimiser.step()
    model.requires_grad_(False)


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("tables", STRUCTURES, ids=lambda tables: part(tables, "posterior", "family"))
def test_importance_weights_find_the_integral(tables: dict[str, Any], dim: int) -> None:
    """Within 4 standard errors, under every family and two flows."""
    model = generic(build_model(tables | {"latents": tables["latents"] | {"dim": dim}}, (4,)))
    x = torch.tensor([[0, 0, 0, 0], [1, 0, 1, 1], [1, 1, 1, 1]]).double()
    fit(model, x)
    exact = evidence(model, x, dim)
    log_w = model(x, samples=20_000).log_w
    relative = (log_w - exact).exp()
    error = relative.std(0) / len(relative) ** 0.5
    assert (error < 0.05).all()
    assert ((relative.mean(0) - 1).abs() < 4 * error).all()
    assert (log_mean_exp(log_w) - exact).abs().max() < 0.1
    assert (log_w.mean(0) < exact).all()


def test_all_data_together_have_probability_one() -> None:
    """The evidence by quadrature, summed over all 2^4 data."""
    model = generic(build_model(STRUCTURES[0], (4,))).requires_grad_(False)
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4)
    total = evidence(model, x, 2).logsumexp(0)
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-5)
