"""Small data and a small model that train in a moment."""

from collections.abc import Callable

import pytest
import torch

from flowvae.data import Data, load_data
from flowvae.model import VAE, build_model

SPEC = {
    "encoder": {"width": 16},
    "latents": {"dim": 3, "posterior": {"flow": {"name": "iaf", "steps": 1}}},
    "likelihood": {"decoder": {"width": 16}},
}


@pytest.fixture(scope="session")
def data() -> Data:
    return load_data("digits", binarise="dynamic")


@pytest.fixture
def build(data: Data) -> Callable[[], VAE]:
    def model() -> VAE:
        torch.manual_seed(1)
        return build_model(SPEC, data)

    return model
