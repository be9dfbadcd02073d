import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowvae.errors import InputError
from flowvae.report.kept import kept_figures
from flowvae.report.pages import provenance_line, refresh


@pytest.fixture
def root(tmp_path: Path, results: dict[str, Any]) -> Path:
    (tmp_path / "results").mkdir()
    (tmp_path / "docs" / "_generated").mkdir(parents=True)
    (tmp_path / "results" / "digits-demo.json").write_text(json.dumps(results))
    (tmp_path / "README.md").write_text("# Title\n\n<!-- results:digits-demo -->\nold\n<!-- /results -->\n\nafter\n")
    return tmp_path


def test_block_is_filled_with_table_and_provenance_and_the_rest_is_kept(root: Path) -> None:
    refresh(root)
    text = (root / "README.md").read_text()
    assert text.startswith("# Title\n\n<!-- results:digits-demo -->\n\n| model |")
    assert text.endswith("\n<!-- /results -->\n\nafter\n")
    assert "old" not in text
    assert "| full covariance | 31.52 (0.25) | −0.59 (0.06)<br>\\[−0.84, −0.34\\] |" in text
    for said in (
        "`flowvae study run digits-demo`",
        "commit 0123456789",
        "torch 2.6.0",
        "SHA-256 abababababab",
        "samples 500",
    ):
        assert said in text
    assert "gpu" not in text


def test_provenance_names_every_commit_of_the_runs(results: dict[str, Any]) -> None:
    for row in results["rows"]:
        for run in row["runs"]:
            run["provenance"] = {"commit": "b" * 40, "changed_files": 0, "date": f"2026-03-0{2 + run['seed']}"}
    results["rows"][0]["runs"][0]["provenance"] = {"commit": "a" * 40, "changed_files": 2, "date": "2026-03-01"}
    line = provenance_line(results)
    assert f" at commits {'a' * 10} with changes, {'b' * 10}, finished from 2026-03-01 to 2026-03-04" in line
    assert "0123456789" not in line
    results["rows"][0]["runs"][1]["provenance"]["commit"] = None
    assert "one not recorded" in provenance_line(results)


def test_provenance_names_all_data_of_the_runs(results: dict[str, Any]) -> None:
    line = provenance_line(results)
    assert "; data digits (binarisation dynamic, SHA-256 abababababab…); evaluated" in line
    results["rows"][2]["runs"][0]["provenance"] = {"data": {"name": "frey", "digest": "c" * 64, "binarise": "none"}}
    results["rows"][2]["runs"][1]["provenance"] = {}
    line = provenance_line(results)
    assert "; data frey (binarisation none, SHA-256 cccccccccccc…), digits (binarisation dynamic, SHA" in line


def test_second_call_changes_nothing(root: Path) -> None:
    changed = refresh(root)
    assert changed == [root / "README.md", root / "docs" / "figures" / "digits-demo-rows.png"]
    assert refresh(root) == []


def test_changed_results_change_the_page_and_the_figure(root: Path, results: dict[str, Any]) -> None:
    refresh(root)
    results["rows"][1]["runs"][0]["elbo"] = -20.0
    (root / "results" / "digits-demo.json").write_text(json.dumps(results))
    assert len(refresh(root)) == 2


def test_pictures_and_curves_are_drawn_where_their_files_exist(root: Path) -> None:
    pixels = (255 * np.random.default_rng(0).random((40, 8, 8))).astype(np.uint8)
    arrays = {f"{row}/{kind}": pixels for row in ("diagonal", "iaf") for kind in ("samples", "originals", "means")}
    np.savez(root / "results" / "digits-demo.npz", **arrays)
    curves = {"iaf": {"0": [[1, -40.0, -41.0, 3.0], [2, -35.0, None, None], [3, -33.0, -35.0, 5.0]]}}
    (root / "results" / "digits-demo-curves.json").write_text(json.dumps(curves))
    names = {path.name for path in refresh(root)}
    assert names == {
        "README.md",
        *(f"digits-demo-{kind}.png" for kind in ("rows", "samples", "reconstructions", "curves")),
    }
    assert refresh(root) == []


def test_docs_are_filled_but_neither_code_nor_generated_pages(root: Path) -> None:
    block = "<!-- results:digits-demo -->\n<!-- /results -->\n"
    (root / "docs" / "page.md").write_text(f"text\n\n{block}\n```md\n{block}```\n")
    (root / "docs" / "_generated" / "copy.md").write_text(block)
    changed = refresh(root)
    text = (root / "docs" / "page.md").read_text()
    assert text.count("| diagonal |") == 1
    assert text.endswith(f"```md\n{block}```\n")
    assert root / "docs" / "_generated" / "copy.md" not in changed


def test_block_without_results_or_without_end_is_refused_before_anything_is_written(root: Path) -> None:
    before = (root / "README.md").read_text()
    (root / "docs" / "a.md").write_text("<!-- results:digit-demo -->\n<!-- /results -->\n")
    with pytest.raises(InputError, match=r"did you mean 'digits-demo'.*flowvae study run"):
        refresh(root)
    (root / "docs" / "a.md").write_text("<!-- results:digits-demo -->\n")
    with pytest.raises(InputError, match="close the block"):
        refresh(root)
    assert (root / "README.md").read_text() == before
    assert not (root / "docs" / "figures").exists()


@pytest.mark.parametrize(("rows", "drawn"), [(10, True), (11, False)])
def test_curves_too_many_to_tell_apart_are_not_drawn(
    rows: int, drawn: bool, root: Path, results: dict[str, Any]
) -> None:
    results["rows"] = [results["rows"][0] | {"name": f"row-{i}", "label": f"row {i}"} for i in range(rows)]
    curves = {row["name"]: {"0": [[1, -40.0, -41.0, 3.0], [2, -35.0, -36.0, 4.0]]} for row in results["rows"]}
    (root / "results" / "digits-demo-curves.json").write_text(json.dumps(curves))
    assert ("curves" in kept_figures(root / "results", "digits-demo", results)) is drawn
