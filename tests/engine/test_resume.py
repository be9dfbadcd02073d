"""A run that was killed ends as if it had not been."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from flowvae.engine import load, load_weights, read_journal
from flowvae.errors import InputError

SCRIPT = Path(__file__).with_name("train_digits.py")
OPTIONS = {
    "epochs": 60,
    "ema": 0.99,
    "clip": 20.0,
    "optimiser": {"name": "adam", "lr": 0.01},
    "schedule": {"name": "plateau", "warmup": 1, "wait": 2},
    "objective": {"warmup": 5},
    "phases": [{"epochs": 40}, {"epochs": 20, "freeze": "encoder", "reset": True}],
    "log_every": 7,
    "checkpoint_every_seconds": 0.1,
    "quiet": True,
}
TIMES = ("seconds", "samples_per_second")


def start(run: Path, **changes) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), json.dumps(OPTIONS | changes), str(run)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True)


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while process.poll() is None and not condition():
        assert time.monotonic() < deadline, "nothing happened for five minutes"
        time.sleep(0.005)


def told(run: Path) -> list[dict]:
    """The journal without its times and without what it tells of resuming."""
    records = [record for record in read_journal(run / "journal.jsonl") if record["kind"] != "event"]
    return [{key: value for key, value in record.items() if key not in TIMES} for record in records]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert start(run, checkpoint_every_seconds=1000).wait(timeout=600) == 0
    return run


def assert_same(run: Path, other: Path) -> None:
    for which in ("best", "last"):
        ours, theirs = (load_weights(folder / f"{which}.safetensors") for folder in (run, other))
        assert all(ours[name].equal(theirs[name]) for name in theirs), which
    ours, theirs = (torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (run, other))
    assert ours["rng"]["cpu"].equal(theirs["rng"]["cpu"])
    assert ours["stage"]["schedule"] == theirs["stage"]["schedule"]
    assert told(run) == told(other)


def test_killed_at_random_moments_it_ends_with_the_same_bits(undisturbed, tmp_path):
    run = tmp_path / "run"
    checkpoint = run / "checkpoint.pt"
    chance = random.Random(time.time_ns())  # another set of moments every time
    killed = 0
    for _ in range(3):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = start(run)
        wait_for(lambda: checkpoint.exists() and checkpoint.stat().st_mtime_ns != before, process)  # noqa: B023
        time.sleep(chance.uniform(0, 0.2))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 2, "the run is too short to be killed"
    assert start(run).wait(timeout=600) == 0
    assert len([r for r in read_journal(run / "journal.jsonl") if "resumed" in r.get("message", "")]) >= 1
    assert_same(run, undisturbed)


def test_a_run_without_a_validation_says_how_to_go_on(tmp_path):
    run = tmp_path / "run"
    process = start(run, checkpoint_every_seconds=1e-9)
    wait_for(lambda: (run / "checkpoint.pt").exists(), process)
    process.kill()
    process.wait()
    (run / "best.safetensors").unlink(missing_ok=True)
    with pytest.raises(InputError, match=r"stopped before its first one: go on with `flowvae train .* --resume`"):
        load(run)
    assert load(run, "initial")
    with (run / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"kind": "validation", "step": 1, "elbo": None}) + "\n")
    with pytest.raises(InputError, match=r"of whose validations none is finite: train again"):
        load(run)


def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(undisturbed, tmp_path):
    run = tmp_path / "run"
    process = start(run, checkpoint_every_seconds=1000)
    journal = run / "journal.jsonl"
    wait_for(lambda: journal.exists() and journal.stat().st_size > 3000, process)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 143
    assert f"flowvae train {run / 'config.toml'} --out {run} --resume" in said
    step = torch.load(run / "checkpoint.pt", weights_only=True)["state"]["step"]
    assert f"interrupted at step {step}" in said
    assert step > 0
    assert start(run, checkpoint_every_seconds=1000).wait(timeout=600) == 0
    assert_same(run, undisturbed)
