"""Divergences and densities against torch's own, and against sampling."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
)
from torch.testing import assert_close

from flowvae import registry
from flowvae.distributions import (
    DiagonalNormal,
    FullNormal,
    LowRankNormal,
    product,
    rsample_and_log_prob,
    standard_normal,
)
from flowvae.distributions.diagonal import kl_per_dimension, positive

DIM = 4
Make = Callable[..., DiagonalNormal | FullNormal | LowRankNormal]


def normal(*batch: int) -> DiagonalNormal:
    loc, log_scale = torch.randn(2, *batch, DIM, dtype=torch.float64)
    return DiagonalNormal(loc, 0.5 * log_scale)


def full(*batch: int) -> FullNormal:
    scale = torch.randn(*batch, DIM, DIM, dtype=torch.float64).tril(-1)
    return FullNormal(torch.randn(*batch, DIM, dtype=torch.float64), scale + torch.diag_embed(normal(*batch).stddev))


def low_rank(*batch: int) -> LowRankNormal:
    base = normal(*batch)
    return LowRankNormal(base.loc, base.log_scale, torch.randn(*batch, DIM, 2, dtype=torch.float64))


def theirs(q: Distribution) -> Distribution:
    """The same distribution in torch."""
    if isinstance(q, FullNormal):
        return MultivariateNormal(q.loc, scale_tril=q.scale_tril)
    if isinstance(q, LowRankNormal):
        sigma = q.log_scale.exp()
        return LowRankMultivariateNormal(q.loc, sigma[..., None] * q.loadings, sigma.square())
    assert isinstance(q, DiagonalNormal)
    return Independent(Normal(q.loc, q.log_scale.exp()), 1)


@pytest.mark.parametrize("make", [normal, full, low_rank])
def test_densities_moments_and_entropies_are_torchs(make: Make) -> None:
    q = make(5)
    x = 3 * torch.randn(7, 5, DIM, dtype=torch.float64)
    same = theirs(q)
    assert_close(q.log_prob(x), same.log_prob(x), rtol=1e-10, atol=1e-10)
    assert_close(q.entropy(), same.entropy(), rtol=1e-10, atol=1e-10)
    assert_close((q.mean, q.variance, q.stddev), (same.mean, same.variance, same.stddev), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("make", [normal, full])
def test_draws_are_torchs(make: Make) -> None:
    """The same noise gives the same point."""
    q = make(5)
    torch.manual_seed(1)
    expected = theirs(q).rsample((3,))
    torch.manual_seed(1)
    assert_close(q.rsample((3,)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", [normal, full, low_rank])
@pytest.mark.parametrize("prior", [normal, full, low_rank, lambda *batch: standard_normal(normal(*batch).loc)])
def test_divergences_are_torchs(make: Make, prior: Make) -> None:
    q, p = make(3, 5), prior(5)
    expected = kl_divergence(*(MultivariateNormal(d.mean, covariance_matrix=covariance(d)) for d in (q, p)))
    assert_close(kl_divergence(q, p), expected, rtol=1e-9, atol=1e-9)
    assert_close(kl_divergence(q.expand((3, 5)), p.expand((3, 5))), expected, rtol=1e-9, atol=1e-9)


def covariance(q: Distribution) -> Tensor:
    if isinstance(q, FullNormal):
        return q.scale_tril @ q.scale_tril.mT
    if isinstance(q, LowRankNormal):
        return theirs(q).covariance_matrix
    return torch.diag_embed(q.variance)


@pytest.mark.parametrize("make", [normal, full, low_rank])
def test_sampling_confirms_the_closed_form(make: Make) -> None:
    """The mean of log q - log p over draws of q is the analytic KL within 4 standard errors."""
    q, p = make(3), normal(3)
    z, log_q = rsample_and_log_prob(q.expand((50_000, 3)))
    terms = log_q - p.log_prob(z)
    error = terms.std(0) / len(terms) ** 0.5
    assert ((terms.mean(0) - kl_divergence(q, p)).abs() < 4 * error).all()


@pytest.mark.parametrize("one", [normal, full, low_rank])
@pytest.mark.parametrize("other", [normal, full, low_rank])
def test_the_product_is_proportional_to_the_product_of_densities(one: Make, other: Make) -> None:
    """log q + log p - log product is one constant over z, for batches that broadcast."""
    q, p = one(5), other(3, 5)
    both = product(q, p)
    z = 2 * torch.randn(20, 1, 1, DIM, dtype=torch.float64)
    constant = q.log_prob(z) + p.log_prob(z) - both.log_prob(z)
    assert both.batch_shape == (3, 5)
    assert_close(constant, constant[:1].expand_as(constant), rtol=0, atol=1e-9)


def test_a_divergence_is_zero_only_from_itself() -> None:
    q, p = normal(5), normal(5)
    assert_close(kl_divergence(q, q), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-14)
    assert (kl_divergence(q, p) > 0).all()
    assert (kl_per_dimension(q, p) >= 0).all()
    assert_close(kl_per_dimension(q, p).sum(-1), kl_divergence(q, p), rtol=1e-12, atol=1e-12)


def test_full_without_its_triangle_is_diagonal() -> None:
    q = normal(5)
    same = FullNormal(q.loc, torch.diag_embed(q.stddev))
    p = normal(5)
    assert_close(kl_divergence(same, p), kl_divergence(q, p), rtol=1e-12, atol=1e-12)


def test_scales_are_softplus_with_one_at_zero() -> None:
    s = torch.linspace(-20, 20, 9, dtype=torch.float64)
    assert_close(positive(s), torch.log1p((math.e - 1) * s.exp()), rtol=1e-10, atol=0)
    assert_close(positive(torch.zeros(())), torch.ones(()), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["diagonal", "full"])
def test_families_read_their_parameters_in_the_order_they_say(name: str) -> None:
    """phi = (mu, s, sqrt(D) times the strict lower triangle by rows)."""
    family = registry.build("family", name, (4,))
    phi = torch.arange(family.size, dtype=torch.float64) / 10 - 0.3
    q = family(phi)
    mean, s, strict = phi[:4], phi[4:8], iter(phi[8:])
    expected = torch.diag(torch.log1p((math.e - 1) * s.exp()))
    if name == "full":
        for i, j in ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)):
            expected[i, j] = next(strict) / 2
    assert_close(q.mean, mean)
    scale = q.scale_tril if isinstance(q, FullNormal) else torch.diag(q.stddev)
    assert_close(scale, expected, rtol=1e-10, atol=1e-10)


def test_a_low_rank_normal_reads_its_parameters_in_the_order_it_says() -> None:
    """phi = (mu, s, sqrt(D) V by rows), and its draws map noise by a matrix A with A A^T = I + V V^T."""
    family = registry.build("family", {"name": "lowrank", "rank": 2}, (4,))
    phi = torch.arange(family.size, dtype=torch.float64) / 10 - 0.3
    q = family(phi)
    v, sigma = phi[8:].view(4, 2) / 2, torch.log1p((math.e - 1) * phi[4:8].exp())
    assert_close(
        (q.mean, q.loadings, q.stddev), (phi[:4], v, sigma * (1 + v.square().sum(-1)).sqrt()), rtol=1e-3, atol=0
    )
    matrix = (q.from_noise(torch.eye(4).double())[0] - q.mean) / q.log_scale.exp()
    assert_close(matrix.mT @ matrix, torch.eye(4).double() + q.loadings @ q.loadings.mT, rtol=1e-10, atol=1e-10)
