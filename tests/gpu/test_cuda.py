"""What only a GPU shows, in a few minutes of one: ``make gpu``.

With FLOWVAE_GPU=cpu the same runs on the CPU, where it shows that the tests themselves are sound.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flowvae.data import Data, load_data
from flowvae.engine import Fitted, Interrupted, fit
from flowvae.engine.loop import Loop
from flowvae.evaluation import evaluate
from flowvae.model import build_model

ACCELERATOR = os.environ.get("FLOWVAE_GPU", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(ACCELERATOR == "cuda" and not torch.cuda.is_available(), reason="no GPU"),
]

NET = {"name": "mlp", "width": 32, "depth": 1}


def flat(prior: str = "standard", **posterior: Any) -> dict[str, Any]:
    latents = {"name": "flat", "dim": 6, "posterior": {"name": "gaussian", **posterior}, "prior": prior}
    return {"encoder": NET, "latents": latents, "likelihood": {"name": "bernoulli", "decoder": NET}}


def graph(gates: str) -> dict[str, Any]:
    latents = {
        "name": "graph",
        "nodes": 3,
        "dim": 2,
        "gates": gates,
        "posterior": {"flow": {"name": "iaf", "steps": 1}},
    }
    return {"encoder": NET, "latents": latents, "likelihood": {"name": "bernoulli", "decoder": NET}}


def flow(name: str, **options: Any) -> dict[str, Any]:
    return flat(flow={"name": name, "steps": 2, **options})


MODELS: dict[str, dict[str, Any]] = {
    "diagonal": flat(),
    "full": flat(family="full"),
    "lowrank": flat(family="lowrank"),
    "planar": flow("planar"),
    "sylvester": flow("sylvester"),
    "iaf": flow("iaf", width=32, normed=True),
    "realnvp": flow("realnvp", width=32),
    "spline": flow("spline", width=32),
    "mixture-prior": flat("mixture"),
    "flow-prior": flat("flow"),
    "relaxed": graph("relaxed"),
    "score": graph("score"),
    "resnet": flat() | {
        "encoder": {"name": "resnet", "channels": 4, "features": 16},
        "likelihood": {"name": "bernoulli", "decoder": {"name": "resnet", "channels": 4, "features": 16}},
    },
    "ladder": {
        "encoder": {"name": "bottom_up", "width": 8, "depths": [2, 1]},
        "latents": {
            "name": "ladder", "dim": 2, "width": 8, "context": 4, "flow": {"name": "iaf", "steps": 1, "width": 8},
        },
        "likelihood": {"name": "bernoulli", "decoder": {"name": "upsample", "kernel": 3}},
    },
}  # fmt: skip

MANNERS: dict[str, dict[str, Any]] = {
    "compiled": {"compile": "on", "cuda_graphs": False},
    "graphs": {"compile": "on", "cuda_graphs": True},
    "channels": {"compile": "off", "channels_last": "on"},
}
TRIED = [
    *(("compiled", name) for name in ("iaf", "ladder")),
    *(("graphs", name) for name in ("iaf", "full", "relaxed", "ladder")),
    *(("channels", name) for name in ("resnet", "ladder")),
]
"""A compilation takes half a minute, and a lent GPU has few."""


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data("digits", binarise="dynamic")


def trained(data: Data, name: str, **options: Any) -> Fitted:
    """Some fifty steps, five validations and as many checkpoints."""
    torch.manual_seed(1)
    model = build_model(MODELS[name], data)
    common = {"epochs": 5, "log_every": 1, "ema": 0.9, "quiet": True, "accelerator": ACCELERATOR}
    return fit(model, data, **common | {"compile": "off", "channels_last": "off"} | options)


def losses(fitted: Fitted) -> list[float]:
    return [record["loss"] for record in fitted.history if record["kind"] == "train"]


@pytest.mark.parametrize(("manner", "name"), TRIED)
def test_every_manner_of_training_is_the_plain_one(data: Data, manner: str, name: str) -> None:
    plain, other = trained(data, name), trained(data, name, **MANNERS[manner])
    assert losses(other) == pytest.approx(losses(plain), rel=0.01)
    assert other.best_elbo == pytest.approx(plain.best_elbo, rel=0.01)
    assert not [record for record in other.history if "without compilation" in str(record)]


def test_a_run_goes_on_as_if_it_had_not_stopped(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(data, "iaf", **MANNERS["graphs"])
    after_step = Loop.after_step

    def interrupted(self: Loop, stop: Any) -> None:
        after_step(self, stop)
        if self.state.step == 25:
            self.save()
            raise Interrupted("", 2)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "after_step", interrupted)
        with pytest.raises(Interrupted):
            trained(data, "iaf", run=tmp_path / "run", **MANNERS["graphs"])
    parts = trained(data, "iaf", run=tmp_path / "run", resume=True, **MANNERS["graphs"])
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-3)
    assert parts.best_elbo == pytest.approx(whole.best_elbo, rel=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_evaluation_is_that_of_the_cpu(data: Data, name: str) -> None:
    """Of other noise, and so the same up to its error."""
    model, test = trained(data, name, epochs=1).model, data.test.take(100)
    here = evaluate(model.to(ACCELERATOR), test, samples=500)
    there = evaluate(model.to("cpu"), test, samples=500)
    assert here.elbo == pytest.approx(there.elbo, abs=0.05)
    assert here.log_likelihood == pytest.approx(there.log_likelihood, abs=0.05)


def test_the_commands_and_forked_jobs(tmp_path: Path) -> None:
    def flowvae(*arguments: str) -> str:
        command = [sys.executable, "-m", "flowvae", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    short = ["--set", "training.epochs=2", "--set", f"training.accelerator={ACCELERATOR}"]
    flowvae("train", "digits-iaf", "--out", "run", "--quiet", *short)
    assert np.isfinite(json.loads(flowvae("evaluate", "run", "--samples", "50", "--json"))["log_likelihood"])
    flowvae("sample", "run", "-n", "16", "-o", "grid.png")
    flowvae("report", "run")
    assert (tmp_path / "grid.png").stat().st_size > 0
    study = tmp_path / "two.toml"
    study.write_text(
        'title = "Two"\ndescription = "Two."\nseeds = [0]\nbase = "digits-iaf"\n[evaluation]\nsamples = 10\n'
        + "".join(
            f'[[rows]]\nname = "{name}"\nlabel = "{name}"\n'
            f'overrides = {{ "training.epochs" = 1, "training.accelerator" = "{ACCELERATOR}" }}\n'
            for name in ("a", "b")
        )
    )
    flowvae("study", "run", str(study), "--jobs", "2", "--quiet")
    rows = json.loads((tmp_path / "results" / "two.json").read_text())["rows"]
    assert [len(row["runs"]) for row in rows] == [1, 1]
