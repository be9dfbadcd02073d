"""Two processes with half a batch each train as one with the whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from flowvae.engine import load_weights, read_journal

SCRIPT = Path(__file__).with_name("train_digits.py")
OPTIONS = {"epochs": 4, "ema": 0.9, "clip": 10.0, "log_every": 5, "optimiser": {"lr": 0.01}, "quiet": True}


def train(run: Path, *launcher: str) -> None:
    command = [sys.executable, *launcher, str(SCRIPT), json.dumps(OPTIONS), str(run)]
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, timeout=600)


def test_two_processes_equal_one(tmp_path):
    train(tmp_path / "one")
    train(tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    for which in ("initial", "best", "last"):
        one, two = (load_weights(tmp_path / name / f"{which}.safetensors") for name in ("one", "two"))
        for name in one:
            torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=2e-5, msg=f"{which} {name}")
    moved = load_weights(tmp_path / "one" / "initial.safetensors")
    assert max(float((one[name] - moved[name]).abs().max()) for name in one) > 0.01
    records = [read_journal(tmp_path / name / "journal.jsonl") for name in ("one", "two")]
    assert [r["step"] for r in records[0]] == [r["step"] for r in records[1]]
    for ours, theirs in zip(*records, strict=True):
        assert abs(ours["elbo"] - theirs["elbo"]) < 1e-3
        assert abs(ours["rate"] - theirs["rate"]) < 1e-3
