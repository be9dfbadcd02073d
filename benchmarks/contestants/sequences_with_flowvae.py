"""flowvae on sequences, by its public interface."""

import itertools

import torch

import flowvae as fv
from benchmarks import lines
from benchmarks.contestants import Place
from benchmarks.contestants.with_flowvae import ENDLESS, paced
from benchmarks.settings import Settings
from flowvae.data import Data


def train(place: Place) -> None:
    """`fv.fit` in memory, with a validation at the end that never comes."""
    data = load(place)
    model = build(place.settings, data)
    fv.fit(
        model, paced(data, place.gate, place.settings.length), epochs=ENDLESS, batch_size=place.settings.batch,
        quiet=True, validate_every=ENDLESS,
    )  # fmt: skip


@torch.no_grad()
def decode(place: Place) -> None:
    """Draws from the model, which keep the state; the end is improbable, so that all are long."""
    settings = place.settings
    model = build(settings, load(place)).eval()
    model.likelihood.head.bias[0] = -100.0
    for _ in itertools.count():
        place.gate(settings.decoded * settings.length)
        model.sample(settings.decoded)


def load(place: Place) -> Data:
    """The lines as a user loads a text of one's own; most of them train."""
    lines.write(place.folder / "lines.txt", place.settings)
    return fv.load_data({"name": "tokens", "path": str(place.folder / "lines.txt"), "validation": 0.02, "test": 0.02})


def build(settings: Settings, data: Data) -> fv.VAE:
    """The model of the settings."""
    net = {"width": settings.recurrent}
    spec = {
        "encoder": {"name": "rnn", "embedding": settings.embedding, **net},
        "latents": {"dim": settings.dim},
        "likelihood": {"name": "sequence", "embedding": settings.embedding, "decoder": {"name": "lstm", **net}},
    }
    return fv.build_model(spec, data)
