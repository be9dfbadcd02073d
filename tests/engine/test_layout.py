"""Channels last: another layout in memory, the same numbers."""

from typing import Any

import pytest
import torch
from torch import nn

from flowvae.data import Data
from flowvae.engine import fit, optim
from flowvae.engine.launch import wants_channels_last
from flowvae.engine.options import training_options
from flowvae.evaluation import evaluate
from flowvae.model import VAE, build_model

RESIDUAL = {"name": "resnet", "channels": 4, "features": 16}
TABLES = {
    "ladder": {
        "encoder": {"name": "bottom_up", "width": 6, "depths": [1, 1]},
        "latents": {
            "name": "ladder",
            "dim": 2,
            "width": 6,
            "context": 2,
            "flow": {"name": "iaf", "steps": 1, "width": 6},
        },
        "likelihood": {"name": "bernoulli", "decoder": {"name": "upsample", "kernel": 3}},
    },
    "resnet": {"encoder": RESIDUAL, "latents": {"dim": 3}, "likelihood": {"name": "bernoulli", "decoder": RESIDUAL}},
}


def trained(data: Data, tables: str = "ladder", **options: Any) -> VAE:
    torch.manual_seed(1)
    model = build_model(TABLES[tables], data)
    fit(model, data, epochs=1, batch_size=64, ema=0.9, quiet=True, **options)
    return model


def kernels(model: nn.Module) -> list[torch.Tensor]:
    return [p for p in model.parameters() if p.ndim == 4 and p.shape[2] > 1]


@pytest.mark.parametrize(("choice", "device"), [("on", "cpu"), ("on", "cuda"), ("auto", "cuda")])
def test_auto_is_on_a_cuda_device(choice: str, device: str) -> None:
    assert wants_channels_last(training_options(channels_last=choice), torch.device(device))
    assert not wants_channels_last(training_options(channels_last="off"), torch.device(device))
    assert not wants_channels_last(training_options(), torch.device("cpu"))


@pytest.mark.parametrize("tables", TABLES)
def test_a_run_channels_last_follows_the_plain_one(data: Data, tables: str) -> None:
    """A residual decoder has transposed convolutions of one pixel, in which torch 2.13 can end the process."""
    plain, last = (trained(data, tables, channels_last=choice) for choice in ("off", "on"))
    assert all(p.is_contiguous() for p in kernels(plain))
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels(last))
    one, other = (evaluate(model, data.test, samples=1).elbo for model in (plain, last))
    assert one == pytest.approx(other, rel=1e-5)


def test_moments_are_laid_out_as_their_parameters() -> None:
    """A checkpoint of one layout goes on in the other with the same numbers."""
    start = torch.randn(4, 3, 3, 3)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        weight = nn.Parameter(start.clone(memory_format=torch.contiguous_format))
        optimiser = torch.optim.Adam([weight], lr=0.1, fused=True)
        weight.grad = start**3
        optimiser.step()
        state = optimiser.state_dict()
        again = nn.Parameter(weight.detach().clone(memory_format=layout))
        optimiser = torch.optim.Adam([again], lr=0.1, fused=True)
        optim.load_moments(optimiser, state)
        again.grad = (start - 1).clone(memory_format=layout)
        optimiser.step()
        found.append(again.detach())
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)
