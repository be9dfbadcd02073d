"""What the rungs of a ladder know."""

import numpy as np
import torch

from flowvae import build_model
from flowvae.data import Split
from flowvae.evaluation import reconstruct, rungs, sample
from flowvae.latents import FromPrior


def ladder() -> torch.nn.Module:
    torch.manual_seed(0)
    encoder = {"name": "bottom_up", "width": 4, "depths": [2, 1]}
    return build_model({"encoder": encoder, "latents": {"name": "ladder", "dim": 2, "width": 5}}, (1, 8, 8))


def test_no_rung_is_the_mode_of_the_prior_and_all_rungs_are_the_reconstruction() -> None:
    model, split = ladder(), Split(torch.rand(6, 1, 8, 8))
    found = rungs(model, split, 4, seed=3)
    assert found["tops"].tolist() == [0, 1, 2, 3]
    with torch.no_grad():
        mode = model.likelihood(model.latents.walk(FromPrior(0.0), None, torch.Size((1, 6)))[0]).mean[0]
    np.testing.assert_allclose(found["partial"][0], mode, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["partial"][-1], reconstruct(model, split, seed=3)["means"], rtol=1e-5, atol=1e-6)
    assert not np.allclose(found["partial"][1], found["partial"][0])
    assert not np.allclose(found["partial"][2], found["partial"][1])


def test_samples_are_those_of_their_temperature() -> None:
    model = ladder()
    found = rungs(model, Split(torch.rand(2, 1, 8, 8)), 4, seed=3)
    for temperature, samples in zip(found["temperatures"], found["tempered"], strict=True):
        np.testing.assert_array_equal(samples, sample(model, 4, temperature=float(temperature), seed=3))


def test_other_structures_have_no_rungs() -> None:
    assert rungs(build_model({"latents": {"dim": 2}}, (6,)), Split(torch.rand(5, 6)), 4) == {}
