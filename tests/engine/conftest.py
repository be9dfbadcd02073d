"""Small data and a small model that train in a moment."""

from collections.abc import Callable

import pytest
import torch

from flowvae.data import Data, load_data
from flowvae.model import VAE, build_model
from tests.engine.train_digits import SPEC


@pytest.fixture(scope="session")
def data() -> Data:
    return load_data("digits", binarise="dynamic")


@pytest.fixture
def build(data: Data) -> Callable[[], VAE]:
    def model() -> VAE:
        torch.manual_seed(1)
        return build_model(SPEC, data)

    return model
