"""Measures of models of two latents: against closed forms, and against importance sampling."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from flowvae import Data, InputError, build_model, evaluate, load_data, registry
from flowvae.measures import Measured
from flowvae.measures.true_posterior import BINS, chosen
from flowvae.model import VAE

GAUSSIAN = {"name": "gaussian"}
IAF = {"name": "gaussian", "flow": {"name": "iaf", "steps": 2, "width": 16}}


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("digits")


def model(data: Data, posterior: dict, dim: int = 2) -> VAE:
    torch.manual_seed(1)
    made = build_model(
        {
            "encoder": {"width": 16, "depth": 1},
            "latents": {"dim": dim, "posterior": posterior},
            "likelihood": {"decoder": {"width": 16, "depth": 1}},
        },
        data,
    )
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def measured(name: str, model: VAE, data: Data, **options: float | str) -> Measured:
    with torch.no_grad():
        return registry.build("measure", {"name": name, **options}, model, data, data.test)


@pytest.mark.parametrize("posterior", [GAUSSIAN, IAF], ids=["gaussian", "iaf"])
def test_the_divergence_is_log_px_minus_the_bound(data: Data, posterior: dict) -> None:
    """E_q log q(z | x) / p(z | x) = log p(x) - ELBO, both by 20,000 draws."""
    net = model(data, posterior)
    found = measured("true_posterior", net, data, count=1, reach=7.0, points=201)
    result = evaluate(net, chosen(data.test, 1), samples=20_000)
    assert abs(found.figures["posterior_kl"] - (result.log_likelihood - result.elbo)) < 0.02
    assert found.figures["posterior_kl"] > 0.05


@pytest.mark.parametrize(("narrower", "window"), [(0.0, "plane"), (0.0, "posterior"), (5.0, "posterior")])
def test_where_the_likelihood_says_nothing_the_posterior_is_the_prior(data: Data, narrower: float, window: str) -> None:
    """A decoder that ignores z: KL(q || p(z | x)) is KL(q || N(0, I)), in closed form, also of a narrow q."""
    net = model(data, GAUSSIAN)
    with torch.no_grad():
        net.likelihood.decoder.net[0].weight.zero_()
        net.latents.posterior.net.bias[2:] -= narrower
    found = measured("true_posterior", net, data, reach=8.0, points=201, window=window)
    x = chosen(data.test, 4).batch(torch.arange(4))
    phi = net.latents.posterior.net(net.encoder(x))
    mu, sigma = phi[:, :2], torch.nn.functional.softplus(phi[:, 2:] + math.log(math.e - 1))
    expected = 0.5 * (sigma**2 + mu**2 - 1 - 2 * sigma.log()).sum(1)
    assert_close(
        torch.tensor([found.figures[f"posterior_kl_{i}"] for i in range(4)]), expected.detach(), rtol=1e-3, atol=1e-4
    )
    assert found.figures["posterior_kl"] == pytest.approx(float(expected.detach().mean()), rel=1e-3)


def test_pictures_lie_as_the_plane_does(data: Data) -> None:
    """The first row is above: a posterior moved up and right has its mass there."""
    net = model(data, GAUSSIAN)
    with torch.no_grad():
        net.latents.posterior.net.weight.zero_()
        net.latents.posterior.net.bias.copy_(torch.tensor([2.0, 3.0, -1.0, -1.0]))
    arrays = measured("true_posterior", net, data, count=1, reach=8.0, points=201).arrays
    total, middles = arrays["aggregate"].sum(), (np.arange(BINS) + 0.5) * 16 / BINS
    height = 8.0 - (arrays["aggregate"].sum(1) * middles).sum() / total
    right = (arrays["aggregate"].sum(0) * middles).sum() / total - 8.0
    assert (right, height) == (pytest.approx(2.0, abs=0.2), pytest.approx(3.0, abs=0.2))
    left, right_edge, bottom, top = arrays["window"][0]
    row, column = np.unravel_index(arrays["q"][0].argmax(), (121, 121))
    assert left + column / 120 * (right_edge - left) == pytest.approx(2.0, abs=0.1)
    assert top - row / 120 * (top - bottom) == pytest.approx(3.0, abs=0.1)


def test_the_data_are_the_first_of_their_labels(data: Data) -> None:
    found = chosen(data.test, 4)
    assert found.labels.tolist() == [0, 1, 2, 3]
    places = [int((data.test.labels == label).nonzero()[0]) for label in range(4)]
    assert torch.equal(found.values, data.test.frozen(0).values[places])


def test_a_grid_that_misses_q_grows_or_is_refused(data: Data) -> None:
    net = model(data, GAUSSIAN)
    wide = measured("true_posterior", net, data, reach=9.0, points=201).figures["posterior_kl"]
    narrow = measured("true_posterior", net, data, reach=3.0, points=67).figures["posterior_kl"]
    assert narrow == pytest.approx(wide, abs=2e-3)
    with pytest.raises(InputError, match=r"on a grid 1.5 times as wide; got .*: raise reach$"):
        measured("true_posterior", net, data, reach=0.4, points=41)
    with pytest.raises(InputError, match=r"nats with half the points; got .*: raise points$"):
        measured("true_posterior", net, data, points=9)


@pytest.mark.parametrize("name", ["true_posterior", "manifold"])
def test_other_latents_than_two_are_refused(data: Data, name: str) -> None:
    with pytest.raises(InputError, match=r"expected latents in the plane; got \(3,\): set latents.dim to 2"):
        measured(name, model(data, GAUSSIAN, dim=3), data)


@pytest.mark.parametrize(("changes", "refusal"), [
    ({"latents": {"name": "graph", "nodes": 2, "dim": 1}}, "latents of one group; got 2: use latents.name = 'flat'"),
    ({"latents": {"dim": 2}, "likelihood": "dequantised"}, r"log p\(x \| z\) itself; got a likelihood that bounds it"),
])  # fmt: skip
def test_what_has_no_posterior_in_the_plane_is_refused(data: Data, changes: dict, refusal: str) -> None:
    net = build_model({"encoder": {"width": 16}} | changes, (1, 8, 8)).eval()
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=f"expected {refusal}"):
        measured("true_posterior", net, data)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_manifold_runs_through_the_quantiles_of_the_prior(data: Data) -> None:
    net = model(data, GAUSSIAN)
    means = measured("manifold", net, data, side=5).arrays["means"]
    normal = torch.distributions.Normal(0.0, 1.0)
    z = torch.tensor([normal.icdf(torch.tensor(0.9)), normal.icdf(torch.tensor(0.7))])  # fifth column, second row
    assert_close(torch.from_numpy(means[1 * 5 + 4]), net.likelihood(z).mean.detach(), rtol=1e-4, atol=1e-5)


def test_where_there_are_fewer_labels_there_is_one_datum_of_each() -> None:
    moons = load_data("moons")
    net = build_model({"encoder": {"width": 8}, "latents": {"dim": 2}, "likelihood": "gaussian"}, moons).eval()
    arrays = measured("true_posterior", net, moons, count=4, points=101, aggregate=50).arrays
    assert len(arrays["x"]) == len(moons.test.labels.unique()) == 2
    with pytest.raises(InputError, match="expected at least 3 points along a side of a grid; got 2"):
        measured("true_posterior", net, moons, points=2)


def test_a_manifold_whose_means_are_not_known_is_of_draws(data: Data) -> None:
    spec = {"encoder": {"width": 8}, "latents": {"dim": 2}, "likelihood": {"name": "flow", "flow": "realnvp"}}
    net = build_model(spec, (6,)).eval()
    means = measured("manifold", net, data, side=3).arrays["means"]
    assert means.shape == (9, 6)
    assert np.isfinite(means).all()
