"""Sequences through the engine: exact resumption, no compilation, slow parts, runs opened again."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from flowvae import VAE, build_model, evaluate, fit, load
from flowvae.data import Data, load_data
from flowvae.engine import Interrupted, compiling, loop
from flowvae.engine.adam import Adam
from flowvae.errors import InputError
from flowvae.schema import Schema

SPEC = {
    "encoder": {"name": "rnn", "width": 12, "embedding": 6},
    "latents": {"dim": 3},
    "likelihood": {
        "name": "sequence", "decoder": {"name": "lstm", "width": 12}, "embedding": 6, "word_dropout": 0.2,
        "scheduled": 0.3,
    },
}  # fmt: skip
OPTIONS = {"objective": {"warmup": 1}, "batch_size": 50, "log_every": 3, "quiet": True}
PHASES = [{"epochs": 1, "every": {"likelihood": 3}}, {"epochs": 2}]


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("grammar", count=500)


def build(data: Data) -> VAE:
    torch.manual_seed(1)
    return build_model(SPEC, data)


def test_a_resumed_run_is_the_same_bit_for_bit(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(build(data), data, run=tmp_path / "whole", phases=PHASES, **OPTIONS)
    for stops in (5, 12):

        @contextmanager
        def stopping(after: int = stops) -> Iterator[SimpleNamespace]:
            asked = iter(range(1000))
            yield type("Stop", (), {"number": property(lambda self: signal.SIGINT if next(asked) == after else 0)})()

        run = tmp_path / f"stopped-{stops}"
        with monkeypatch.context() as patch:
            patch.setattr(loop, "asked_to_stop", stopping)
            with pytest.raises(Interrupted):
                fit(build(data), data, run=run, phases=PHASES, **OPTIONS)
        resumed = fit(build(data), data, run=run, phases=PHASES, resume=True, **OPTIONS)
        assert resumed.steps == whole.steps == 24
        for name, weight in whole.model.state_dict().items():
            assert torch.equal(resumed.model.state_dict()[name], weight), name


def test_a_run_knows_its_schema(data: Data, tmp_path: Path) -> None:
    model = fit(build(data), data, run=tmp_path / "run", epochs=1, **OPTIONS).model
    again = load(tmp_path / "run")
    assert isinstance(again.event_shape, Schema)
    assert again.event_shape == data.event_shape
    ours, theirs = (evaluate(m, data.test, samples=20) for m in (model, again))
    assert ours.to_dict() == theirs.to_dict()
    small = evaluate(again, data.test, samples=20, memory="4MiB")
    assert small.log_likelihood == pytest.approx(ours.log_likelihood, abs=1e-5)
    other = load_data("grammar", count=500, features="discrete")
    with pytest.raises(InputError, match="expected data of shape"):
        fit(again, other, epochs=1)


def test_auto_does_not_compile_what_the_compiler_breaks_at(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = build_model({"latents": {"dim": 2}}, (4,))
    for model, expected in ((build(data), False), (plain, True)):
        assert compiling.worth_compiling(model, seconds=1e9, calls=1) is expected
    monkeypatch.setattr(compiling, "COST", 0.0)
    assert fit(build(data), data, epochs=1, **OPTIONS).history[0]["kind"] == "train"


def test_slow_parts_move_at_their_own_steps(data: Data) -> None:
    """Of eight steps, the decoder takes part in two, the encoder in all."""
    model = build(data)
    moves: dict[str, int] = {"encoder": 0, "likelihood": 0}
    watched = {"encoder": model.encoder.forwards.bias_hh_l0, "likelihood": model.likelihood.head.bias}
    before = {name: parameter.detach().clone() for name, parameter in watched.items()}
    step = Adam.step

    def counted(self: Adam, closure: None = None) -> None:
        step(self)
        for name, parameter in watched.items():
            moves[name] += not torch.equal(parameter, before[name])
            before[name] = parameter.detach().clone()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adam, "step", counted)
        fit(model, data, phases=[{"epochs": 1, "every": {"likelihood": 4}}], **OPTIONS)
    assert moves == {"encoder": 8, "likelihood": 2}


def test_an_unknown_slow_part_is_named(data: Data) -> None:
    with pytest.raises(InputError, match=r"phases.every: expected a part.*did you mean 'likelihood'"):
        fit(build(data), data, phases=[{"epochs": 1, "every": {"likelihod": 4}}], **OPTIONS)


def test_other_likelihoods_and_other_data_are_refused(data: Data) -> None:
    with pytest.raises(InputError, match=r"expected values in \[0, 1\] for 'bernoulli'; got sequences.*name=sequence"):
        fit(build_model({"latents": {"dim": 2}}, data), data, epochs=1)
    with pytest.raises(InputError, match="expected sequences; got data of shape"):
        build_model(SPEC, load_data("digits"))
