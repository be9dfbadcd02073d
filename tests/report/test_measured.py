"""Figures of measures: one for each measure that left arrays, a panel where each belongs."""

import numpy as np
import pytest

from flowvae import InputError
from flowvae.report.measured import measured_figures
from flowvae.report.tables import study_table


def arrays(rows: list[str], count: int = 2) -> dict[str, np.ndarray]:
    plane = np.random.default_rng(0).random((9, 9))
    found = {}
    for row in rows:
        density = np.stack([plane * (i + 1) for i in range(count)])
        own = {"prior": plane, "aggregate": plane, "true": density, "q": density[::-1], "x": np.ones((count, 1, 4, 4))}
        found |= {f"{row}/true_posterior/{name}": values for name, values in own.items()}
        found[f"{row}/manifold/means"] = np.ones((9, 1, 4, 4))
    return found


def test_a_line_of_posteriors_a_row() -> None:
    figures = measured_figures(arrays(["a", "b"]), {"a": "First", "b": "Second"}, {})
    assert sorted(figures) == ["manifold", "true_posterior"]
    panels = figures["true_posterior"].axes
    assert [axes.get_title() for axes in panels[:4]] == ["p(z)", "mean of q(z | x)", "p(z | x)", "q(z | x)"]
    assert [axes.get_ylabel() for axes in panels if axes.get_ylabel()] == ["First", "Second"]
    np.testing.assert_array_equal(panels[2].images[0].get_array(), arrays(["a"])["a/true_posterior/true"][0])
    np.testing.assert_array_equal(panels[3].images[0].get_array(), arrays(["a"])["a/true_posterior/q"][0])
    assert [axes.get_title(loc="left") for axes in figures["manifold"].axes] == ["First", "Second"]


def test_no_arrays_no_figures() -> None:
    assert measured_figures({"a/samples": np.ones(3)}, {"a": "First"}, {}) == {}


AXES = [[["p", "planar"], ["i", "IAF"]], [["1", "U1"], ["2", "U2"]]]


def test_crossed_axes_stand_below_their_targets() -> None:
    labels = {"p-1": "planar, U1", "p-2": "planar, U2", "i-1": "IAF, U1"}
    figure = measured_figures(arrays(list(labels), 1), labels, {"axes": AXES})["true_posterior"]
    panels = np.array(figure.axes).reshape(3, 2)
    assert [axes.get_title() for axes in panels[0]] == ["U1", "U2"]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["", "planar", "IAF"]
    assert [[axes.get_visible() for axes in line] for line in panels] == [[True, True], [True, True], [True, False]]


def test_the_table_of_crossed_axes_has_the_last_across() -> None:
    def row(name: str, *values: float) -> dict:
        return {"name": name, "runs": [{"seed": seed, "posterior_kl": value} for seed, value in enumerate(values)]}

    rows = [row("p-1", 0.5, 0.7), row("p-2", 0.25), row("i-1", 0.125), row("i-2")]
    table = study_table({"title": "t", "metrics": ["posterior_kl"], "axes": AXES, "rows": rows})
    assert [column.title for column in table.columns] == ["", "U1", "U2"]
    assert table.rows == (("planar", "0.600 (0.100)", "0.250"), ("IAF", "0.125", "–"))
    assert "KL(q ‖ p(z | x)), in nats. Mean over 1 or 2 seeds, in" in table.caption


def test_the_table_of_crossed_axes_tells_seeds_and_binarisation() -> None:
    def row(name: str, seeds: int) -> dict:
        data = {"provenance": {"data": {"binarise": "dynamic" if name[0] == "p" else "none"}}}
        return {"name": name, "runs": [{"seed": seed, "elbo": -1.0} | data for seed in range(seeds)]}

    names = ("p-1", "p-2", "i-1", "i-2")
    for seeds, said in ((1, "One seed."), (3, "Mean over 3 seeds, in parentheses its standard error.")):
        rows = [row(name, seeds) for name in names]
        caption = study_table({"title": "t", "metrics": ["elbo"], "axes": AXES, "rows": rows}).caption
        assert said in caption
        assert "Binarisation: dynamic, none." in caption


def test_crossed_axes_with_several_metrics_have_a_line_each_and_a_row_for_what_is_of_the_data() -> None:
    def row(name: str, elbo: float, bits: float) -> dict:
        run = {"seed": 0, "samples": 128, "elbo": elbo, "log_likelihood": elbo + 2, "gaussian_bits_per_dim": bits}
        return {"name": name, "runs": [run]}

    rows = [row("p-1", -30.0, 2.5), row("p-2", -31.0, 2.75), row("i-1", -29.0, 2.5), {"name": "i-2", "runs": []}]
    metrics = ["elbo", "log_likelihood", "gaussian_bits_per_dim"]
    table = study_table({"metrics": metrics, "axes": AXES, "rows": rows})
    titles = "−ELBO\n−log p(x)"
    assert table.rows == (
        ("planar", titles, "30.00\n28.00", "31.00\n29.00"),
        ("IAF", titles, "29.00\n27.00", "–\n–"),
        ("bits/dim of a Gaussian", "", "2.500", "2.750"),
    )
    assert "K = 128 samples" in table.caption


def test_with_one_run_a_column_no_metric_is_taken_for_one_of_the_data() -> None:
    runs = {n: [{"seed": 0, "samples": 9, "elbo": -n, "log_likelihood": 1 - n}] for n in (1.0, 2.0)}
    rows = [{"name": name, "runs": found} for name, found in zip(("1", "2"), runs.values(), strict=True)]
    table = study_table({"metrics": ["elbo", "log_likelihood"], "axes": AXES[-1:], "rows": rows})
    assert len(table.rows) == 1
    assert table.rows[0][-2:] == ("1.00\n0.00", "2.00\n1.00")


def test_crossed_axes_tell_the_pairs_that_their_study_names() -> None:
    def row(name: str, *values: float) -> dict:
        return {"name": name, "runs": [{"seed": seed, "posterior_kl": value} for seed, value in enumerate(values)]}

    rows = [row("p-1", 0.5, 0.75), row("p-2", 0.25), row("i-1", 0.25, 0.5), row("i-2")]
    results = {"metrics": ["posterior_kl"], "axes": AXES, "rows": rows, "pairs": [["i-1", "p-1"], ["i-2", "p-2"]]}
    caption = study_table(results).caption
    assert "i-1 minus p-1: KL(q ‖ p(z | x)) −0.250 (0.000) [−0.250, −0.250]." in caption
    assert "i-2 minus" not in caption
    assert "in brackets their Student-t 95 % intervals" in caption


def test_results_without_rows_are_refused() -> None:
    with pytest.raises(InputError, match="expected study results with rows"):
        study_table({"title": "t", "metrics": ["elbo"], "axes": AXES, "rows": []})
