"""The benchmark of densities: both sides train, with the same number of parameters but for ours of the data's scale."""

import json
from pathlib import Path

import pytest

from benchmarks import densities


def test_it_compares_equals_and_tells_it_on_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, page = tmp_path / "densities.json", tmp_path / "page.md"
    small = ["--seeds", "1", "--epochs", "1", "--count", "400", "--batch", "50", "--toys", "rings"]
    densities.main([*small, "--results", str(out)])
    runs = json.loads(out.read_text())["runs"]
    assert [run["flow"] for run in runs] == [pair.name for pair in densities.PAIRS]
    for run in runs:
        assert run["flowvae_parameters"] - 4 == run["zuko_parameters"]
        assert all(-20 < run[who] < 0 for who in ("flowvae", "zuko"))
    printed = capsys.readouterr().out
    assert printed.count("| rings: ") == 3
    page.write_text("before\n<!-- benchmarks -->\n<!-- /benchmarks -->\nafter\n")
    densities.main(["--results", str(out), "--into", str(page)])
    text = page.read_text()
    assert printed.strip() in text
    assert f"{runs[0]['flowvae']:.3f}" in text
    assert "held-out points of 400, after 1 epochs of batches of 50" in text
