"""The graph of a run: as DOT, as figures, on the page."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

from flowvae.report.curves import Curve, History
from flowvae.report.graphs import as_graph, dot, draw_graph, structure_figure
from flowvae.report.page import write_report
from tests.report.test_page import page


@pytest.fixture
def record() -> dict[str, Any]:
    """Three nodes, visited from the last to the first; one edge stands, one is faint, one is nowhere."""
    pairs = [(2, 1, 0.9, True), (2, 0, 0.4, False), (1, 0, 0.001, False)]
    edges = [{"parent": m, "child": n, "mean": mean, "stands": stands} for m, n, mean, stands in pairs]
    history = {"epoch": [1, 2], "gates": [[0.5, 0.5, 0.5], [0.9, 0.4, 0.001]]}
    nodes = [{"node": 2, "kl": 1.234}, {"node": 1, "kl": None}, {"node": 0, "kl": 0.5}]
    return {"nodes": nodes, "edges": edges, "open": True, "history": history}


def test_dot_says_what_the_record_says(record: dict[str, Any]) -> None:
    said = dot(record)
    edges = re.findall(r'(z\d) -> (z\d) \[label="([\d.]+)", penwidth=([\d.]+), style=(\w+)\]', said)
    assert edges == [("z3", "z2", "0.90", "3.20", "solid"), ("z3", "z1", "0.40", "1.70", "dashed")]
    assert re.findall(r'label="(z\d[^"]*)"', said) == ["z3\\n1.23", "z2", "z1\\n0.50"]
    assert said.startswith("digraph structure {")
    assert said.endswith("}\n")


def test_nodes_keep_the_order_of_their_visit(record: dict[str, Any]) -> None:
    assert list(as_graph(record)) == ["z3", "z2", "z1"]


def test_the_drawn_graph_says_what_the_record_says(record: dict[str, Any]) -> None:
    """An edge is as wide as it is probable, and dashed where it does not stand; nodes have their KL."""
    (axes,) = draw_graph(record).axes
    edges = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert [(edge.get_linewidth(), edge.get_linestyle()) for edge in edges] == [
        (pytest.approx(0.4 + 2.8 * 0.9), "solid"),
        (pytest.approx(0.4 + 2.8 * 0.4), "dashed"),
    ]
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["z3\n1.23", "z2", "z1\n0.50"]


def test_the_figure_has_the_history_of_every_gate_and_both_bounds_against_steps(record: dict[str, Any]) -> None:
    train = Curve(*np.arange(12.0).reshape(4, 3), step=np.array([5, 10, 15]))
    validation = Curve(*np.arange(8.0).reshape(4, 2), step=np.array([10, 20]))
    figure = structure_figure(record, History(train, validation, (), ended_early=False))
    _, gates, bounds = figure.axes
    shown = {text.get_text(): line.get_ydata().tolist() for line, text in zip(gates.lines, gates.texts, strict=True)}
    assert shown == {"z2 → z1": [0.5, 0.001], "z3 → z1": [0.5, 0.4], "z3 → z2": [0.5, 0.9]}
    assert all(line.get_xdata().tolist() == [1, 2] for line in gates.lines)
    lines = {line.get_label(): line.get_xydata().T.tolist() for line in bounds.lines}
    assert lines == {
        "training": [[5, 10, 15], train.elbo.tolist()],
        "validation": [[10, 20], validation.elbo.tolist()],
    }


def test_the_page_shows_the_structure_of_a_run_that_has_one(make_run, record: dict[str, Any], tmp_path: Path) -> None:
    run = make_run(tmp_path / "graph", dims=(2, 2, 2))
    plain = page(write_report([run], tmp_path / "plain.html"))
    assert "structure" not in plain.text
    (run / "structure.json").write_text(json.dumps(record))
    np.savez(run / "ancestral.npz", held=np.ones((3, 4, 1, 8, 8)), resampled=np.zeros((3, 4, 1, 8, 8)))
    found = page(write_report([run], tmp_path / "report.html"))
    assert "Held fixed" in found.text["structure"]
    assert found.tags.count("img") == plain.tags.count("img") + 2
    (run / "ancestral.npz").unlink()
    record["history"] = {"epoch": [], "gates": []}  # a given graph learns nothing
    (run / "structure.json").write_text(json.dumps(record))
    assert page(write_report([run], tmp_path / "less.html")).tags.count("img") == plain.tags.count("img") + 1
