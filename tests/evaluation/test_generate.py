import numpy as np
import pytest
import torch

from flowvae.data import Split
from flowvae.errors import InputError
from flowvae.evaluation import encode, generate, reconstruct, sample
from flowvae.evaluation.generate import CHUNK, walks
from flowvae.evaluation.noise import DatumNoise
from flowvae.latents import FromPosterior


def test_samples_are_means_of_the_likelihood_at_draws_of_the_prior(build):
    model = build().double()
    images = sample(model, 30_000, seed=1)
    assert images.shape == (30_000, 6)
    z = torch.randn(30_000, 3, dtype=torch.float64)
    expected = torch.sigmoid(model.likelihood.decoder(z)).detach()
    error = expected.std(0) / 15_000**0.5
    assert ((torch.from_numpy(images).mean(0) - expected.mean(0)).abs() < 5 * error).all()
    np.testing.assert_allclose(images.std(0), expected.std(0), rtol=0.05)


def test_draws_of_x_are_bits_with_those_means(build):
    bits, means = sample(build(), 5000, mean=False), sample(build(), 5000)
    assert set(np.unique(bits)) == {0, 1}
    np.testing.assert_allclose(bits.mean(0), means.mean(0), atol=0.04)


def test_the_first_samples_do_not_depend_on_how_many_there_are(build):
    many = sample(build(), 2 * CHUNK + 3, seed=2)
    assert (sample(build(), 5, seed=2) == many[:5]).all()
    assert (sample(build(), CHUNK + 1, seed=2) == many[: CHUNK + 1]).all()
    assert (sample(build(), 5, seed=3) != many[:5]).any()
    assert len(np.unique(many, axis=0)) == len(many)


def test_temperature_0_is_the_mode_of_the_prior(build):
    model = build()
    images = sample(model, 4, temperature=0.0)
    np.testing.assert_allclose(images, torch.sigmoid(model.likelihood.decoder(torch.zeros(4, 3))).detach(), rtol=1e-6)


@pytest.mark.parametrize("samples", [1, 3, 2 * CHUNK])
def test_reconstructions_are_means_at_posterior_draws(build, split, samples):
    model = build("iaf", torch.float64)
    pairs = reconstruct(model, split, samples=samples, seed=4)
    x = split.frozen(4).batch(torch.arange(23))
    np.testing.assert_array_equal(pairs["originals"], x)
    with torch.no_grad():
        noise = DatumNoise(4, samples, "cpu").of(range(23))
        c, _ = model.latents.walk(FromPosterior(noise), model.encoder(x.double()), torch.Size((samples, 23)))
        expected = torch.sigmoid(model.likelihood.decoder(c)).mean(0)
    np.testing.assert_allclose(pairs["means"], expected, atol=1e-6)


def test_a_datum_is_coded_and_reconstructed_alike_among_others_and_alone(build, split):
    model, data = build("planar", torch.float64), split.frozen(0)
    for made in (encode, reconstruct):
        for name, whole in made(model, data, samples=40).items():
            np.testing.assert_allclose(whole[:2], made(model, data.take(2), samples=40)[name], atol=1e-6)


def test_codes_are_made_in_parts_that_fit_into_memory_and_are_the_same(build, split, monkeypatch):
    whole, sizes = encode(build(), split, samples=8, seed=3), []

    def spy(*args):
        for found in walks(*args):
            sizes.append(len(found[0]))
            yield found

    monkeypatch.setattr(generate, "walks", spy)
    monkeypatch.setattr(generate, "MEMORY", 20_000)
    parts = encode(build(), split, samples=8, seed=3)
    first, *others = sizes
    assert first == 1
    assert sum(others) == len(split)
    assert 1 <= max(others) < len(split)
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-5, atol=1e-6)


def test_codes_of_several_groups_carry_their_number(build, split, monkeypatch):
    model = build()
    walk = model.latents.walk

    def twice(draw, h, batch):
        c, latents = walk(draw, h, batch)
        return c, latents * 2

    monkeypatch.setattr(model.latents, "walk", twice)
    assert sorted(encode(model, split)) == ["mean_0", "mean_1", "sd_0", "sd_1", "z_0", "z_1"]


@pytest.mark.parametrize("make", [encode, reconstruct])
def test_nothing_is_left_behind(build, split, make):
    model, state = build().train(), torch.get_rng_state()
    make(model, split)
    sample(model, 3)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("make", [encode, reconstruct])
def test_data_of_another_shape_are_refused(build, make):
    with pytest.raises(InputError, match="expected data of shape"):
        make(build(), Split(torch.zeros(3, 7)))
