"""A ladder with masked flows at its rungs: by `fv.fit`, and by a plain loop over the same modules."""

import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

import flowvae as fv
from benchmarks import pictures
from benchmarks.contestants import Place
from benchmarks.contestants.with_flowvae import ENDLESS, load, paced
from benchmarks.settings import Settings


def build(settings: Settings) -> fv.VAE:
    """Two resolutions of ``rungs`` rungs each, over bits."""
    spec = {
        "encoder": {"name": "bottom_up", "width": settings.maps, "depths": [settings.rungs] * 2},
        "latents": {
            "name": "ladder", "dim": settings.maps // 4, "width": settings.maps,
            "flow": {"name": "iaf", "steps": 1, "width": settings.maps},
        },
        "likelihood": {"name": "bernoulli", "decoder": "upsample"},
    }  # fmt: skip
    return fv.build_model(spec, (1, settings.side, settings.side))


def flop(settings: Settings) -> float:
    """Floating-point operations of a training step, a datum, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        build(settings)(torch.zeros(2, 1, settings.side, settings.side)).log_w.mean().backward()
    return counter.get_total_flops() / 2


def train(place: Place, *, compile: str) -> None:
    """`fv.fit` in memory, with a validation at the end that never comes."""
    fv.fit(
        build(place.settings), paced(load(place), place.gate), epochs=ENDLESS, batch_size=place.settings.ladder_batch,
        quiet=True, compile=compile if place.settings.compiled else "off", validate_every=ENDLESS,
    )  # fmt: skip


def train_plain(place: Place) -> None:
    """Eager, DataLoader, `torch.bernoulli`, Adam as torch has it by default."""
    settings = place.settings
    model = build(settings)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    images = pictures.read(place.data, "train").unflatten(1, (1, settings.side, settings.side)) / 255
    loader = DataLoader(TensorDataset(images), batch_size=settings.ladder_batch, shuffle=True)
    while True:
        for (x,) in loader:
            place.gate(len(x))
            loss = -model(torch.bernoulli(x)).log_w.mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
