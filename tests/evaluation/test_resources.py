"""Memory within its budget, and compiled terms that are the eager ones."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from flowvae.data import Split
from flowvae.engine import compiling
from flowvae.engine.compiling import can_compile
from flowvae.errors import InputError
from flowvae.evaluation import encode, evaluate, memory, passing, score, terms
from flowvae.evaluation.context import evaluating
from flowvae.model import build_model

GROWTH = """
import sys, threading, time
from pathlib import Path
import torch
from flowvae.data import Split
from flowvae.evaluation import evaluate
from flowvae.model import build_model

torch.set_num_threads(1)
width, flow, memory = int(sys.argv[1]), sys.argv[2], sys.argv[3]
split = Split((torch.rand(2, 784) < 0.3).float())

def model(width):
    net, latents = {"width": width}, {"dim": 32, "posterior": {"flow": flow} if flow else {}}
    return build_model({"encoder": net, "latents": latents, "likelihood": {"decoder": net}}, (784,))

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

evaluate(model(4), split, samples=2)  # what a first call brings in
wide, peak, done = model(width), 0, False

def watch():
    global peak
    while not done:
        peak = max(peak, resident())
        time.sleep(0.001)

before, thread = resident(), threading.Thread(target=watch)
thread.start()
evaluate(wide, split, samples=5000, memory=memory)
done = True
thread.join()
print(peak - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("width", "flow"), [(500, ""), (500, "iaf"), (1000, "planar")])
def test_5000_samples_keep_to_their_memory(width, flow):
    """Held at once, the activations of one datum's draws would take more than 50 MiB at any of these widths."""
    command = [sys.executable, "-c", GROWTH, str(width), flow, "32MiB"]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert 2**20 < grown < 32 * 2**20


def ladder(dim):
    encoder = {"name": "bottom_up", "width": 4, "depths": [1, 1]}
    return build_model({"encoder": encoder, "latents": {"name": "ladder", "dim": dim, "width": 4}}, (1, 8, 8))


def test_many_latents_of_many_data_keep_to_their_memory():
    """4 moments of 1,280 latents in double precision are 40 KiB a datum: those of 500 data would take 20 MiB."""
    with memory.Footprint() as footprint:
        evaluate(ladder(64), Split(torch.rand(500, 1, 8, 8)), samples=1, memory="8MiB")
    assert footprint.peak < 8 * 2**20


def test_of_the_draws_behind_a_code_one_is_kept():
    model, peaks = ladder(8), []
    for count in (48, 192):
        with memory.Footprint() as footprint:
            arrays = encode(model, Split(torch.rand(count, 1, 8, 8)), samples=64)
        peaks.append(footprint.peak)
    assert peaks[1] - peaks[0] < 2 * sum(array.nbytes for array in arrays.values())


def test_what_a_chunk_takes_whatever_its_size_is_not_counted_for_every_draw(monkeypatch):
    """A masked weight of 700 x 700 takes most of a quarter of the memory, and each draw next to nothing."""
    flow = {"name": "iaf", "steps": 1, "width": 700}
    model = build_model({"encoder": {"width": 8}, "latents": {"dim": 4, "posterior": {"flow": flow}}}, (6,))
    chunks, run = [], terms.terms
    monkeypatch.setattr(terms, "terms", lambda *chunk: chunks.append(chunk) or run(*chunk))
    evaluate(model, Split(torch.rand(4, 6)), samples=64, memory="24MiB")
    assert len(chunks) < 32


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="no compiler")
@pytest.mark.parametrize("posterior", ["diagonal", "iaf"])
def test_compiled_terms_are_the_eager_ones(build, split, posterior, monkeypatch):
    monkeypatch.setattr(memory, "CPU_PAIRS", 60)  # whole chunks, and remainders of data and draws
    model = build(posterior)
    eager = evaluate(model, split, samples=50, compile="off")
    compiled = evaluate(model, split, samples=50, compile="on")
    for name, values in vars(eager.per_datum).items():
        np.testing.assert_allclose(vars(compiled.per_datum)[name], values, rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(compiled.kl_per_dimension, eager.kl_per_dimension, rtol=1e-4, atol=1e-4)
    # trained further, the same model: nothing of the weights is compiled in
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(0.7)
    again = score(model, split, samples=50, compile="on")
    np.testing.assert_allclose(again, score(model, split, samples=50, compile="off"), rtol=1e-5, atol=1e-5)
    assert (abs(again - eager.per_datum.log_px_hat) > 0.01).any()


def spied(monkeypatch, can: bool) -> list[bool]:
    """Whether each pass from now on asks for compiled terms, which are never made."""
    asked = []
    for module in (compiling, passing):
        monkeypatch.setattr(module, "can_compile", lambda device: can)
    monkeypatch.setattr(terms, "_compiled", lambda *key: asked.append(True) or terms.terms)
    return asked


@pytest.mark.parametrize("off", [0.0, 1e-6, 0.01, float("nan")])
@pytest.mark.parametrize("term", ["log_px", "kl"])
def test_a_compiler_with_a_fault_is_found_at_the_first_chunk(build, split, monkeypatch, caplog, term, off):
    """Whichever term is off: the plain ones are those that count."""

    def faulty(*chunk: object) -> terms.Terms:
        calls.append(chunk)
        found = plain(*chunk)
        wrong = {"log_px": found.log_px * (1 + off)} if term == "log_px" else {"kl": [found.kl[0] + 90 * off]}
        return found._replace(**wrong)

    calls, plain = [], terms.terms
    monkeypatch.setattr(memory, "CPU_PAIRS", 50)
    monkeypatch.setattr(terms, "_compiled", lambda *key: faulty)
    expected = score(build(), split, samples=50, compile="off")
    found = score(build(), split, samples=50, compile="on")
    if abs(off) < 1e-4:
        assert len(calls) > len(split)
        assert not caplog.messages
    else:
        assert len(calls) == 1
        assert caplog.messages == ["evaluating without compilation: compiled terms were off the plain ones"]
        np.testing.assert_array_equal(found, expected)


def test_compilation_is_by_sizes_alone(build, split, monkeypatch):
    asked = spied(monkeypatch, can=True)
    score(build(), split, samples=50)
    score(build(), split, samples=50, compile="off")
    assert not asked
    monkeypatch.setattr(compiling, "COST", 1e-9)
    score(build(), split, samples=50)
    assert asked


def test_without_a_compiler_auto_is_eager_and_on_is_refused(build, split, monkeypatch):
    asked = spied(monkeypatch, can=False)
    monkeypatch.setattr(compiling, "COST", 1e-9)
    score(build(), split, samples=50)
    assert not asked
    with pytest.raises(InputError, match=r"expected a compiler; got no C\+\+ compiler.* or use compile = 'auto'"):
        score(build(), split, samples=50, compile="on")


def test_a_fresh_process_can_ask_for_the_compiler_of_a_gpu():
    command = "import torch; from flowvae.engine.compiling import can_compile; can_compile(torch.device('cuda'))"
    subprocess.run([sys.executable, "-c", command], check=True)


def test_a_gpu_convolves_in_single_precision_while_it_evaluates(build):
    assert torch.backends.cudnn.allow_tf32
    with evaluating(build(), seed=0):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("posterior", ["diagonal", "full", "iaf", "planar"])
def test_on_a_gpu(build, split, posterior):
    """Other numbers than the CPU's, of the same distribution; independent of chunks there too."""
    on_cpu = evaluate(build(posterior), split, samples=2000)
    model = build(posterior).cuda()
    on_gpu = evaluate(model, split, samples=2000)
    np.testing.assert_allclose(on_gpu.per_datum.elbo, on_cpu.per_datum.elbo, atol=0.3)
    np.testing.assert_allclose(score(model, split, 2000, memory="1MiB"), on_gpu.per_datum.log_px_hat, rtol=1e-5)
