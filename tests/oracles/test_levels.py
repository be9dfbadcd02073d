"""The likelihoods of bytes and of intensities against sums, integrals and torch's own."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from flowvae import build_model, evaluate, load_data, registry
from flowvae.distributions import ContinuousBernoulli, DiscretisedLogistic, MixtureOfLogistics
from flowvae.distributions.base import average, typical
from flowvae.likelihoods.base import FLOOR
from tests.laws.catalogue import generic


def on_levels(levels: int, event: tuple[int, ...] = ()) -> Tensor:
    x = torch.linspace(0, 1, levels, dtype=torch.float64).reshape(levels, *(1,) * len(event))
    return x.expand(levels, *event)


def test_typical_data_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean takes a pass over all levels."""
    p = DiscretisedLogistic(torch.rand(3, 2, 4), torch.tensor(0.1), 256, 1)
    mean, calls = p.mean, []
    monkeypatch.setattr(DiscretisedLogistic, "mean", property(lambda self: calls.append(1) or mean))
    assert typical(p) is mean
    assert_close(average(p), mean.mean(0), rtol=0, atol=0)
    assert len(calls) == 2


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_probabilities_of_all_levels_sum_to_one(levels: int) -> None:
    """At any location and scale, inside and far outside of [0, 1]: the edge bins take the rest."""
    loc = torch.tensor([-30.0, -0.2, 0.0, 0.31, 0.5, 1.0, 7.0], dtype=torch.float64)[:, None]
    scale = torch.tensor([1e-4, 3e-3, 0.1, 2.0, 500.0], dtype=torch.float64)
    p = DiscretisedLogistic(*torch.broadcast_tensors(loc, scale), levels, 2)
    total = p.elementwise(on_levels(levels, (7, 5))).logsumexp(0)
    assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-12)


def test_a_bin_is_the_difference_of_the_distribution_function() -> None:
    p = DiscretisedLogistic(torch.tensor([0.4], dtype=torch.float64), torch.tensor([0.07], dtype=torch.float64), 256, 1)
    for k in (0, 1, 100, 254, 255):
        below = 0.0 if k == 0 else torch.sigmoid((torch.tensor((k - 0.5) / 255).double() - 0.4) / 0.07)
        above = 1.0 if k == 255 else torch.sigmoid((torch.tensor((k + 0.5) / 255).double() - 0.4) / 0.07)
        expected = torch.log(torch.as_tensor(above - below, dtype=torch.float64))
        assert_close(p.log_prob(torch.tensor([k / 255]).double()), expected, rtol=1e-6, atol=1e-9)


def test_a_value_far_from_the_location_is_scored_exactly_in_single_precision() -> None:
    """A difference of two ones would be 0, and its logarithm minus infinity."""
    loc, scale = torch.tensor([0.0]), torch.tensor([1e-3])
    for k in (50, 254, 255):
        single = DiscretisedLogistic(loc, scale, 256, 1).log_prob(torch.tensor([k / 255]))
        double = DiscretisedLogistic(loc.double(), scale.double(), 256, 1).log_prob(torch.tensor([k / 255]).double())
        assert single < -150
        assert_close(single.double(), double, rtol=1e-4, atol=0)


def test_a_mixture_is_the_weighted_sum_of_its_components() -> None:
    torch.manual_seed(1)
    logits, loc = torch.randn(5, 3, 2, 4, dtype=torch.float64), torch.rand(5, 3, 2, 4, dtype=torch.float64)
    parts = DiscretisedLogistic(loc, 0.2 * torch.rand_like(loc) + 0.01, 17, 2)
    p = MixtureOfLogistics(logits, parts)
    x = torch.randint(0, 17, (5, 2, 4)).double() / 16
    expected = (logits.softmax(1) * parts.elementwise(x[:, None]).exp()).sum(1).log().sum((-2, -1))
    assert_close(p.log_prob(x), expected, rtol=1e-10, atol=1e-10)


def test_one_component_is_no_mixture() -> None:
    loc = torch.rand(5, 1, 6, dtype=torch.float64)
    parts = DiscretisedLogistic(loc, torch.full_like(loc, 0.1), 256, 1)
    p, x = MixtureOfLogistics(torch.randn_like(loc), parts), torch.randint(0, 256, (5, 6)).double() / 255
    alone = DiscretisedLogistic(loc[:, 0], torch.full_like(loc[:, 0], 0.1), 256, 1)
    assert_close((p.log_prob(x), p.mean, p.variance), (alone.log_prob(x), alone.mean, alone.variance))


LOGITS = torch.tensor([-40.0, -3.0, -0.7, -0.61, -0.59, -1e-3, 0.0, 1e-8, 0.3, 0.61, 2.0, 35.0], dtype=torch.float64)


def test_a_continuous_bernoulli_integrates_to_one() -> None:
    p = ContinuousBernoulli(LOGITS[:, None], 1)
    step = 1e-4
    x = (torch.arange(10_000, dtype=torch.float64) + 0.5) * step
    density = p.log_prob(x[:, None, None]).exp()
    assert_close(density.sum(0) * step, torch.ones(12, dtype=torch.float64), rtol=0, atol=1e-5)
    mean = (density * x[:, None]).sum(0) * step
    assert_close(mean, p.mean[:, 0], rtol=0, atol=1e-5)
    assert_close((density * (x[:, None] - mean) ** 2).sum(0) * step, p.variance[:, 0], rtol=1e-3, atol=1e-6)


def test_a_continuous_bernoulli_is_torchs_where_that_holds() -> None:
    logits = LOGITS[1:-1]
    theirs = torch.distributions.ContinuousBernoulli(logits=logits, lims=(0.4999, 0.5001))
    x = torch.rand(10, dtype=torch.float64)
    ours = ContinuousBernoulli(logits[:, None], 1)
    assert_close(ours.log_prob(x[:, None]), theirs.log_prob(x), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_of_a_continuous_bernoulli_is_x_less_its_mean(dtype: torch.dtype) -> None:
    """Everywhere: at 0, at the seam of the series, and where e^l overflows."""
    logits = torch.cat([LOGITS, torch.tensor([-1e4, 1e4, 1e30])]).to(dtype).requires_grad_()
    p = ContinuousBernoulli(logits, 1)
    p.log_prob(torch.full_like(logits, 0.3)).backward()
    assert logits.grad is not None
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    assert_close(logits.grad, 0.3 - p.mean.detach(), rtol=0, atol=tolerance)


def test_bits_are_of_a_probability_of_bytes() -> None:
    """And a density gives none."""
    digits = load_data("digits", binarise="none")
    spec = {"latents": {"dim": 2}, "likelihood": {"name": "mixture_of_logistics", "components": 1, "levels": 17}}
    model = build_model(spec, digits).double()
    result = evaluate(model, digits.test.take(20), samples=3)
    assert result.bits_per_dim == pytest.approx(-result.log_likelihood / (64 * math.log(2)))
    assert f"bits per dimension{result.bits_per_dim:12.3f}\n" in str(result)
    density = build_model({"latents": {"dim": 2}, "likelihood": "gaussian"}, digits)
    assert evaluate(density, digits.test.take(20), samples=3).bits_per_dim is None


@pytest.mark.parametrize("name", ["gaussian", "discretised_logistic"])
@pytest.mark.parametrize(
    ("scale", "varies"), [("global", [False] * 3), ("channel", [True, False, False]), ("pixel", [True] * 3)]
)
def test_a_scale_is_shared_by_those_that_are_said_to(name: str, scale: str, varies: list[bool]) -> None:
    likelihood = generic(registry.build("likelihood", {"name": name, "scale": scale}, (3,), (2, 3, 4)))
    _, found = likelihood.located(torch.randn(3, dtype=torch.float64))
    found = found.expand(2, 3, 4)
    assert [bool((found.amax(axis) > found.amin(axis)).any()) for axis in range(3)] == varies


@pytest.mark.parametrize("name", ["gaussian", "discretised_logistic"])
def test_no_scale_falls_below_the_floor(name: str) -> None:
    model = build_model({"likelihood": {"name": name, "scale": "pixel", "decoder": {"depth": 0}}}, (4,))
    with torch.no_grad():
        model.likelihood.decoder.net[-1].bias.fill_(-1e4)
        _, scale = model.likelihood.located(torch.zeros(1, 32))
    assert_close(scale, torch.full_like(scale, FLOOR * model.likelihood.start_scale))
