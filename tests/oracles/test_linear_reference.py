"""The best linear model of bytes, in bits, against scikit-learn's probabilistic principal components."""

import math

import pytest
import torch
from sklearn.decomposition import PCA

from flowvae import InputError, build_model, load_data
from flowvae.data import Split
from flowvae.measures.gaussian_reference import gaussian_bits
from flowvae.measures.linear_reference import linear_bits, linear_reference


@pytest.fixture
def parts() -> list[torch.Tensor]:
    """Bytes of 8 dimensions that depend on 3, for training and to be held out."""
    mixing = torch.randn(3, 8)
    return [(90 + 20 * torch.randn(n, 3) @ mixing + 4 * torch.randn(n, 8)).clamp(0, 255).byte() for n in (3000, 500)]


@pytest.mark.parametrize("factors", [1, 3, 7])
def test_it_is_the_code_length_under_principal_components_of_bytes_with_uniform_noise(parts, factors) -> None:
    train, test = (torch.cat([part.double() + torch.rand(part.shape) for _ in range(40)]) for part in parts)
    expected = -PCA(factors, svd_solver="full").fit(train.numpy()).score(test.numpy()) / (8 * math.log(2))
    found = linear_bits(*(Split(part, 255.0) for part in parts), factors=factors)
    assert found == pytest.approx(expected, abs=2e-3)


def test_with_all_factors_it_is_the_gaussian_and_with_none_one_variance(parts) -> None:
    train, test = (Split(part, 255.0) for part in parts)
    assert linear_bits(train, test, 8) == linear_bits(train, test, 100)
    assert linear_bits(train, test, 8) == pytest.approx(gaussian_bits(train, train, test), abs=1e-3)
    y = parts[0].double() + 0.5
    normal = torch.distributions.Normal(y.mean(0), (y.var(0, correction=0).mean() + 1 / 12).sqrt())
    grid = (torch.arange(40, dtype=torch.float64) + 0.5) / 40
    expected = sum(-normal.log_prob(parts[1] + u).mean() for u in grid) / (40 * math.log(2))
    assert linear_bits(train, test, 0) == pytest.approx(expected.item(), rel=1e-5)


FLAT = {"latents": {"name": "flat", "dim": 5}}
LADDER = {"encoder": {"name": "bottom_up", "width": 4, "depths": [1, 1]}, "latents": {"name": "ladder", "dim": 1}}
"""One map of 4 x 4 and one of 2 x 2."""


@pytest.mark.parametrize(("spec", "latents"), [(FLAT, 5), (LADDER, 20)])
def test_it_has_as_many_factors_as_the_model_has_latents(spec, latents) -> None:
    data = load_data({"name": "digits", "binarise": "none"})
    decoder = {"decoder": {"name": "upsample"}} if spec is LADDER else {}
    model = build_model(spec | {"likelihood": {"name": "discretised_logistic", "levels": 17} | decoder}, data)
    model.train()
    found = linear_reference(model, data, data.test).figures["linear_bits_per_dim"]
    assert found == linear_bits(data.train, data.test, latents)
    assert found < linear_bits(data.train, data.test, latents - 1)
    assert model.training


def test_bits_have_no_reference() -> None:
    digits = load_data("digits")
    with pytest.raises(InputError, match="expected bytes or other whole numbers"):
        linear_reference(build_model({}, digits), digits, digits.test)
