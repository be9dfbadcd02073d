"""flowvae, by its public interface."""

import itertools
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import Tensor

import flowvae as fv
from benchmarks.contestants import Place
from benchmarks.gate import Gate
from benchmarks.resident import peak, reset_peak, resident
from benchmarks.settings import Settings
from flowvae.data import Data, Split

ENDLESS = 10**6  # epochs


@dataclass(frozen=True, eq=False)
class Paced(Split):
    """A split that passes the gate before it yields a batch: the only thing that is not as a user has it."""

    gate: Gate | None = None
    work: int = 1
    """What a datum counts."""

    def batch(self, indices: Tensor) -> Tensor:
        assert self.gate is not None
        self.gate(len(indices) * self.work)
        return super().batch(indices)


def paced(data: Data, gate: Gate, work: int = 1) -> Data:
    """The data, their training split at the gate's pace."""
    parts = {field.name: getattr(data.train, field.name) for field in fields(Split)}
    return replace(data, train=Paced(**parts, gate=gate, work=work))


def train(place: Place, *, flow: bool, precision: str) -> None:
    """`fv.fit` in memory, with a validation at the end that never comes; it binarises every batch anew."""
    data = load(place)
    model = build(place.settings, data, flow)
    fv.fit(
        model, paced(data, place.gate), epochs=ENDLESS, batch_size=place.settings.batch, precision=precision,
        quiet=True, compile="auto" if place.settings.compiled else "off", validate_every=ENDLESS,
    )  # fmt: skip


def evaluate(place: Place, *, flow: bool) -> None:
    """`fv.evaluate`, whole calls: beside log p(x) it yields the bound, KL terms and effective sample sizes."""
    data, settings = load(place), place.settings
    model, split = build(settings, data, flow), data.test.take(settings.points)
    for seed in itertools.count():
        place.gate(settings.points * settings.samples)
        fv.evaluate(model, split, samples=settings.samples, seed=seed, compile="on" if settings.compiled else "off")


def measure_memory(place: Place, *, flow: bool, budget: str) -> None:
    """Bytes that the process holds before its first evaluation, after one of one sample, and at most in a large one."""
    data, settings = load(place), place.settings
    model, split = build(settings, data, flow), data.test.take(settings.memory_points)
    place.gate.wait()
    before = resident()
    fv.evaluate(model, split.take(1), samples=1, memory=budget)
    ready = resident()
    reset_peak()
    fv.evaluate(model, split, samples=settings.memory_samples, memory=budget)
    place.gate.answer({"before": before, "ready": ready, "peak": peak()})


def load(place: Place) -> Data:
    """The pictures as a user loads a file of one's own."""
    return fv.load_data(place.data, scale=255, binarise="dynamic")


def build(settings: Settings, data: Data, flow: bool) -> fv.VAE:
    """The model of the settings."""
    net = {"width": settings.width, "depth": 2, "activation": "relu"}
    posterior: dict[str, Any] = {"name": "gaussian", "context": 0}
    if flow:
        posterior["flow"] = {
            "name": "iaf", "steps": settings.steps, "width": settings.flow_width, "depth": 2, "activation": "relu",
        }  # fmt: skip
    spec = {
        "encoder": {"name": "mlp", **net},
        "latents": {"name": "flat", "dim": settings.dim, "posterior": posterior},
        "likelihood": {"name": "bernoulli", "decoder": {"name": "mlp", **net}},
    }
    return fv.build_model(spec, data)
