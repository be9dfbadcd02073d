import itertools
import os
import shutil
import signal
from functools import partial

import pytest
import torch

from flowvae.data import load_data
from flowvae.engine import Interrupted, compiling, fit, notices
from flowvae.engine.fit import run_config
from flowvae.engine.launch import launch
from flowvae.engine.options import training_options
from flowvae.engine.stage import Stage
from flowvae.engine.start import rehearse
from flowvae.engine.work import Work
from flowvae.errors import InputError
from flowvae.model import build_model

needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")


@needs_compiler
def test_a_compiled_run_follows_the_eager_one_draw_by_draw(data):
    def run(**options):
        torch.manual_seed(1)
        model = build_model({"encoder": {"width": 8, "depth": 1}, "latents": {"dim": 2}}, data)
        fitted = fit(model, data, log_every=1, objective={"warmup": 2}, quiet=True, **options)
        return fitted, [record["loss"] for record in fitted.history if record["kind"] == "train"]

    compiled, losses = run(compile="on", epochs=3)
    eager, expected = run(compile="off", epochs=3)
    assert losses == pytest.approx(expected, rel=1e-4)
    assert compiled.best_elbo == pytest.approx(eager.best_elbo, abs=1e-3)


def test_graphs_are_replayed_on_a_cuda_device_in_a_single_process():
    def graphs(device, processes, **options):
        options = compiling.compile_options(training_options(**options), torch.device(device), processes)
        assert options["fallback_random"]
        assert options.get("size_asserts", True) == (processes > 1)  # several compare no gradients
        assert options.keys() <= {"guard_filter_fn", *torch._inductor.list_options()}
        return "triton.cudagraphs" in options

    assert graphs("cuda", 1)
    assert not graphs("cpu", 1)
    assert not graphs("cuda", 2)
    assert not graphs("cuda", 1, cuda_graphs=False)


@pytest.mark.skipif(not hasattr(torch.compiler, "skip_all_guards_unsafe"), reason="guards cannot be filtered")
def test_a_compiled_step_sees_what_a_model_changes_in_itself():
    class Changing(torch.nn.Module):
        sign = 1

        def __init__(self):
            super().__init__()
            self.factor, self.inner, self.offsets = 2.0, torch.nn.ReLU(), [0.0]

        def forward(self, x):
            return self.sign * self.inner(x * self.factor) + sum(self.offsets)

    model, x, seen = Changing(), torch.tensor([-1.0, 2.0]), []

    def drop(guards):
        kept = compiling.watched(guards)
        seen.extend(kept)
        return kept

    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", options={"guard_filter_fn": drop})
    for change in (
        lambda: None,
        lambda: setattr(model, "factor", 3.0),
        lambda: setattr(model, "inner", torch.nn.Tanh()),
        lambda: model.offsets.append(1.0),
        lambda: setattr(model, "sign", -1),
        lambda: model.eval(),
    ):
        change()
        torch.testing.assert_close(compiled(x), model(x))
    assert not all(seen)  # and yet some guards are gone


def test_auto_compiles_long_runs_of_large_nets_only():
    def work(width, data):
        net = torch.nn.Linear(width, width)
        with torch.no_grad(), Work() as work:
            net(torch.zeros(data, width))
        return work

    def pays(work, steps, times):
        return compiling.worth_training(torch.nn.Linear(1, 1), [work], [steps], times)

    small, large = work(10, data=1), work(1000, data=1)
    assert not pays(small, 1_000, 128)
    assert not pays(large, 50, 128)
    assert pays(large, 80_000, 128)
    assert pays(large, 500, 128) > pays(large, 500, 1)


@needs_compiler
def test_auto_tells_that_it_compiles(data, build, monkeypatch):
    monkeypatch.setattr(compiling, "COST", 0.0)
    history = fit(build(), data, epochs=1, quiet=True).history
    assert history[0]["message"].startswith("compiling the step")


def test_a_compiled_step_with_other_gradients_is_not_trained_with(data, build, monkeypatch):
    """A compiler that forgets a factor; the run is that without compilation, from its first number on."""

    def wrong(step, options):
        plain = step.forward

        def forward(x, beta):
            loss, measured = plain(x, beta)
            return 1.5 * loss - 0.5 * loss.detach(), measured

        step.forward = forward

    def losses(fitted):
        return [record["loss"] for record in fitted.history if record["kind"] == "train"]

    expected = fit(build(), data, epochs=2, log_every=1, compile="off", quiet=True)
    monkeypatch.setattr("flowvae.engine.stage.compile_step", wrong)
    found = fit(build(), data, epochs=2, log_every=1, compile="on", quiet=True)
    assert "compiled gradients were 50% off the plain ones" in [r.get("message", "") for r in found.history][1]
    assert losses(found) == losses(expected)


@pytest.mark.slow
@needs_compiler
def test_a_compiled_ladder_follows_the_eager_one():
    """The compiler's choice of layouts made zero gradients of the maps of its smallest rung."""
    data = load_data("digits", binarise="none")
    spec = {
        "encoder": {"name": "bottom_up", "width": 8, "depths": [1, 1]},
        "latents": {"name": "ladder", "dim": 4, "width": 8, "context": 4},
        "likelihood": {"name": "discretised_logistic", "levels": 17, "decoder": {"name": "upsample", "kernel": 5}},
    }

    def run(compile):
        torch.manual_seed(1)
        history = fit(build_model(spec, data), data, epochs=1, log_every=1, compile=compile, quiet=True).history
        return [record for record in history if "off the plain ones" in record.get("message", "")], [
            record["loss"] for record in history if record["kind"] == "train"
        ]

    told, losses = run("on")
    assert told == []
    assert losses == pytest.approx(run("off")[1], rel=1e-5)


def test_work_is_calls_and_floating_point_operations_forward():
    """A convolution at every place of a map, which a count of its weights would miss; a product once a datum."""
    conv = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(4 * 64, 10))
    with torch.no_grad(), Work() as one:
        conv(torch.zeros(1, 1, 8, 8))
    with torch.no_grad(), Work() as three:
        conv(torch.zeros(3, 1, 8, 8))
    assert one.flops == 2 * (64 * 4 * 9 + 4 * 64 * 10)
    assert three.flops == 3 * one.flops
    assert three.calls == one.calls > 2
    assert one.seconds(3) == three.seconds()


def test_a_run_of_phases_counts_the_work_of_each(data, build):
    """A frozen part still computes: both phases ask for the same work, but only the longer run pays."""
    model, plan = build(), training_options(phases=[{"epochs": 1}, {"epochs": 1, "freeze": ["encoder"]}]).plan
    config = run_config(model, data, "elbo", "adam", "constant", training_options(), None)
    names = {name for name, _ in model.named_parameters()}
    stage_of = partial(Stage, model, config=config, trainable=names, steps_per_epoch=1)
    found = rehearse(model, data.train, plan, stage_of, launch(training_options()))
    assert [work.calls for work in found] == [found[0].calls] * 2
    assert found[0].flops > 0
    steps = 1 + 2 * compiling.COST / compiling.GAIN / (1 + compiling.BACKWARD) * found[0].calls / found[0].seconds()
    assert compiling.worth_training(model, found, [int(steps), int(steps) + 1], 1)
    assert not compiling.worth_training(model, found, [int(steps) + 1, 1], 1)


def test_without_a_compiler_auto_trains_and_on_refuses(data, build, monkeypatch):
    for module in (compiling, notices):
        monkeypatch.setattr(module, "can_compile", lambda device: False)
    monkeypatch.setattr(compiling, "COST", 0.0)
    fitted = fit(build(), data, epochs=1, quiet=True)
    assert "no C++ compiler" in fitted.history[0]["message"]
    with pytest.raises(InputError, match=r"no C\+\+ compiler.*training\.compile=off"):
        fit(build(), data, epochs=1, compile="on", quiet=True)


def test_a_compiled_run_goes_on_where_there_is_no_compiler(data, build, tmp_path, monkeypatch):
    model, calls = build(), itertools.count()
    model.register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT) if next(calls) == 10 else None)
    monkeypatch.setattr("flowvae.engine.stage.compile_step", lambda step, options: None)
    monkeypatch.setattr(compiling, "can_compile", lambda device: True)
    monkeypatch.setattr(notices, "can_compile", lambda device: True)
    options = {"epochs": 2, "compile": "on", "run": tmp_path / "run", "quiet": True}
    with pytest.raises(Interrupted):
        fit(model, data, **options)
    monkeypatch.setattr("flowvae.engine.stage.compile_step", lambda step, options: pytest.fail("compiled"))
    monkeypatch.setattr(notices, "can_compile", lambda device: False)
    fitted = fit(build(), data, resume=True, **options)
    assert fitted.epochs == 2
    assert "no C++ compiler" in [record["message"] for record in fitted.history if record["kind"] == "event"][-1]


def test_bf16_follows_fp32(data, build):
    exact = fit(build(), data, epochs=2, quiet=True)
    mixed = fit(build(), data, epochs=2, precision="bf16-mixed", quiet=True)
    assert mixed.best_elbo != exact.best_elbo
    assert mixed.best_elbo == pytest.approx(exact.best_elbo, abs=0.05)
    assert {p.dtype for p in mixed.model.parameters()} == {torch.float32}
