"""The study of learned structures, at toy size: every row runs, and rows are compared in pairs."""

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest

from flowvae import InputError
from flowvae.cli import main
from flowvae.report.tables import study_table
from flowvae.study import Study


def test_dependency_digits_runs_at_toy_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = files("flowvae").joinpath("studies", "dependency-digits.toml").read_text()
    toy = re.sub(r"samples = \d+", "samples = 3", re.sub(r"epochs = \d+", "epochs = 1", text))
    (tmp_path / "toy.toml").write_text(toy.replace("warmup = 50", "warmup = 0"))
    monkeypatch.chdir(tmp_path)
    assert main(["study", "run", "toy.toml", "--seeds", "0,1", "--quiet"]) == 0
    results = json.loads((tmp_path / "results" / "toy.json").read_text())
    runs = {row["name"]: row["runs"] for row in results["rows"]}
    assert [run["edges"] for run in runs["independent"] + runs["full"]] == [0, 0, 6, 6]
    assert all("edges" not in run for run in runs["iaf"])
    kept = tmp_path / "runs" / "toy" / "combined" / "seed-0" / "structure.json"
    assert len(json.loads(kept.read_text())["nodes"]) == 4

    said = study_table(results).caption
    one, other = ([run["elbo"] for run in runs[name]] for name in ("combined", "iaf"))
    mean = sum(b - a for a, b in zip(one, other, strict=True)) / 2  # of the bound with its sign turned
    figure = f"{mean:+.2f}".replace("-", "−")
    assert f"learned structure and IAF at each node minus flat, IAF: −ELBO {figure} (" in said


def test_pairs_are_rows(tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace('title = "', 'pairs = [["full", "diagonl"]]\ntitle = "'))
    with pytest.raises(InputError, match="got 'diagonl'; did you mean 'diagonal'"):
        Study.load(tiny)
