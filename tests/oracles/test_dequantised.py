"""Variational dequantisation: a bound on the probability of levels, which integrals over their cells give exactly."""

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from flowvae import InputError, build_model, evaluate, load_data
from flowvae.data import Split
from flowvae.evaluation.likelihood import score
from flowvae.latents import FromPrior, Given
from flowvae.model import VAE
from tests.laws.catalogue import generic

LEVELS = 4
SPEC = {
    "encoder": {"width": 8, "depth": 1},
    "latents": {"dim": 1},
    "likelihood": {
        "name": "dequantised",
        "density": {"name": "gaussian", "decoder": {"width": 8, "depth": 1}},
        "encoder": {"name": "mlp", "width": 8, "depth": 1},
        "posterior": {"name": "gaussian", "context": 4, "flow": {"name": "iaf", "steps": 1, "width": 8}},
        "levels": LEVELS,
    },
}
GRID = torch.tensor(list(product(range(LEVELS), repeat=2)), dtype=torch.float64)
"""All data of two coordinates, as whole numbers."""


def model(seed: int = 0, **likelihood: Any) -> VAE:
    """Of two coordinates: every parameter is generic, and most of the density lies in [0, 1]."""
    torch.manual_seed(seed)
    built = generic(build_model(SPEC | {"likelihood": SPEC["likelihood"] | likelihood}, (2,)), seed, size=0.5)
    with torch.no_grad():
        built.likelihood.density.decoder.centre(torch.tensor([0.3, 0.6], dtype=torch.float64))
        built.likelihood.density.shared.fill_(-2.0)
    return built


@torch.no_grad()
def exact(built: VAE) -> Tensor:
    """log P(x) of all data: the Gaussian's mass in every cell, integrated over z ~ N(0, 1) on a grid."""
    z = torch.linspace(-8, 8, 2001, dtype=torch.float64)
    density = built.likelihood.density(z[:, None])
    assert isinstance(density, Independent)
    normal = density.base_dist
    mass = normal.cdf((GRID[:, None] + 1) / LEVELS) - normal.cdf(GRID[:, None] / LEVELS)  # (data, z, coordinates)
    weights = Normal(0, 1).log_prob(z) + math.log(z[1] - z[0])
    return torch.logsumexp(mass.log().sum(-1) + weights, -1)


def test_the_bound_is_below_log_p_and_many_draws_reach_it() -> None:
    built = model()
    split = Split((GRID / (LEVELS - 1)).float())
    truth = exact(built)
    assert 0.5 < truth.exp().sum() < 1  # the rest of the density has no cell
    with torch.no_grad():
        elbo = built(split.values.double(), samples=2000).log_w.mean(0)
    many = torch.from_numpy(score(built, split, samples=20_000))
    assert ((truth - elbo) > 0.1).all()
    assert ((truth - many).abs() < 0.06).all()  # four standard errors


def test_without_a_posterior_of_its_own_the_noise_is_uniform() -> None:
    """q(v | x) = N(0, I), or v from its prior: u is uniform, costs nothing, and the terms are those of y."""
    built = model(posterior={"name": "gaussian"})
    with torch.no_grad():
        for parameter in built.likelihood.posterior.parameters():
            parameter.zero_()
    x = GRID / (LEVELS - 1)
    p, q = built.likelihood.noise(x, torch.Size((500, len(x))))
    v = q().sample()
    u = torch.special.ndtr(v)
    assert_close(q().log_prob(v), p.log_prob(v), rtol=1e-12, atol=1e-12)
    ordered = u.flatten().sort().values
    uniform = torch.linspace(0, 1, len(ordered), dtype=torch.float64)
    assert (ordered - uniform).abs().max() < 1.63 / len(ordered) ** 0.5  # Kolmogorov's bound at one per cent
    c = torch.randn(500, len(x), 1, dtype=torch.float64)
    expected = built.likelihood.density(c).log_prob((GRID + u) / LEVELS) - 2 * math.log(LEVELS)
    assert_close(built.likelihood.log_prob(c, x, v), expected, rtol=1e-12, atol=1e-12)
    trace = model()(x, samples=3, draw=FromPrior())
    assert all((latent.kl == 0).all() for latent in trace.latents)


def test_noise_is_drawn_as_latents_are() -> None:
    """Given latents and noise score as their draw did: the walk's draw decides on both."""
    built = model(posterior={"name": "gaussian"})
    x = GRID / (LEVELS - 1)
    z, v = torch.randn(2, 3, len(x), 1, dtype=torch.float64), torch.randn(3, len(x), 2, dtype=torch.float64)
    log_w = built(x, samples=3, draw=Given((z[0], v))).log_w
    p, q = built.likelihood.noise(x, torch.Size((3, len(x))))
    latent = built(x, samples=3, draw=Given((z[0], 0 * v))).latents[0]
    expected = built.likelihood.log_prob(z[0], x, v) + p.log_prob(v) - q().log_prob(v) - latent.kl
    assert_close(log_w, expected, rtol=1e-12, atol=1e-12)


def test_uniform_noise_of_the_model_and_of_the_data_agree() -> None:
    """With q = N(0, I) the evaluated bits are those of data that were spread uniformly, up to the draws."""
    levels = load_data("digits", binarise="none")
    spread = load_data("digits", binarise="none", dequantise=True)
    density = {"name": "continuous_bernoulli", "decoder": {"name": "mlp", "width": 8, "depth": 1}}
    tables = {"encoder": {"width": 8, "depth": 1}, "latents": {"dim": 2}}
    torch.manual_seed(0)
    uniform = build_model(tables | {"likelihood": density}, spread)
    own = build_model(tables | {"likelihood": {"name": "dequantised", "density": density, "levels": 17}}, levels)
    with torch.no_grad():
        for built in (uniform, own):
            built.latents.posterior.net.weight.zero_()  # q(z | x) sees nothing, of levels or of what is spread
        for parameter in own.likelihood.posterior.parameters():
            parameter.zero_()
        own.latents.load_state_dict(uniform.latents.state_dict())
        own.likelihood.density.load_state_dict(uniform.likelihood.state_dict())
    expected, found = (evaluate(m, d.test.take(200), samples=20) for m, d in ((uniform, spread), (own, levels)))
    assert found.elbo - expected.elbo == pytest.approx(-64 * math.log(17), abs=0.05)
    bits = -found.log_likelihood / (64 * math.log(2))
    assert found.bits_per_dim == pytest.approx(bits, abs=1e-12)
    assert found.bits_per_dim == pytest.approx(expected.bits_per_dim, abs=0.002)


def test_evaluation_does_not_depend_on_its_chunks() -> None:
    built = model().float()
    split = Split((GRID / (LEVELS - 1)).float())
    whole, parts = (evaluate(built, split, samples=100, memory=memory) for memory in ("256MiB", "60KiB"))
    assert whole.log_likelihood == pytest.approx(parts.log_likelihood, abs=1e-5)
    assert whole.samples == 100


def test_learned_noise_tightens_the_bound() -> None:
    """Under a density as narrow as a third of a cell; it comes closer to log P(x), and does not pass it."""
    built, x = model(posterior={"name": "gaussian"}), GRID / (LEVELS - 1)
    with torch.no_grad():
        built.likelihood.density.shared.fill_(-3.0)
        for parameter in built.likelihood.posterior.parameters():
            parameter.zero_()  # uniform at the start
    learned = [*built.likelihood.encoder.parameters(), *built.likelihood.posterior.parameters()]
    optimiser = torch.optim.Adam(learned, lr=0.02)

    def bound(samples: int) -> Tensor:
        return built(x, samples=samples).log_w.mean()

    with torch.no_grad():
        uniform = bound(2000)
    for _ in range(150):
        optimiser.zero_grad()
        (-bound(50)).backward()
        optimiser.step()
    with torch.no_grad():
        assert uniform + 0.5 < bound(2000) < exact(built).mean()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected an encoder of the datum as likelihood.encoder; got none"):
        build_model({"likelihood": {"name": "dequantised", "encoder": "none"}}, (2,))
    for density in ("bernoulli", "discretised_logistic", {"name": "dequantised"}):
        with pytest.raises(InputError, match=r"expected a density of values in \[0, 1\] as likelihood.density"):
            build_model({"likelihood": {"name": "dequantised", "density": density}}, (2,))


def test_draws_are_levels_in_proportion_to_the_cells() -> None:
    built = model()
    z = torch.randn(50, 1, dtype=torch.float64)
    p, normal = built.likelihood(z), built.likelihood.density(z).base_dist
    levels, edges = torch.arange(LEVELS) / (LEVELS - 1), torch.arange(1, LEVELS) / LEVELS
    below = normal.cdf(edges.double()[:, None, None])
    mass = torch.cat([below, torch.ones_like(below[:1])]).diff(dim=0, prepend=torch.zeros_like(below[:1]))
    draws = p.sample((4000,))
    shares = torch.stack([(draws - level).abs().lt(1e-6).double().mean(0) for level in levels])
    assert_close(shares, mass, rtol=0, atol=4.5 * 0.5 / 4000**0.5)
    assert_close(p.mode[mass.amax(0) > 0.9], levels.double()[mass.argmax(0)][mass.amax(0) > 0.9], rtol=0, atol=1e-6)
