"""Precision: what the device multiplies, and never silently another one than was asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from flowvae.data import Data
from flowvae.engine import Fitted, fit, precision
from flowvae.model import VAE

MODULES = ("precision.multiplies_bf16", "notices.multiplies_bf16")
Build = Callable[[], VAE]


@pytest.fixture(params=[True, False], ids=["with bf16", "without bf16"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    has(request.param, monkeypatch)
    return bool(request.param)


def has(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODULES:
        monkeypatch.setattr(f"flowvae.engine.{name}", lambda device: native)


def trained(build: Build, data: Data, **options: Any) -> Fitted:
    return fit(build(), data, **{"epochs": 1, "log_every": 5, "quiet": True} | options)


def events(fitted: Fitted) -> list[str]:
    return [line["message"] for line in fitted.history if line["kind"] == "event"]


def test_auto_trains_as_the_device_multiplies(native: bool, data: Data, build: Build) -> None:
    name, other = ("bf16-mixed", "fp32") if native else ("fp32", "bf16-mixed")
    auto = trained(build, data, precision="auto")
    assert events(auto) == [f"precision: {name}, as this device has it"]
    losses, same, different = (
        [line["loss"] for line in run.history if line["kind"] == "train"]
        for run in (auto, trained(build, data, precision=name), trained(build, data, precision=other))
    )
    assert losses == same != different


def test_what_is_asked_for_is_done_and_told_where_it_is_slow(native: bool, data: Data, build: Build) -> None:
    assert events(trained(build, data, precision="bf16-mixed")) == ([] if native else [precision.EMULATED])
    assert not events(trained(build, data))


def test_a_run_that_goes_on_elsewhere_tells_of_another_precision(
    data: Data, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has(True, monkeypatch)
    whole = {"epochs": 2, "precision": "auto", "run": tmp_path / "run", "quiet": True}
    with monkeypatch.context() as stopping:
        stopping.setattr("flowvae.engine.interrupt.Stop.number", 15, raising=False)
        with pytest.raises(KeyboardInterrupt):
            fit(build(), data, **whole)
    has(False, monkeypatch)
    told = events(fit(build(), data, resume=True, **whole))
    assert told[-1] == "from here on in fp32, as this device has it; in bf16-mixed until now"


@pytest.mark.parametrize(("capabilities", "expected"), [((True, False), True), ((False, True), True), ((), False)])
def test_a_cpu_is_asked_for_what_torch_can_tell(
    capabilities: tuple[bool, ...], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With neither question in torch, as in earlier versions, the answer is no."""
    for number, name in enumerate(("_is_avx512_bf16_supported", "_is_amx_tile_supported")):
        monkeypatch.delattr(torch.cpu, name, raising=False)
        if capabilities:
            monkeypatch.setattr(torch.cpu, name, lambda told=capabilities[number]: told, raising=False)
    assert precision.multiplies_bf16(torch.device("cpu")) is expected
