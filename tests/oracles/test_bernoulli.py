"""The Bernoulli likelihood where others saturate."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent
from torch.testing import assert_close

from flowvae.distributions import Bernoulli

ONE, ZERO = torch.ones(1), torch.zeros(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_score_exactly(dtype: torch.dtype) -> None:
    """log p(x = 1) at logit -120 is -120, where log(sigmoid) with a floor of single precision says -15.9."""
    for logit in torch.tensor([[120.0], [1e4], [1e30]], dtype=dtype):
        low, high, one, zero = Bernoulli(-logit, 1), Bernoulli(logit, 1), ONE.to(dtype), ZERO.to(dtype)
        assert low.log_prob(one) == high.log_prob(zero) == -logit
        assert_close(low.log_prob(zero), -torch.exp(-logit)[0], rtol=1e-6, atol=0)
        assert high.log_prob(one) == 0


@pytest.mark.parametrize("gradients", [True, False])
def test_booleans_are_bits(gradients: bool) -> None:
    logits, x = torch.randn(3, 5), torch.rand(3, 5) < 0.5
    with torch.set_grad_enabled(gradients):
        assert_close(Bernoulli(logits, 1).log_prob(x), Bernoulli(logits, 1).log_prob(x.float()), rtol=0, atol=0)


def test_extreme_logits_still_learn() -> None:
    """The slope of log p is x - sigmoid(l), however large l."""
    logits = torch.tensor([-1e4, -120.0, 0.0, 120.0, 1e4], requires_grad=True)
    Bernoulli(logits, 1).log_prob(torch.ones(5)).backward()
    assert_close(logits.grad, torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]))


def test_it_is_torchs() -> None:
    logits = 10 * torch.randn(6, 3, 4, dtype=torch.float64)
    x = torch.randint(0, 2, (5, 6, 3, 4)).double()
    ours, theirs = Bernoulli(logits, 2), Independent(torch.distributions.Bernoulli(logits=logits), 2)
    assert_close(ours.log_prob(x), theirs.log_prob(x), rtol=1e-10, atol=1e-10)
    assert_close((ours.mean, ours.variance), (theirs.mean, theirs.variance), rtol=1e-10, atol=1e-12)
    assert_close(ours.entropy(), theirs.entropy(), rtol=1e-10, atol=1e-10)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)


def test_all_data_together_have_probability_one() -> None:
    x = torch.tensor(list(product([0.0, 1.0], repeat=8)), dtype=torch.float64)
    log_p = Bernoulli(3 * torch.randn(8, dtype=torch.float64), 1).log_prob(x)
    assert_close(log_p.logsumexp(0), torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-12)


def test_grey_values_score_their_cross_entropy() -> None:
    """x log p + (1 - x) log(1 - p) for x in [0, 1]: the mean over binarised pixels."""
    logits, x = torch.randn(3, 7, dtype=torch.float64), torch.rand(3, 7, dtype=torch.float64)
    p = torch.sigmoid(logits)
    expected = (x * p.log() + (1 - x) * (1 - p).log()).sum(-1)
    assert_close(Bernoulli(logits, 1).log_prob(x), expected, rtol=1e-10, atol=1e-10)


def test_half_precision_logits_are_scored_in_single() -> None:
    logits = 5 * torch.randn(4, 100)
    x = torch.randint(0, 2, (4, 100)).float()
    half: Tensor = Bernoulli(logits.bfloat16(), 1).log_prob(x)
    assert half.dtype == torch.float32
    assert_close(half, Bernoulli(logits.bfloat16().float(), 1).log_prob(x), rtol=0, atol=0)
