"""Small models of every posterior, and data for them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from flowvae.data import Split
from flowvae.model import VAE, build_model

POSTERIORS: dict[str, dict[str, Any]] = {
    "diagonal": {},
    "full": {"family": "full"},
    "iaf": {"flow": {"name": "iaf", "steps": 2, "width": 10}, "context": 3},
    "planar": {"flow": {"name": "planar", "steps": 2}, "context": 3},
}


@pytest.fixture
def build() -> Callable[..., VAE]:
    """A model of 6 pixels and 3 latents by the name of its posterior, with weights far from their start."""

    def model(posterior: str = "diagonal", dtype: torch.dtype = torch.float32) -> VAE:
        torch.manual_seed(1)
        spec = {
            "encoder": {"width": 8},
            "latents": {"dim": 3, "posterior": POSTERIORS[posterior]},
            "likelihood": {"decoder": {"width": 8}},
        }
        built = build_model(spec, (6,))
        for weight in built.parameters():
            nn.init.normal_(weight, std=0.5)
        return built.to(dtype)

    return model


@pytest.fixture
def split() -> Split:
    """23 data whose bits are drawn when they are looked at."""
    values = torch.randint(256, (23, 6), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    return Split(values, scale=255, binarise="dynamic")
