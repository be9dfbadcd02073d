import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from scipy import stats

from flowvae.errors import InputError
from flowvae.report.rendering import Column, Table
from flowvae.report.rows import study_rows
from flowvae.report.runs import read_runs
from flowvae.report.tables import runs_table, study_table


def cells(results: dict[str, Any], label: str) -> dict[str, str]:
    table = study_table(results)
    titles = [column.title.replace("\n", " ") for column in table.columns]
    (row,) = (row for row in table.rows if row[0] == label)
    shown: dict[str, str] = {}
    for title, cell in zip(titles, row, strict=True):
        shown.setdefault(title if title not in shown else title + " 2", cell)
    return shown


def in_terminal(table: Table, width: int) -> str:
    out = StringIO()
    Console(file=out, width=width).print(table.rich(width))
    return out.getvalue()


def test_row_shows_mean_error_and_paired_difference(results: dict[str, Any]) -> None:
    row = cells(results, "full covariance")
    assert row["−ELBO"] == "31.52 (0.25)"
    interval = stats.ttest_rel([31.52, 31.10, 31.95], [32.10, 31.80, 32.45]).confidence_interval(0.95)
    low, high = (f"{bound:.2f}".replace("-", "−") for bound in interval)
    assert row["difference to first row"] == f"−0.59 (0.06)\n[{low}, {high}]"


def test_bounds_are_shown_as_costs_and_published_ones_too(results: dict[str, Any]) -> None:
    row = cells(results, "full covariance")
    assert row["published −ELBO, −log p(x)"] == "82.02 (0.08),\n79.77"
    assert row["source"] == "Kingma et al. 2016; dynamic; K = 128; other data"


def test_published_figure_without_binarisation_says_so(results: dict[str, Any]) -> None:
    results["rows"][1]["published"] = {"elbo": -79.09, "source": "Somebody 2020"}
    row = cells(results, "full covariance")
    assert row["source"] == "Somebody 2020; binarisation not stated"
    assert row["published −ELBO, −log p(x)"] == "79.09,\n–"


def test_missing_seed_leaves_the_pair_out(results: dict[str, Any]) -> None:
    found = study_rows(results)[2].differences["elbo"]
    assert found is not None
    assert found.count == 2
    assert found.mean == pytest.approx(((31.01 - 32.10) + (30.85 - 31.80)) / 2)
    assert cells(results, "IAF, 4 steps")["seeds"] == "2"


def test_binarisation_and_k_stand_on_every_row(results: dict[str, Any]) -> None:
    for run in results["rows"][2]["runs"]:
        run |= {"samples": 5000, "provenance": {"data": {"binarise": "threshold"}}}
    assert [(row.binarise, row.samples) for row in study_rows(results)] == [
        ("dynamic", "500"),
        ("dynamic", "500"),
        ("threshold", "5000"),
    ]
    assert "Binarisation: dynamic, threshold." in study_table(results).caption
    del results["provenance"]
    assert cells(results, "diagonal")["binarisation"] == "not recorded"


def test_row_without_runs_is_shown_empty_and_named(results: dict[str, Any]) -> None:
    results["rows"].append({"name": "planar", "label": "planar, 8", "runs": [], "published": {}})
    assert cells(results, "planar, 8")["−ELBO"] == "–"
    assert "No finished run yet: planar, 8." in study_table(results).caption


def test_figure_that_is_not_finite_is_no_figure(results: dict[str, Any]) -> None:
    results["rows"][0]["runs"][0]["elbo"] = float("nan")
    assert study_rows(results)[0].values["elbo"].keys() == {1, 2}


def test_one_seed_has_no_error_and_says_so(results: dict[str, Any]) -> None:
    for row in results["rows"]:
        del row["runs"][1:]
    assert cells(results, "full covariance")["−ELBO"] == "31.52"
    assert cells(results, "full covariance")["difference to first row"] == "−0.58"
    assert "no error over seeds" in study_table(results).caption


def test_columns_nobody_fills_are_left_out(results: dict[str, Any]) -> None:
    results["rows"][1]["published"] = {}
    assert "source" not in cells(results, "diagonal")


def test_metrics_of_the_results_decide_the_columns(results: dict[str, Any]) -> None:
    results["metrics"] = ["bits_per_dim"]
    for row in results["rows"]:
        for run in row["runs"]:
            run["bits_per_dim"] = 3.1111
    row = cells(results, "full covariance")
    assert row["bits/dim"] == "3.111 (0.000)"
    assert "−ELBO" not in row


def test_table_of_nats_and_counts_says_which_are_nats(results: dict[str, Any]) -> None:
    assert study_table(results).caption.startswith("Nats per held-out datum, lower is better.")
    results["metrics"] = ["elbo", "log_likelihood", "edges"]
    for edges, row in zip((0, 6, 6), results["rows"], strict=True):
        for run in row["runs"]:
            run["edges"] = edges
    table = study_table(results)
    assert table.caption.startswith("In nats per held-out datum, lower is better: −ELBO, −log p(x). Mean over seeds")
    assert {"6.0 (0.0)", "+6.0 (0.0)\n[6.0, 6.0]"} <= set(table.rows[1])


def test_results_without_rows_are_refused() -> None:
    with pytest.raises(InputError, match="flowvae study run"):
        study_table({"rows": []})


def test_each_renderer_escapes_for_its_medium() -> None:
    hostile = "a|b <script>x</script> [red]y[/red] *z*"
    table = Table((Column("name", numeric=False), Column("n")), ((hostile, "1"),), caption=hostile)
    assert "<script>" not in table.html()
    assert "&lt;script&gt;" in table.html()
    row = table.markdown().splitlines()[2]
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert "\\*z\\*" in row
    assert hostile in in_terminal(table, 200)


def test_terminal_table_breaks_no_number_at_80_columns(results: dict[str, Any]) -> None:
    text = in_terminal(study_table(results), 80)
    assert max(map(len, text.splitlines())) <= 80
    for figure in ("31.52 (0.25)", "−0.59 (0.06)", "[−0.84, −0.34]", "82.02 (0.08)"):
        assert figure in text


def test_terminal_table_stacks_no_more_columns_than_its_width_asks_for(results: dict[str, Any]) -> None:
    results["rows"][1]["published"] = {}
    narrow, wide, widest = (in_terminal(study_table(results), width) for width in (70, 90, 200))
    assert not re.search(r"binarisation +K +seeds", narrow)
    assert re.search(r"binarisation +K +seeds", wide)
    assert re.search(r"31.52 \(0.25\) .* dynamic +500 +3", wide)
    assert not re.search(r"31.52 \(0.25\) +−0.59 \(0.06\)", wide)
    assert re.search(r"31.52 \(0.25\) +−0.59 \(0.06\)", widest)


def test_terminal_table_keeps_every_letter_of_a_long_word(results: dict[str, Any]) -> None:
    results["rows"][1]["label"] = "Donaudampfschifffahrtsgesellschaft"
    assert "…" not in in_terminal(study_table(results), 80)


def test_runs_table_shows_the_error_over_data(make_run, tmp_path) -> None:
    table = runs_table(
        read_runs([make_run(tmp_path / "a"), make_run(tmp_path / "b", stop=7, without=("evaluation.json",))])
    )
    titles = [column.title for column in table.columns]
    first, second = (dict(zip(titles, row, strict=True)) for row in table.rows)
    assert first["−ELBO"] == "30.00 (0.33)"
    assert first["−log p(x)"] == "27.60 (0.31)"
    assert (first["binarisation"], first["K"], first["data"]) == ("dynamic", "500", "360 of digits")
    assert (second["−ELBO"], second["epochs"]) == ("–", "7 / 40")
    assert "bits/dim" not in titles
