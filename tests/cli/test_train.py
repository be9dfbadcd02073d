"""Training by command: what a run holds, that it repeats itself, and how it stops and goes on."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flowvae.cli import main
from flowvae.cli.shared import load_recipe
from flowvae.config import Config
from flowvae.engine import load_weights, read_journal
from tests.cli.conftest import SMALL, Command, environment, run_process

FILES = {
    "config.toml", "environment.json", "journal.jsonl", "checkpoint.pt",
    "initial.safetensors", "best.safetensors", "last.safetensors",
}  # fmt: skip


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_weights(run / "last.safetensors")


def same(a: Path, b: Path) -> bool:
    one, other = weights(a), weights(b)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_holds_all_that_says_what_it_is(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} >= FILES
    config = Config.load(trained / "config.toml")
    assert (config.latents["dim"], config.training["epochs"], config.evaluation.samples) == (3, 4, 20)
    assert config.data["name"] == "digits"
    record = json.loads((trained / "environment.json").read_text())
    assert record["data"]["name"] == "digits"
    assert "train digits-iaf --out run" in record["command"]
    journal = read_journal(trained / "journal.jsonl")
    assert [line["epoch"] for line in journal if line["kind"] == "validation"] == [1, 2, 3, 4]
    said = (trained.parent / "train.txt").read_text()
    best = max(line["elbo"] for line in journal if line["kind"] == "validation")
    assert f"best validation ELBO {best:.2f}" in said
    assert "next: flowvae evaluate run" in said


def test_the_resolved_recipe_repeats_the_run(trained: Path, tmp_path: Path) -> None:
    assert main(["train", str(trained / "config.toml"), "--out", str(tmp_path / "again"), "--quiet"]) == 0
    assert same(trained, tmp_path / "again")
    assert (tmp_path / "again" / "config.toml").read_text() == (trained / "config.toml").read_text()


def test_commands_print_no_warnings_of_torch_to_itself() -> None:
    """As its compiler gives them on a covariance's determinant, when there is nothing in its cache."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main(["--version"]) == 0
        for module in ("torch._inductor.lowering", "users.own"):
            warnings.warn_explicit(module, FutureWarning, "a.py", 1, module)
    assert [str(warning.message) for warning in caught] == ["users.own"]


def test_another_seed_is_another_run(trained: Path, tmp_path: Path) -> None:
    arguments = ["train", str(trained / "config.toml"), "--out", str(tmp_path / "other"), "--set", "seed=1", "--quiet"]
    assert main(arguments) == 0
    assert not same(trained, tmp_path / "other")
    first, other = (load_weights(run / "initial.safetensors") for run in (trained, tmp_path / "other"))
    assert not torch.equal(first["encoder.net.0.weight"], other["encoder.net.0.weight"])


def test_quiet_says_nothing_and_json_one_object(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--out", str(tmp_path / "a"), *SMALL, "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")
    assert main(["train", "digits", "--out", str(tmp_path / "b"), *SMALL, "--json"]) == 0
    said = capfd.readouterr()
    summary = json.loads(said.out)
    assert said.err == ""
    assert (summary["epochs"], summary["steps"]) == (4, 4 * 9)
    journal = read_journal(tmp_path / "b" / "journal.jsonl")
    assert summary["validation_elbo"] == max(line["elbo"] for line in journal if line["kind"] == "validation")


def test_ones_own_data(command: Command, grey: Path, tmp_path: Path) -> None:
    command("train", "digits", "--data", grey, "--set", "data.binarise=dynamic", "--out", "run", *SMALL, "-q")
    config = Config.load(tmp_path / "run" / "config.toml")
    assert (config.data["name"], config.data["path"], config.data["binarise"]) == ("file", str(grey), "dynamic")
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["data"]["sizes"]["train"] == 288


@pytest.mark.parametrize(
    ("own", "binarise"),
    [
        ('"digits"', "dynamic"),
        ('{ name = "digits", binarise = "threshold" }', "threshold"),
        ('"gone.npy"', "none"),
        ('{ name = "gone.npy", binarise = "dynamic" }', "dynamic"),
    ],
)
def test_other_data_become_bits_as_the_recipe_s_own(own: str, binarise: str, grey: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(f"data = {own}\n")
    path = shutil.copy(grey, tmp_path / "grey \N{GRINNING FACE}.npy")
    data = load_recipe(str(tmp_path / "recipe.toml"), None, str(path), None).data
    assert (data["name"], data["path"], data["binarise"]) == ("file", str(path), binarise)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_command_it_names_goes_on(number: int, code: int, tmp_path: Path) -> None:
    arguments = [*SMALL, "--set", "training.epochs=300", "--set", "training.patience=290"]
    process = subprocess.Popen(
        [sys.executable, "-m", "flowvae", "train", "digits", "--out", "a run", *arguments],
        cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    journal = tmp_path / "a run" / "journal.jsonl"
    while process.poll() is None and not (journal.exists() and journal.read_text().count("\n") > 4):
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    last = said.strip().splitlines()[-1]
    assert last.startswith("flowvae: interrupted at step ")
    resume = shlex.split(re.search("`flowvae (.*?)`", last)[1])
    assert resume == ["train", "a run/config.toml", "--out", "a run", "--resume"]
    steps = max(line.get("step", 0) for line in read_journal(journal))
    assert 0 < steps < 300 * 9
    if number == signal.SIGINT:
        done = run_process(*resume, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "resumed at step" in done.stderr
        assert read_journal(journal)[-1]["step"] == 300 * 9


def test_resuming_with_another_recipe_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = str(trained / "config.toml")
    assert main(["train", recipe, "--out", str(trained), "--resume", "--set", "optimiser.lr=0.5"]) == 2
    assert "expected optimiser.lr = 0.003 as in the run" in capsys.readouterr().err


def test_resuming_what_is_not_there_is_refused(refused: Callable[..., str], tmp_path: Path) -> None:
    said = refused("train", "digits", "--out", "typo", "--resume", *SMALL)
    assert "expected the folder of a run to resume; got 'typo', which does not exist: check the path" in said
    assert not (tmp_path / "typo").exists()


PLUGIN = '''
"""A flow in one file: z + shift."""
import torch
from torch import nn
from flowvae.flows import Flow
from flowvae.registry import Positive, register
from flowvae.transforms import Transform
from torch.distributions import constraints

class Shift(Transform):
    domain = codomain = constraints.real_vector
    bijective = True
    def __init__(self, by):
        super().__init__()
        self.by = by
    def call_and_ladj(self, x):
        return x + self.by, torch.zeros_like(x[..., 0])
    def _inverse(self, y):
        return y - self.by

@register("flow", "shifted")
class Shifted(Flow):
    """z = z_0 + c: as good as no flow."""
    def __init__(self, event_shape, context=0, *, start: Positive = 0.5):
        super().__init__(event_shape, context)
        self.by = nn.Parameter(torch.full(tuple(event_shape), start))
    def forward(self, h=None):
        return Shift(self.by)
'''


def test_a_plugin_is_a_component_like_any_other(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    assert "start  float > 0  0.5" in command("show", "shifted", "--plugin", "mine.py").stdout
    flow = ["--set", "latents.posterior.flow.name=shifted", "--set", "latents.posterior.flow.start=0.25"]
    said = command("train", "digits", "--out", "my run", *SMALL, *flow, "--plugin", "mine.py").stderr
    (following,) = (line for line in said.splitlines() if line.startswith("next: flowvae "))
    assert "ELBO" in command(*shlex.split(following)[2:]).stdout
    done = run_process("evaluate", "my run", cwd=tmp_path)
    assert done.returncode == 2
    assert "expected a flow; got 'shifted'" in done.stderr
    assert f"the run was made with --plugin {tmp_path / 'mine.py'}: give it again" in done.stderr
