"""The orders that descriptions tell hold in every seed of the committed results."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from flowvae.report.metrics import as_shown

RESULTS = Path(__file__).parents[2] / "results"

ORDERS = [
    ("digits-demo", "elbo", "diagonal", "full"),
    ("digits-demo", "elbo", "diagonal", "planar"),
    ("digits-demo", "elbo", "diagonal", "iaf"),
    ("mnist-mlp", "elbo", "diagonal", "iaf"),
    ("mnist-mlp", "gap", "diagonal", "iaf"),
    ("dependency-structure", "elbo", "independent", "full"),
    ("dependency-structure", "log_likelihood", "combined", "iaf"),
    ("ladder-digits", "bits_per_dim", "rungs-1-gaussian", "rungs-2-gaussian", "rungs-4-gaussian"),
    ("ladder-digits", "bits_per_dim", "rungs-1-gaussian", "rungs-1-iaf"),
    ("ladder-frey", "bits_per_dim", "rungs-2-gaussian", "rungs-4-gaussian", "rungs-8-gaussian"),
    ("ladder-frey", "bits_per_dim", "rungs-2-gaussian", "rungs-2-iaf"),
    ("ladder-frey", "bits_per_dim", "rungs-4-gaussian", "rungs-4-iaf"),
    ("ladder-frey", "gap", "rungs-8-gaussian", "rungs-8-iaf"),
    ("ladder-cifar", "bits_per_dim", "rungs-2-gaussian", "rungs-4-gaussian", "rungs-4-iaf"),
    ("ladder-cifar", "bits_per_dim", "rungs-2-gaussian", "rungs-2-iaf", "rungs-4-iaf"),
    ("cifar-flat-cpu", "bits_per_dim", "iaf-4-320", "diagonal"),
    ("kingma-mnist-cpu", "gap", "diagonal", "iaf-4-320"),
    ("posteriors-collections", "elbo", "caltech-diagonal", "caltech-planar"),
    ("posteriors-collections", "elbo", "omniglot-diagonal", "omniglot-planar"),
    ("posteriors-collections", "elbo", "frey-diagonal", "frey-planar"),
    ("sigma", "elbo", "four-learned", "four-constant"),
    ("sigma", "elbo", "eight-learned", "eight-constant"),
]
"""Study, metric, and rows from the worst to the best."""


@pytest.mark.parametrize(("study", "name", "rows"), [(study, name, rows) for study, name, *rows in ORDERS])
def test_the_order_of_rows_is_the_one_that_is_told(study: str, name: str, rows: list[str]) -> None:
    results = json.loads((RESULTS / f"{study}.json").read_text())
    found = {row["name"]: {run["seed"]: as_shown(run, name) for run in row["runs"]} for row in results["rows"]}
    for worse, better in pairwise(rows):
        seeds = found[worse].keys() & found[better]
        assert len(seeds) >= 2
        assert all(found[better][seed] < found[worse][seed] for seed in seeds), (worse, better)
