"""The command that shows the graph of a run."""

import json
from pathlib import Path

import numpy as np
import pytest

from flowvae.cli import main

RECIPE = """
data = "digits"
encoder = { width = 16, depth = 1 }
likelihood = { decoder = { width = 16, depth = 1 } }
latents = { name = "graph", nodes = 3, dim = 2, posterior = { width = 8 } }
phases = [ { epochs = 2 }, { epochs = 1, freeze = "gates" } ]
training = { compile = "off" }
evaluation = { samples = 3 }
"""


def test_structure_writes_and_prints_the_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "graph.toml").write_text(RECIPE)
    run = tmp_path / "run"
    assert main(["train", str(tmp_path / "graph.toml"), "--out", str(run), "--quiet"]) == 0
    assert main(["structure", str(run)]) == 0  # before any evaluation: KL is that of the best validation
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == ["node", "z1", "z2", "z3", "settled"]
    record = json.loads((run / "structure.json").read_text())
    assert [(edge["parent"], edge["child"]) for edge in record["edges"]] == [(0, 1), (0, 2), (1, 2)]
    assert len(record["history"]["gates"]) == 3
    assert record["history"]["gates"][-1] == pytest.approx([edge["mean"] for edge in record["edges"]])
    assert all(edge["stands"] == (edge["mean"] >= 0.5) for edge in record["edges"])
    assert (run / "structure.png").stat().st_size > 1000
    assert "digraph" in (run / "structure.dot").read_text()

    assert main(["evaluate", str(run), "--quiet"]) == 0
    kl = json.loads((run / "evaluation.json").read_text())["kl"]
    assert [node["kl"] for node in json.loads((run / "structure.json").read_text())["nodes"]] == pytest.approx(kl)
    with np.load(run / "ancestral.npz") as arrays:
        held, resampled = arrays["held"], arrays["resampled"]
    assert held.shape == resampled.shape == (3, 12, 1, 8, 8)
    assert (held[:, 0] == held[:1, 0]).all()
    assert (np.ptp(held, axis=1).max((-1, -2, -3)) > 0).all()


def test_a_run_without_a_graph_is_refused(trained: Path, refused) -> None:
    assert "expected a run whose latents are a graph; got 'flat'" in refused("structure", trained)
