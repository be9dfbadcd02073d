"""The benchmark of densities: both sides train, with the same number of parameters but for ours of the data's scale."""

import json
from pathlib import Path

import pytest

from benchmarks import densities


def test_it_compares_equals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "densities.json"
    densities.main(
        ["--seeds", "1", "--epochs", "1", "--count", "400", "--batch", "50", "--toys", "rings", "--out", str(out)]
    )
    runs = json.loads(out.read_text())["runs"]
    assert [run["flow"] for run in runs] == [pair.name for pair in densities.PAIRS]
    for run in runs:
        assert run["flowvae_parameters"] - 4 == run["zuko_parameters"]
        assert all(-20 < run[who] < 0 for who in ("flowvae", "zuko"))
    assert capsys.readouterr().out.count("| rings: ") == 3
