"""The four energies of Rezende and Mohamed: their formulas, their normalisers, and inference without an observation."""

import math

import pytest
import torch
from scipy.integrate import dblquad
from torch.testing import assert_close

from flowvae import InputError, build_model, evaluate, load_data, registry
from flowvae.distributions import Energy
from flowvae.distributions.energy import ENERGIES, log_normaliser

LIKE = torch.zeros((), dtype=torch.float64)


def table_1(energy: str, x: float, y: float) -> float:
    """exp(-U(z)), number by number."""
    w1 = math.sin(2 * math.pi * x / 4)
    w2, w3 = 3 * math.exp(-0.5 * ((x - 1) / 0.6) ** 2), 3 / (1 + math.exp(-(x - 1) / 0.3))

    def bell(t: float, width: float) -> float:
        return math.exp(-0.5 * (t / width) ** 2)

    if energy == "u1":
        return bell(math.hypot(x, y) - 2, 0.4) * (bell(x - 2, 0.6) + bell(x + 2, 0.6))
    if energy == "u2":
        return bell(y - w1, 0.4)
    if energy == "u3":
        return bell(y - w1, 0.35) + bell(y - w1 + w2, 0.35)
    return bell(y - w1, 0.4) + bell(y - w1 + w3, 0.35)


energies = pytest.mark.parametrize("energy", ENERGIES)


@energies
def test_energies_are_those_of_table_1(energy: str) -> None:
    for x, y in ((0.3, 0.4), (-1.7, 0.9), (1.1, -2.0), (2.5, -0.6)):
        z = torch.tensor([x, y], dtype=torch.float64)
        assert_close(torch.exp(-ENERGIES[energy](z)), torch.tensor(table_1(energy, x, y), dtype=torch.float64))


@energies
def test_the_normaliser_is_the_integral(energy: str) -> None:
    """Over the box by another rule, and the wall's little beyond it: a few per cent at most, and never less."""
    inside, _ = dblquad(lambda y, x: table_1(energy, x, y), -4, 4, -4, 4, epsabs=1e-6)
    assert inside < math.exp(log_normaliser(energy)) < 1.06 * inside


@energies
def test_draws_have_the_density(energy: str) -> None:
    """Means of z and of |z|^2 by draws and by the grid; at temperature 0 the mode; a point outside the box is rare."""
    p = Energy(energy, log_normaliser(energy), LIKE)
    z = p.sample((40_000,))
    axis = torch.arange(-4.8, 4.8, 0.02, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    weights = p.log_prob(grid).exp() * 0.02**2
    for f in (lambda t: t[:, 0], lambda t: t[:, 1], lambda t: t.square().sum(1)):
        error = f(z).std() / 200
        assert abs(f(z).mean() - (weights * f(grid)).sum()) < 4 * error
    assert (z.abs() > 4.3).float().mean() < 0.01
    coldest = p.draw(torch.Size((50,)), 0.0)
    assert (p.log_prob(coldest) > p.log_prob(grid).max() - 0.05).all()


def test_without_an_observation_the_bound_is_minus_the_divergence() -> None:
    """KL of a normal to the energy, by the measure's grid and by the bound; log p(x) = 0 is what remains."""
    data = load_data("nothing", count=50)
    model = build_model(
        {
            "encoder": {"depth": 0},
            "latents": {"dim": 2, "prior": "energy", "posterior": {"context": 0}},
            "likelihood": "none",
        },
        data,
    )
    with torch.no_grad():
        model.latents.posterior.net.bias.copy_(torch.tensor([0.0, 0.1, 0.3, 0.0]))
        grid = {"name": "true_posterior", "count": 1, "reach": 5.0, "points": 501}  # q reaches further, at great cost
        found = registry.build("measure", grid, model, data, data.test)
        wide = registry.build("measure", grid | {"reach": 9.0, "points": 901}, model, data, data.test)
    assert found.figures["posterior_kl"] == pytest.approx(wide.figures["posterior_kl"], abs=2e-3)
    result = evaluate(model, data.test, samples=200_000)
    assert result.elbo == pytest.approx(-found.figures["posterior_kl"], abs=0.02)
    assert abs(result.log_likelihood) < 0.1


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"latents": {"dim": 3, "prior": "energy"}, "likelihood": "none"}, "expected two latents under an energy"),
        ({"latents": {"dim": 2, "prior": {"name": "energy", "energy": "u5"}}}, "latents.prior.energy: expected 'u1'"),
    ],
)
def test_mistakes_are_named(tables: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build_model(tables, (1,))
