"""Commands as processes, and one trained run that most tests share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import flowvae
from flowvae.cli import main
from flowvae.data import load_data

TINY = (
    "encoder.width=24", "likelihood.decoder.width=24", "latents.dim=3", "training.epochs=4", "objective.warmup=0",
    "training.log_every=5", "evaluation.samples=20",
)  # fmt: skip
SMALL = [argument for change in TINY for argument in ("--set", change)]

Command = Callable[..., subprocess.CompletedProcess[str]]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(flowvae.__file__).parents[1]), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def run_process(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flowvae", *map(str, arguments)],
        cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """``command("train", "digits", ...)`` in an empty folder; it must succeed."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done = run_process(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``refused("train", ...)`` in this process: exit code 2, nothing on stdout, one sentence, which is returned."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("flowvae: ")
        assert said.err.count("\n") == 1
        return said.err

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny IAF run on digits, trained and evaluated by the commands."""
    folder = tmp_path_factory.mktemp("shared")
    done = run_process(
        "train", "digits-iaf", "--out", "run", *SMALL, "--set", "latents.posterior.flow.width=8", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    (folder / "train.txt").write_text(done.stdout + done.stderr)
    done = run_process("evaluate", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "evaluate.txt").write_text(done.stdout)
    return folder / "run"


@pytest.fixture(scope="session")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test digits as a file of intensities in [0, 1], in the order of the split."""
    test = load_data("digits").test
    path = tmp_path_factory.mktemp("grey") / "digits.npy"
    np.save(path, test.values.numpy() / np.float32(test.scale))
    return path
