"""What is said about the latent code, against posteriors whose moments are known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from flowvae.data import Split
from flowvae.distributions import DiagonalNormal
from flowvae.evaluation import encode, evaluate
from flowvae.evaluation.latent import Code, Codes, Moments
from flowvae.model import VAE, build_model

COUNT = 40


def linear(posterior: dict, dim: int = 4, pixels: int = 6) -> VAE:
    """q(z | x) has parameters linear in x."""
    torch.manual_seed(3)
    spec = {
        "encoder": {"depth": 0},
        "latents": {"dim": dim, "posterior": posterior},
        "likelihood": {"decoder": {"depth": 0}},
    }
    model = build_model(spec, (pixels,)).double()
    for weight in model.parameters():
        nn.init.normal_(weight, std=0.3)
    return model


@pytest.fixture
def data() -> Split:
    return Split((torch.rand(COUNT, 6) < 0.5).float())


def posterior_of(model: VAE, data: Split):
    """q(z | x) of all data, in double precision."""
    with torch.no_grad():
        h = model.encoder(data.values.double())
        return model.latents.posterior(h, model.latents.prior(torch.zeros(COUNT, 0)))


def gaussian_kl(mean, variance) -> torch.Tensor:
    """KL(N(mean, variance) || N(0, 1))."""
    return 0.5 * (mean**2 + variance - 1 - variance.log())


@pytest.mark.parametrize("family", ["diagonal", "full", "lowrank"])
def test_kl_per_dimension_of_gaussians_is_that_of_the_marginals(data, family):
    model = linear({"family": family})
    q = posterior_of(model, data)
    expected = gaussian_kl(q.mean, q.variance).mean(0)
    for samples in (1, 3):
        (found,) = evaluate(model, data, samples=samples).kl_per_dimension
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_kl_per_dimension_of_the_diagonal_family_sums_to_the_kl(data):
    result = evaluate(linear({}), data, samples=2000)
    assert sum(result.kl_per_dimension[0]) == pytest.approx(result.kl[0], rel=0.01)


def test_marginals_of_the_full_family_cost_less_than_the_whole(data):
    result = evaluate(linear({"family": "full"}), data, samples=500)
    assert sum(result.kl_per_dimension[0]) < result.kl[0] - 0.01


def test_kl_per_dimension_under_a_flow_that_shifts(data):
    """A flow z = z0 + m leaves the posterior Gaussian: the bound by moments is the KL itself."""
    flow = {"name": "iaf", "steps": 1, "update": "constant-sigma", "width": 5}
    model, plain = linear({"flow": flow, "context": 2}), linear({})
    shift = torch.tensor([0.5, -1.0, 0.0, 2.0], dtype=torch.float64)
    with torch.no_grad():
        for weight in model.latents.posterior.flow.parameters():
            weight.zero_()
        model.latents.posterior.flow.nets[0].out.bias[:4] = shift
        for name, weight in plain.latents.posterior.named_parameters():
            model.latents.posterior.base.get_parameter(name).copy_(weight)
    q = posterior_of(plain, data)
    result = evaluate(model, data, samples=4000)
    # the variance of 4000 draws is off by 1/45 relative, and the data average over 40 of them
    expected = gaussian_kl(q.mean + shift, q.variance).mean(0)
    np.testing.assert_allclose(result.kl_per_dimension[0], expected, atol=0.03)
    assert evaluate(model, data, samples=1).kl_per_dimension == [[]]


def test_kl_per_dimension_under_a_flow_is_a_lower_bound(data):
    model = linear({"flow": {"name": "planar", "steps": 3}, "context": 4})
    result = evaluate(model, data, samples=4000)
    assert sum(result.kl_per_dimension[0]) < result.kl[0]


@pytest.mark.parametrize("posterior", [{}, {"family": "full"}])
def test_active_units_by_the_variance_of_the_posterior_mean(posterior):
    """Means 3 x_0, 0.3 x_1, 0.03 x_2 and 0 of fair bits: variances 2.25, 0.0225, 0.000225 and 0."""
    model = linear(posterior)
    bits = torch.tensor([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    with torch.no_grad():
        for weight in model.latents.posterior.parameters():
            weight.zero_()
        model.latents.posterior.net.weight[:3, :3] = torch.diag(torch.tensor([3.0, 0.3, 0.03]))
    data = Split(torch.cat([bits, torch.zeros(8, 3)], 1).float())
    for samples in (1, 2, 50):
        assert evaluate(model, data, samples=samples).active_units == [2]


def test_active_units_under_a_flow_are_told_from_the_noise_of_their_draws():
    """The prior itself, by draws: the mean of K of them varies by 1/K = 0.05 over the data, the posterior mean by 0."""
    model = linear({"flow": {"name": "iaf", "steps": 2}, "context": 2})
    with torch.no_grad():
        for weight in model.latents.parameters():
            weight.zero_()
        for net in model.latents.posterior.flow.nets:
            net.out.bias[4:] = 30.0  # the gates are open
    data = Split(torch.zeros(2000, 6))
    result = evaluate(model, data, samples=20)
    assert result.rate == pytest.approx(0, abs=1e-6)
    assert result.active_units == [0]
    assert "active units                0\n" in str(result)
    for few in (1, 2):
        result = evaluate(model, data, samples=few)
        assert result.active_units == [None], "noise of sqrt(2 / 2000) / K, twice, is above 0.01"
        assert "active units                ?\n" in str(result)


@pytest.mark.parametrize("samples", [2, 3, 10, 100])
def test_kl_per_dimension_by_few_draws_is_that_by_many(samples):
    """Draws of a known Gaussian: on average over data the KL is right, however few there are of each."""
    loc, scale, count = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([1.0, 0.3, 2.0]), 40_000
    prior = DiagonalNormal(torch.zeros(3), torch.zeros(3))
    z = loc + scale * torch.randn(samples, count, 3)
    found = Moments(z.mean(0), z.var(0, correction=0), None, -prior.log_terms(z).mean(0))
    code = Code(count, samples, found)
    code.add(range(count), samples, found)
    expected = gaussian_kl(loc, scale.square())
    np.testing.assert_allclose(code.kl.mean(0), expected, atol=8 * (1 / (samples * count)) ** 0.5 * 4)


def test_one_draw_below_another_group_cannot_tell_its_noise():
    found = Moments(torch.randn(50, 4), torch.zeros(50, 4), torch.ones(50, 4), torch.ones(50, 4))
    for below, samples, told in ((False, 1, True), (True, 1, False), (True, 5, True)):
        codes, code = Codes(found), Code(50, samples, found, below=below)
        code.add(range(50), samples, found)
        codes.add(code)
        assert (codes.active_units is not None) == told


def test_codes_of_parts_are_those_of_the_whole():
    """Of 4 dimensions two vary within the parts, one between them alone, and one not at all."""
    mean = torch.cat([torch.randn(23, 2), torch.arange(23)[:, None] // 6 * torch.tensor([1.0, 0.0])], 1)
    found = Moments(mean, torch.rand(23, 4) * 1e-4, None, torch.rand(23, 4) + 3)
    whole, parts = Codes(found), Codes(found)
    for codes, sizes in ((whole, [23]), (parts, [6, 6, 6, 5])):
        for moments in zip(
            *(torch.split(t, sizes) if t is not None else [None] * len(sizes) for t in found), strict=True
        ):
            part = Moments(*moments)
            code = Code(len(part.mean), 10, part)
            code.add(range(len(part.mean)), 10, part)
            codes.add(code)
    assert parts.active_units == whole.active_units == 3
    assert parts.kl_per_dimension is not None
    half = torch.tensor(4.5, dtype=torch.float64)
    log = (found.spread.double() * 10 / 9).log() - torch.digamma(half) + half.log()
    entropy = 0.5 * log + 0.5 + 0.5 * math.log(2 * math.pi)
    expected = (found.cost.double() - entropy).mean(0)
    for codes in (whole, parts):
        np.testing.assert_allclose(codes.kl_per_dimension, expected, rtol=1e-6)


@pytest.mark.parametrize(("family", "samples"), [("full", 3), ("lowrank", 3), ("lowrank", 1)])
def test_codes_of_gaussians_are_exact(data, family, samples):
    model = linear({"family": family})
    q = posterior_of(model, data)
    code = encode(model, data, samples=samples)
    np.testing.assert_allclose(code["mean"], q.mean, atol=1e-6)
    np.testing.assert_allclose(code["sd"], q.variance.sqrt(), atol=1e-6)
    eps = (code["z"] - code["mean"]) / code["sd"]
    assert abs(eps.mean()) < 4 / eps.size**0.5
    assert abs(eps.std() - 1) < 4 / (2 * eps.size) ** 0.5


def test_codes_under_a_flow_are_those_of_the_draws(data):
    model = linear({"flow": {"name": "planar", "steps": 3}, "context": 4})
    with torch.no_grad():
        draws = model.encode(data.values.double(), 20_000)[0]
    code = encode(model, data, samples=20_000, seed=9)
    error = draws.std(0) / math.sqrt(10_000)
    assert ((torch.from_numpy(code["mean"]) - draws.mean(0)).abs() < 5 * error).all()
    np.testing.assert_allclose(code["sd"], draws.std(0), rtol=0.1)
