"""The densities of the toys: they integrate to one, and are those that the points are drawn from."""

import numpy as np
import pytest

from flowvae import InputError, build_model, load_data, registry
from flowvae.measures.true_density import DENSITIES

STEP = 0.05


@pytest.mark.parametrize("name", DENSITIES)
def test_a_density_is_that_of_its_points(name: str) -> None:
    """One by quadrature, and E log p over the points is the integral of p log p, within 4 standard errors."""
    axis = np.arange(-5.0, 5.0, STEP)
    log_p = DENSITIES[name](np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))
    mass = np.exp(log_p) * STEP**2
    assert mass.sum() == pytest.approx(1, abs=2e-4)
    drawn = DENSITIES[name](load_data(name, count=25_000).train.values.double().numpy())
    assert drawn.mean() == pytest.approx((mass * log_p).sum(), abs=4 * drawn.std() / len(drawn) ** 0.5)


def test_it_is_a_figure_of_every_run_on_known_data_only() -> None:
    toys, digits = load_data("rings", count=500), load_data("digits")
    model = build_model({"latents": "none", "likelihood": {"name": "flow", "flow": "planar"}}, toys)
    found = registry.build("measure", "true_density", model, toys, toys.test).figures
    assert found["true_log_likelihood"] == pytest.approx(-2.6, abs=0.3)
    with pytest.raises(InputError, match="expected data of a known density: moons, rings, pinwheel; got 'digits'"):
        registry.build("measure", "true_density", model, digits, digits.test)
