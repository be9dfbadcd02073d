"""Learned structures in training: phases freeze them, runs keep them, interruptions leave no trace."""

from pathlib import Path
from typing import Any

import pytest
import torch

from flowvae.data import Data
from flowvae.engine import Interrupted, fit, load, load_weights, read_journal
from flowvae.engine.ema import Average
from flowvae.engine.freezing import settle
from flowvae.engine.loop import Loop
from flowvae.errors import InputError
from flowvae.latents.gates import Relaxed
from flowvae.model import VAE, build_model
from flowvae.nn import BatchNorm

PHASES = [{"epochs": 2}, {"epochs": 2, "freeze": "gates", "reset": True}]
OPTIONS: dict[str, Any] = {"phases": PHASES, "ema": 0.9, "quiet": True, "log_every": 4, "optimiser": {"lr": 0.02}}

TIMES = ("seconds", "samples_per_second")


def model(data: Data, gates: str = "score") -> VAE:
    torch.manual_seed(1)
    narrow = {"widths": [16, 12], "norm": "batch"}
    posterior = {"width": 12, "depth": 1, "flow": {"name": "iaf", "steps": 1, "width": 8}}
    latents = {"name": "graph", "nodes": 3, "dim": 2, "gates": gates, "posterior": posterior}
    return build_model({"encoder": narrow, "latents": latents, "likelihood": {"decoder": narrow}}, data)


def test_a_phase_freezes_the_learned_graph_and_the_run_keeps_it(data: Data, tmp_path: Path) -> None:
    fitted = fit(model(data, "relaxed"), data, run=tmp_path / "run", **OPTIONS)
    gates = fitted.model.latents.gates
    told = [record["gates"] for record in fitted.history if record["kind"] == "validation"]
    assert len(told) == 4
    assert told[0] != told[1] == told[2] == told[3]
    assert gates.frozen
    assert gates.structure.tolist() == [float(mean >= 0.5) for mean in told[-1]]
    assert not torch.equal(gates.logits, torch.zeros(3)), "the learned values outlive the reset"
    assert fitted.best_epoch is not None
    assert fitted.best_epoch > 2, "the bound of open gates is another model's"
    again = load(tmp_path / "run")
    assert again.latents.gates.frozen
    assert again.latents.gates.structure.equal(gates.structure)
    assert not load(tmp_path / "run", "initial").latents.gates.frozen


def test_gates_that_are_given_cannot_be_frozen(data: Data) -> None:
    with pytest.raises(InputError, match="expected a part that learns; got 'gates', without parameters: leave it out"):
        fit(model(data, "open"), data, **OPTIONS)


def test_gates_are_told_the_epochs_since_the_last_reset(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(Relaxed, "anneal", lambda self, epochs: told.append(epochs))
    phases = [{"epochs": 1}, {"epochs": 1}, {"epochs": 1, "reset": True}]
    steps = fit(model(data, "relaxed"), data, **OPTIONS | {"phases": phases}).steps // 3
    clock = [step / steps for step in range(2 * steps)]
    assert told == pytest.approx(clock + clock[:steps])


def test_a_later_phase_may_learn_again(data: Data) -> None:
    phases = [{"epochs": 1, "freeze": "gates"}, {"epochs": 1}]
    fitted = fit(model(data), data, **OPTIONS | {"phases": phases})
    assert not fitted.model.latents.gates.frozen


@pytest.mark.parametrize("last", [7, 13, 18, 25])
def test_interrupted_at_any_step_it_ends_with_the_same_bits(
    last: int, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(model(data), data, run=tmp_path / "whole", **OPTIONS)
    after_step = Loop.after_step

    def interrupted(self: Loop, stop: Any) -> None:
        after_step(self, stop)
        if self.state.step == last:
            self.save()
            raise Interrupted("", 2)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "after_step", interrupted)
        with pytest.raises(Interrupted):
            fit(model(data), data, run=tmp_path / "parts", **OPTIONS)
    fit(model(data), data, run=tmp_path / "parts", resume=True, **OPTIONS)
    for which in ("best", "last"):
        ours, theirs = (load_weights(tmp_path / name / f"{which}.safetensors") for name in ("parts", "whole"))
        for name, value in theirs.items():
            assert ours[name].equal(value) if isinstance(value, torch.Tensor) else ours[name] == value, (which, name)
    told, known = (
        [{key: value for key, value in line.items() if key not in TIMES} for line in lines if line["kind"] != "event"]
        for lines in (read_journal(tmp_path / "parts" / "journal.jsonl"), whole.history)
    )
    assert told == known


def test_settling_says_when_a_graph_is_decided(data: Data) -> None:
    vae = model(data)
    assert [settle(vae, parts) for parts in ([], ["gates"], ["gates"], [], ["latents"])] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_the_average_includes_the_statistics_that_normalise(data: Data) -> None:
    vae = model(data).train()
    average = Average(vae, 0.9)
    vae(data.train.batch(torch.arange(64)))
    average.update()
    names = [name for name in average.values if "running_" in name]
    assert len(names) == 8
    state = vae.state_dict()
    for name in names:
        start = torch.zeros_like(state[name]) if name.endswith("mean") else torch.ones_like(state[name])
        torch.testing.assert_close(average.values[name], 0.1 * start + 0.9 * state[name])


def test_a_batch_that_is_not_finite_leaves_the_statistics_alone() -> None:
    norm = BatchNorm(3).train()
    x = torch.randn(2, 4, 3)
    theirs = torch.nn.BatchNorm1d(3)
    torch.testing.assert_close(norm(x).flatten(0, 1), theirs(x.flatten(0, 1)))
    kept = norm.running_mean.clone(), norm.running_var.clone()
    torch.testing.assert_close(kept, (theirs.running_mean, theirs.running_var))
    norm(x.index_fill(1, torch.tensor([2]), torch.inf))
    assert norm.running_mean.equal(kept[0])
    assert norm.running_var.equal(kept[1])
