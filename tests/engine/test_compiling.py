import shutil

import pytest
import torch

from flowvae.engine import compiling, fit, loop
from flowvae.engine.options import training_options
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
        assert options.keys() <= set(torch._inductor.list_options())
        return "triton.cudagraphs" in options

    assert graphs("cuda", 1)
    assert not graphs("cpu", 1)
    assert not graphs("cuda", 2)
    assert not graphs("cuda", 1, cuda_graphs=False)


def test_auto_compiles_long_runs_of_large_nets_only():
    small, large = torch.nn.Linear(10, 10), torch.nn.Linear(1000, 1000)
    assert not compiling.worth_compiling(small, 5_000, 128)
    assert not compiling.worth_compiling(large, 500, 128)
    assert compiling.worth_compiling(large, 80_000, 128)


def test_without_a_compiler_auto_trains_and_on_refuses(data, build, monkeypatch):
    for module in (compiling, loop):
        monkeypatch.setattr(module, "can_compile", lambda device: False)
    monkeypatch.setattr(compiling, "COST", 0.0)
    fitted = fit(build(), data, epochs=1, quiet=True)
    assert "no C++ compiler" in fitted.history[0]["message"]
    with pytest.raises(InputError, match=r"no C\+\+ compiler.*training\.compile=off"):
        fit(build(), data, epochs=1, compile="on", quiet=True)


def test_bf16_follows_fp32(data, build):
    exact = fit(build(), data, epochs=2, quiet=True)
    mixed = fit(build(), data, epochs=2, precision="bf16-mixed", quiet=True)
    assert mixed.best_elbo != exact.best_elbo
    assert mixed.best_elbo == pytest.approx(exact.best_elbo, abs=0.05)
    assert {p.dtype for p in mixed.model.parameters()} == {torch.float32}
