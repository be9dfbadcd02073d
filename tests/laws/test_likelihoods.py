"""Likelihoods are normalised over the data they accept, and their mean is the mean of what they draw."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from flowvae.conditional import Augmented
from flowvae.distributions.base import known
from tests.laws.catalogue import Case, cases, generic

SUPPORTS = {"binary", "levels", "unit", "real"}
likelihoods = pytest.mark.parametrize(
    "case", [case for case in cases("likelihood") if SUPPORTS & set(case.build().accepts)], ids=str
)


def given(case: Case, *batch: int) -> tuple[torch.distributions.Distribution, tuple[int, ...]]:
    in_shape, event = case.shapes
    return generic(case.build())(torch.randn(*batch, *in_shape, dtype=torch.float64)), event


def every(event: tuple[int, ...], levels: int) -> Tensor:
    """All data whose coordinates are 0, 1 / (levels - 1), ..., 1."""
    size = torch.Size(event).numel()
    grid = torch.linspace(0, 1, levels, dtype=torch.float64).tolist()
    return torch.tensor(list(product(grid, repeat=size)), dtype=torch.float64).reshape(-1, *event)


@likelihoods
def test_shapes_and_support(case: Case) -> None:
    p, event = given(case, 2, 3)
    likelihood = case.build()
    assert likelihood.accepts
    assert set(likelihood.accepts) <= SUPPORTS
    assert (p.batch_shape, p.event_shape) == ((2, 3), event)
    assert p.sample().shape == (2, 3, *event)
    assert known(p, "mean") is None or p.mean.shape == p.variance.shape == (2, 3, *event)
    assert p.sample((4,)).shape == (4, 2, 3, *event)
    assert p.expand((4, 2, 3)).sample().shape == (4, 2, 3, *event)
    if not isinstance(likelihood, Augmented):
        assert p.log_prob(p.sample()).shape == p.log_prob(p.sample()[0]).shape == (2, 3)


@likelihoods
def test_all_data_together_have_probability_one(case: Case) -> None:
    """Bits, or whole numbers over their greatest one; and the sum of x p(x) over all of them is the mean."""
    likelihood = case.build()
    levels = 2 if "binary" in likelihood.accepts else getattr(likelihood, "levels", None)
    if levels is None or isinstance(likelihood, Augmented):
        pytest.skip("a density, or a bound")
    p, event = given(case)
    x = every(event, levels)
    weights = p.log_prob(x).exp()
    assert_close(weights.sum(), torch.ones_like(weights[0]), rtol=1e-11, atol=0)
    average = torch.tensordot(weights, x, 1)
    assert_close(average, p.mean, rtol=1e-10, atol=1e-12)
    assert_close(torch.tensordot(weights, x.square(), 1) - average.square(), p.variance, rtol=1e-10, atol=1e-12)


@likelihoods
def test_draws_have_the_mean_and_the_variance(case: Case) -> None:
    p, _ = given(case)
    if known(p, "mean") is None:
        pytest.skip("no mean that is known")
    n = 20_000
    draws = p.sample((n,))
    assert ((draws.mean(0) - p.mean).abs() < 4.5 * (p.variance / n).sqrt()).all()
    assert_close(draws.var(0), p.variance, rtol=0.1, atol=1e-3)
