"""A VAE of which everything is known: the bound is exact, or short of it by exactly the known gap."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from flowvae import registry
from flowvae.latents import Given
from flowvae.objectives import log_mean_exp
from tests.oracles.linear_gaussian import Exact, exact, mean_field_gap


def standard_error(samples: Tensor) -> Tensor:
    return samples.std(0) / samples.shape[0] ** 0.5


def test_the_exact_posterior_makes_every_weight_the_evidence() -> None:
    """log w = log p(x), for every single sample: the terms, their signs and constants are all right."""
    known = exact("full")
    log_w = known.model(known.x, samples=50).log_w
    assert_close(log_w, known.log_px.expand_as(log_w), rtol=0, atol=1e-8)


@pytest.mark.parametrize("samples", [1, 2, 10])
def test_under_the_exact_posterior_every_bound_is_the_evidence(samples: int) -> None:
    known = exact("full")
    for spec in ({"name": "iwae"}, {"name": "elbo", "kl": "monte-carlo"}):
        objective = registry.build("objective", spec | {"samples": samples})
        assert_close(objective(known.model(known.x, samples)), -known.log_px.mean(), rtol=0, atol=1e-8)


def test_the_exact_posterior_is_the_posterior() -> None:
    known = exact("full")
    (latent,) = known.model(known.x).latents
    assert_close(latent.q.mean[0], known.mean, rtol=0, atol=1e-10)
    covariance = latent.q.scale_tril[0, 0] @ latent.q.scale_tril[0, 0].T
    assert_close(covariance, torch.linalg.inv(known.precision), rtol=0, atol=1e-10)


def test_mean_field_falls_short_by_exactly_the_known_gap() -> None:
    """log p(x) - E log w = (sum_i log P_ii - log det P) / 2, the expectation in closed form and by sampling."""
    known = exact("diagonal")
    gap = mean_field_gap(known.precision)
    assert gap > 0.1
    assert_close(analytic_bound(known), known.log_px - gap, rtol=0, atol=1e-8)
    log_w = known.model(known.x, samples=20_000).log_w
    assert ((log_w.mean(0) - (known.log_px - gap)).abs() < 4 * standard_error(log_w)).all()


def test_mean_field_cannot_do_better() -> None:
    """At the best diagonal posterior the bound has no slope, and every step away lowers it."""
    known = exact("diagonal")
    net = known.model.latents.posterior.net
    best, bias = analytic_bound(known).mean(), net.bias.data.clone()
    for _ in range(10):
        net.bias.data = bias + 0.3 * torch.randn_like(bias)
        assert analytic_bound(known).mean() < best
    net.bias.data = bias
    net.bias.requires_grad_()
    (slope,) = torch.autograd.grad(analytic_bound(known).mean(), net.bias)
    assert slope.abs().max() < 1e-10


def analytic_bound(known: Exact) -> Tensor:
    """E_q log p(x | z) - KL(q || p), both in closed form, per datum: the second from the library, the first by hand."""
    trace = known.model(known.x)
    (latent,) = trace.latents
    linear = known.model.likelihood.decoder.net[0]
    p = known.model.likelihood(latent.q.mean[0])
    spread = (linear.weight.square() @ latent.q.variance[0].T).T.sum(-1) / p.variance[0, 0]
    return p.log_prob(known.x) - 0.5 * spread - torch.distributions.kl_divergence(latent.q, latent.p)[0]


@pytest.fixture
def wrong() -> Exact:
    """The diagonal model with a posterior shifted and too wide."""
    known = exact("diagonal")
    net = known.model.latents.posterior.net
    net.bias.data += 0.3
    return known


def test_importance_weighted_bounds_rise_with_k_towards_the_evidence(wrong: Exact) -> None:
    """E log mean_K w grows with K and stays below log p(x) (Burda, Grosse, Salakhutdinov, 2016, theorem 1)."""
    log_w = wrong.model(wrong.x, samples=64 * 1000).log_w
    bounds = [log_mean_exp(log_w.reshape(k, -1, 4)) for k in (1, 4, 16, 64)]
    for few, many in pairwise(bounds):
        rise = many.mean(0) - few.mean(0)
        assert (rise > 4 * (standard_error(many) ** 2 + standard_error(few) ** 2).sqrt()).all()
    assert (bounds[-1].mean(0) < wrong.log_px + 4 * standard_error(bounds[-1])).all()
    assert_close(bounds[-1].mean(0), wrong.log_px, rtol=0, atol=0.2)


def test_draws_of_the_prior_and_of_the_posterior_bracket_the_evidence(wrong: Exact) -> None:
    """E_q log w <= log p(x) <= E_{p(z|x)} log w: the same weights at exact posterior draws bound it from above."""
    scale = torch.linalg.cholesky(torch.linalg.inv(wrong.precision))
    z = wrong.mean + torch.randn(20_000, 4, len(scale), dtype=torch.float64) @ scale.T
    upper = wrong.model(wrong.x, samples=len(z), draw=Given([z])).log_w
    lower = wrong.model(wrong.x, samples=len(z)).log_w
    assert (lower.mean(0) + 4 * standard_error(lower) < wrong.log_px).all()
    assert (upper.mean(0) - 4 * standard_error(upper) > wrong.log_px).all()


def test_importance_weights_average_to_the_evidence_whatever_the_posterior(wrong: Exact) -> None:
    """E w = p(x), so that log w at many samples comes arbitrarily near."""
    ratio = (wrong.model(wrong.x, samples=100_000).log_w - wrong.log_px).exp()
    assert ((ratio.mean(0) - 1).abs() < 4 * standard_error(ratio)).all()


def test_data_drawn_from_the_model_have_its_moments() -> None:
    """Ancestral sampling: x has mean b and covariance W W^T + s^2 I."""
    known = exact("full")
    linear = known.model.likelihood.decoder.net[0]
    x = known.model.sample(100_000)
    covariance = linear.weight @ linear.weight.T + 0.49 * torch.eye(5, dtype=torch.float64)
    deviation = (covariance.diagonal() / len(x)).sqrt()
    assert ((x.mean(0) - linear.bias).abs() < 4.5 * deviation).all()
    assert_close(torch.cov(x.T), covariance, rtol=0, atol=float(0.02 * covariance.max()))
