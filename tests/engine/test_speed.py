"""The benchmark of a recipe: its counts are exact, its times are times."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from flowvae import InputError, build_model, load_data
from flowvae.cli import main
from flowvae.engine import peaks
from flowvae.engine.peaks import peak_conv_flops, peak_flops
from flowvae.engine.speed import bench


def test_work_is_that_of_the_matrix_products() -> None:
    """Forward 2 D K a layer and datum, twice that backward, but for the first layer, whose input has no gradient."""
    digits = load_data("digits")
    tables = {
        "encoder": {"width": 24, "depth": 1},
        "latents": {"dim": 2},
        "likelihood": {"decoder": {"width": 40, "depth": 1}},
    }
    speed = bench(build_model(tables, digits), digits, steps=2, batch_size=32)
    others = 24 * 4 + 2 * 40 + 40 * 64
    assert speed.flops_per_datum == 2 * (2 * 64 * 24 + 3 * others)
    assert speed.fraction_of_peak == pytest.approx(
        speed.flops_per_datum * speed.samples_per_second / speed.peak_flops, rel=1e-6
    )
    assert speed.fraction_of_conv_peak * speed.peak_conv_flops == pytest.approx(
        speed.fraction_of_peak * speed.peak_flops, rel=1e-6
    )
    assert (speed.batch, speed.precision, speed.compiled) == (32, "fp32", False)
    assert speed.sample_one > 0
    assert speed.forward_one > 0


HELD = """
import torch
from flowvae.engine.peaks import most_held
cpu = torch.device("cpu")
before = most_held(cpu)
held = torch.ones(64 << 20)
del held
print(0.9 < (most_held(cpu) - before) / (256 << 20) < 1.5 if before else "untold")
"""


def test_memory_is_the_most_that_was_held() -> None:
    """In a process of its own: 256 MiB more, also when they are free again."""
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("True", "untold")


def test_half_precision_is_compared_with_the_peak_of_half_precision() -> None:
    digits = load_data("digits")
    model = build_model({"latents": {"dim": 2}}, digits)
    speed = bench(model, digits, steps=1, batch_size=8, precision="bf16-mixed")
    assert "bf16-mixed" in str(speed)
    assert peak_flops(torch.device("cpu"), torch.float32) > 1e8


def test_the_peak_of_convolutions_is_their_work_over_the_time_of_the_faster_layout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """8 maps of 64 channels at 32 x 32 with 3 x 3 kernels: what the counter of torch says of one pass."""
    times = iter((0.5, 0.25))
    passes = []

    def timed(run: Callable[[], Tensor], *_: object) -> float:
        with FlopCounterMode(display=False) as counter:
            passes.append(run())
        assert counter.get_total_flops() == 2 * 8 * 32**2 * 64**2 * 9
        return next(times)

    monkeypatch.setattr(peaks, "timed", timed)
    assert peak_conv_flops(torch.device("cpu"), torch.float32) == 2 * 8 * 32**2 * 64**2 * 9 / 0.25
    torch.testing.assert_close(*passes, rtol=1e-3, atol=1e-3)
    assert [y.is_contiguous() for y in passes] == [True, False]


def test_no_step_is_an_error() -> None:
    digits = load_data("digits")
    with pytest.raises(InputError, match="expected at least 1 step; got 0"):
        bench(build_model({}, digits), digits, steps=0)


def test_the_command_prints_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "digits", "--steps", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples_per_second"] > 0
    assert found["steps"] == 1
    assert main(["bench", "digits", "--steps", "2", "--set", "training.batch_size=16"]) == 0
    said = capsys.readouterr().out
    assert "in batches of 16" in said
    assert "medians of 2 steps" in said


def test_what_was_frozen_stays_as_it_is() -> None:
    digits = load_data("digits")
    model = build_model({"encoder": {"width": 8}, "latents": {"dim": 2}}, digits)
    model.encoder.requires_grad_(False)
    before = {name: p.clone() for name, p in model.named_parameters()}
    bench(model, digits, steps=2, batch_size=32)
    for name, p in model.named_parameters():
        assert p.requires_grad is not name.startswith("encoder."), name
        assert p.equal(before[name]) is name.startswith("encoder."), name
