"""Every objective is a scalar of a trace, and its weight a number of Python."""

import pytest
import torch

from flowvae import registry
from flowvae.latents import FromPosterior
from flowvae.objectives import Objective
from tests.laws.catalogue import model, models, specs

OF_VECTORS = [spec for spec in specs("objective") if spec.get("per") != "channel"]  # that wants latent maps
objectives = pytest.mark.parametrize("spec", OF_VECTORS, ids=lambda spec: "-".join(map(str, spec.values())))


def build(spec: dict) -> Objective:
    return registry.build("objective", spec)


@objectives
def test_the_weight_is_a_finite_number_of_python_at_every_step(spec: dict) -> None:
    for step in range(0, 1000, 37):
        weight = build(spec).weight(step, 50)
        assert type(weight) is float
        assert 0 <= weight <= 1


@objectives
def test_the_loss_knows_no_order_of_data_and_of_samples(spec: dict) -> None:
    """Shuffling the batch, or the draws of each datum, changes nothing."""
    vae, objective = model(models()[0]), build(spec)
    x = torch.randint(0, 2, (6, 4)).double()
    noise = torch.randn(objective.samples, 6, 2, dtype=torch.float64)
    losses = []
    for data, draws in ((range(6), range(objective.samples)), ([4, 2, 0, 5, 1, 3], range(objective.samples)[::-1])):
        chosen = noise[list(draws)][:, list(data)]
        trace = vae(x[list(data)], objective.samples, FromPosterior(lambda n, shape, chosen=chosen: chosen))
        losses.append(objective(trace, 0.7))
    assert losses[0].shape == ()
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-12, atol=1e-12)


@objectives
def test_the_weight_may_be_a_tensor(spec: dict) -> None:
    vae, objective = model(models()[0]), build(spec)
    trace = vae(torch.randint(0, 2, (6, 4)).double(), objective.samples)
    torch.testing.assert_close(objective(trace, torch.tensor(0.3)), objective(trace, 0.3), rtol=1e-6, atol=1e-6)
