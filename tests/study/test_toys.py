"""The study of toy densities at toy size: every row trains, is scored exactly, about as well as a normal at least."""

import math
from pathlib import Path

import pytest

from flowvae.config import Config
from flowvae.data import load_data
from flowvae.runs import evaluate_rows, keep_evaluation, open_run, rows, train
from flowvae.study import Row, Study

TOYS = Study.load("toys")
SMALL = {"data": {"name": "moons", "count": 1500}, "training": {"epochs": 12, "batch_size": 200, "compile": "off"}}


@pytest.mark.parametrize("row", [row for row in TOYS.rows if row.name.endswith("-moons")], ids=lambda row: row.name)
def test_a_row_of_the_study_runs(row: Row, tmp_path: Path) -> None:
    tables = TOYS.tables(row, 0) | SMALL | {"optimiser": {"name": "adam", "lr": 0.02}}
    sizes = {"steps": 4, "width": 24, "intervals": 4}
    tables["likelihood"]["flow"] |= {key: sizes[key] for key in sizes if key in tables["likelihood"]["flow"]}
    train(Config.resolve(tables), tmp_path, quiet=True)
    run = open_run(tmp_path)
    found = evaluate_rows(run, rows(run), TOYS.evaluation)
    keep_evaluation(run, rows(run), {"split": "test", **found.to_dict()})
    assert (found.samples, found.gap, found.kl) == (1, 0.0, [])
    points = load_data(SMALL["data"]).train.values
    normal = -0.5 * (points.T.cov().logdet().item() + 2 * (1 + math.log(2 * math.pi)))
    assert found.log_likelihood > normal - 0.1
