import subprocess
import sys
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image

from flowvae.report.curves import Curve
from flowvae.report.figures import crossed_curves, kl_per_dimension, study_chart, training_curves
from flowvae.report.pictures import largest_error, reconstructions, sample_grids, save_samples
from flowvae.report.rows import study_rows
from flowvae.report.style import colours, png


def curve(elbo: list[float], best: int | None = None) -> Curve:
    epoch = np.arange(1, len(elbo) + 1, dtype=float)
    bound = np.array(elbo)
    return Curve(epoch, bound, np.full_like(epoch, 2.0), -bound - 2, best)


def test_curves_draw_costs_and_leave_the_first_fall_out_of_range() -> None:
    values = [-500.0, -40.0, *np.linspace(-34, -30, 18)]
    figure = training_curves({"iaf": [(curve(values), curve(values, best=19))]})
    bound, rate, distortion = figure.axes
    train, validation, best = bound.lines
    assert train.get_linestyle() == "--"
    assert validation.get_ydata().tolist() == [-v for v in values]
    assert best.get_xydata().tolist() == [[20.0, 30.0]]
    assert 33.9 <= bound.get_ylim()[1] < 40
    np.testing.assert_allclose(
        bound.lines[1].get_ydata(), rate.lines[1].get_ydata() + distortion.lines[1].get_ydata(), rtol=1e-12
    )


def test_curves_of_a_group_share_a_colour_and_a_legend_entry() -> None:
    pair = (curve([-3.0, -2.0]), curve([-3.0, -2.5]))
    figure = training_curves({"a": [pair, pair], "b": [pair]})
    drawn = [to_hex(line.get_color()) for line in figure.axes[0].lines]
    assert len(set(drawn[:4])) == 1
    assert drawn[4] != drawn[0]
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["a", "b"]


def test_groups_have_panels_and_ranges_of_their_own_and_a_label_one_colour() -> None:
    pair, far = ((curve([low - 1, low]), curve([low - 1, low - 0.5])) for low in (-3.0, -900.0))
    figure = crossed_curves({"near": {"a": [pair], "b": [pair]}, "far": {"b": [far]}})
    near, *_, below = figure.axes[0], figure.axes[3]
    assert [near.get_title("left"), below.get_title("left")] == ["near, −ELBO", "far, −ELBO"]
    assert near.get_ylim()[1] < 10 < 800 < below.get_ylim()[0]
    assert [axes.get_xlabel() for axes in (near, below)] == ["", "epoch"]
    assert below.lines[0].get_color() == near.lines[2].get_color() != near.lines[0].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()][:3] == ["a", "b", "validation"]


@pytest.mark.parametrize(
    "labels",
    [
        ["diagonal Gaussian", "full covariance", "planar flow, 8 steps", "inverse autoregressive flow, 4 steps"],
        [f"row {i} of a study" for i in range(14)],
        ["short", "W" * 300],
    ],
)
def test_legend_lies_within_its_figure(labels: list[str]) -> None:
    figure = training_curves({label: [(curve([-3.0, -2.0]), curve([-3.0, -2.5], best=1))] for label in labels})
    png(figure)
    shown, whole = figure.legends[0].get_window_extent(), figure.bbox
    assert 0 <= shown.x0 < shown.x1 <= whole.x1
    assert shown.y0 >= 0
    assert figure.axes[0].get_window_extent().height > 0.5 * 3.7 * figure.dpi
    assert [text.get_text().replace("\n", "") for text in figure.legends[0].get_texts()][:2] == labels[:2]


@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 12, 300])
def test_epochs_are_counted_in_whole_numbers(epochs: int) -> None:
    values = list(np.linspace(-40, -30, epochs))
    figure = training_curves({"x": [(curve(values), curve(values))]})
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert len(ticks) >= 1
        assert all(tick == round(tick) for tick in ticks)


def test_a_curve_of_one_point_is_seen() -> None:
    """Without a mark nothing is drawn: a line needs two points."""
    inked = []
    for values in ([-30.0], [-30.0, -29.0]):
        figure = training_curves({"x": [(curve([]), curve(values))]})
        (line,) = (line for line in figure.axes[0].lines if len(line.get_xdata()))
        inked.append(line.get_marker() not in ("", "None", None))
    assert inked == [True, False]


def test_curves_of_an_epoch_without_numbers_are_drawn() -> None:
    nothing = np.full(1, np.nan)
    png(training_curves({"x": [(curve([]), Curve(np.array([1.0]), nothing, nothing, nothing))]}))


def test_hostile_labels_are_shown_as_they_stand(results: dict[str, Any]) -> None:
    label = "_hidden $x^{ \\frac"
    figure = training_curves({label: [(curve([-3.0, -2.0]), curve([-3.0, -2.5]))]})
    assert figure.legends[0].get_texts()[0].get_text() == label
    png(figure)
    results["rows"][0]["label"] = label
    png(study_chart(study_rows(results)))
    png(sample_grids({label: np.zeros((2, 4, 4))}))


def test_kl_is_sorted_within_each_group_on_one_scale() -> None:
    figure = kl_per_dimension({1: np.array([0.1, 2.0, 1.0]), 3: np.array([0.5])}, top=4.0)
    first, second = figure.axes
    assert [bar.get_height() for bar in first.patches] == [2.0, 1.0, 0.1]
    assert first.get_title(loc="left").split() == ["group", "1:", "sum", "of", "marginals", "3.10", "nats"]
    assert second.get_title(loc="left").startswith("group 3: ")
    assert first.get_ylim() == second.get_ylim() == (0, 4.2)


def test_study_chart_draws_means_and_intervals_of_the_table(results: dict[str, Any]) -> None:
    rows = study_rows(results)
    axes = study_chart(rows).axes[0]
    drawn = [line.get_xdata() for line in axes.lines]
    expected = rows[1].estimates["elbo"]
    assert expected is not None
    assert any(len(x) == 2 and np.allclose(x, [expected.low, expected.high]) for x in drawn)
    assert any(len(x) == 1 and np.allclose(x, expected.mean) for x in drawn)
    assert "31.52" in [text.get_text() for text in axes.texts]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["diagonal", "full covariance", "IAF, 4 steps"]


def test_study_chart_of_one_seed_has_no_interval(results: dict[str, Any]) -> None:
    for row in results["rows"]:
        del row["runs"][1:]
    axes = study_chart(study_rows(results)).axes[0]
    assert all(np.isnan(line.get_xdata()).all() for line in axes.lines if len(line.get_xdata()) == 2)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 4), (4, 4)])
def test_sample_grid_shows_each_pixel(shape: tuple[int, ...]) -> None:
    images = np.zeros((4, *shape), dtype=np.float32)
    images[3, ..., 0, 0] = 0.5  # top left of the last tile
    (board,) = (image.get_array() for image in sample_grids({"": images}).axes[0].images)
    pixel = board.shape[0] / 9  # two tiles of 4 and a gap of 1
    corner = board[round(5.5 * pixel), round(5.5 * pixel)]
    np.testing.assert_allclose(corner, 0.5)
    np.testing.assert_allclose(board[round(6.5 * pixel), round(6.5 * pixel)], 0)
    np.testing.assert_allclose(board[round(4.5 * pixel), 0], 1)


def test_points_of_the_plane_are_drawn_where_they_lie(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(30, 2))
    (axes,) = sample_grids({"": points}).axes
    assert not axes.images
    np.testing.assert_allclose(axes.collections[0].get_offsets(), points)
    assert axes.get_aspect() == 1
    save_samples(points, tmp_path / "points.png")
    with Image.open(tmp_path / "points.png") as picture:
        assert picture.height > 0.9 * picture.width


@pytest.mark.parametrize("shape", [(5,), (4, 6, 6), ()])
def test_events_that_are_no_pictures_become_the_rows_of_a_heat_map(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=(7, *shape))
    figure = sample_grids({"": values})
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), values.reshape(7, -1))
    png(reconstructions({"a": (values, values + 1)}))


@pytest.mark.parametrize("shape", [(1, 5), (1, 1), (3, 1), (2, 3)])
def test_events_and_dimensions_are_counted_in_whole_numbers(shape: tuple[int, int]) -> None:
    for figure in (sample_grids({"": np.zeros(shape)}), kl_per_dimension({1: np.ones(shape[0])})):
        figure.draw_without_rendering()
        axes = figure.axes[0]
        vertical = [] if axes.get_ylabel() != "event" else list(axes.get_yticks())
        assert all(tick == round(tick) for tick in [*axes.get_xticks(), *vertical])


def test_reconstruction_rows_are_original_mean_and_error() -> None:
    x, mean = np.zeros((3, 1, 4, 4)), np.full((3, 1, 4, 4), 0.25)
    mean[0, 0, 0, 0] = 1.0
    figure = reconstructions({"run": (x, mean)})
    axes, bar = figure.axes
    board = np.asarray(axes.images[0].get_array())
    middle = [board[round(board.shape[0] * (i + 0.5) / 3), -3] for i in range(3)]
    np.testing.assert_allclose(middle[0], 0)
    np.testing.assert_allclose(middle[1], 0.25)
    assert len(set(middle[2])) == 3  # an error has a colour
    assert bar.get_ylim() == (0, 1)
    assert largest_error(x, mean) == 1.0


@pytest.mark.parametrize(("panels", "count"), [(1, 1), (1, 10), (6, 10), (20, 12), (1, 100)])
def test_scale_of_errors_is_narrow_however_tall_the_figure(panels: int, count: int) -> None:
    x = np.random.default_rng(0).random((count, 1, 8, 8))
    figure = reconstructions({f"row {i}": (x, x / 2) for i in range(panels)}, count)
    figure.draw_without_rendering()
    box = figure.axes[-1].get_window_extent()
    assert 0.1 <= box.width / figure.dpi <= 0.2
    assert 1 <= box.height / figure.dpi <= 2.5


@pytest.mark.parametrize(("panels", "height"), [(3, 28), (8, 28), (2, 20)])
def test_no_name_of_a_reconstruction_is_cut(panels: int, height: int) -> None:
    """Boards that are narrower than their room stand at its left, where the layout has made space for their names."""
    x = np.random.default_rng(0).random((10, 1, height, 20))
    figure = reconstructions({f"row {i}": (x, x / 2) for i in range(panels)})
    figure.draw_without_rendering()
    for axes in figure.axes:
        for name in axes.get_yticklabels():
            box = name.get_window_extent()
            assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_many_rows_are_reconstructed_three_abreast() -> None:
    """A third of the data each; their originals, means and errors are named at the left alone."""
    x = np.random.default_rng(0).random((12, 1, 8, 8))
    figure = reconstructions({f"row {i}": (x, x / 2) for i in range(11)})
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_images()]
    assert [len(axes.get_yticks()) for axes in panels] == [3, 0, 0] * 3 + [3, 0]
    rows, columns = np.asarray(panels[0].images[0].get_array()).shape[:2]
    assert columns > rows  # four data beside one another, in three rows
    assert figure.get_figheight() < 1.5 * figure.get_figwidth()


def test_many_reconstructions_are_blocks_of_three_rows(recwarn: pytest.WarningsRecorder) -> None:
    x = np.linspace(0, 1, 100)[:, None, None, None] * np.ones((1, 4, 4))
    figure = reconstructions({"": (x, x / 2)}, 100)
    board = np.asarray(figure.axes[0].images[0].get_array())
    side = board.shape[0] / 18  # 18 across, in six blocks
    shown = [board[round((row + 0.4) * side), round((column + 0.4) * side), 0] for row, column in ((3, 0), (4, 0))]
    np.testing.assert_allclose(shown, [18 / 99, 9 / 99], atol=1e-6)
    np.testing.assert_allclose(board[-5, -5], 1)  # nothing stands where the last block is not full
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["original", "mean", "|error|"] * 6
    png(figure)
    png(reconstructions({"": (x[:1], x[:1])}))
    assert not recwarn.list


def test_error_of_colours_is_the_mean_over_channels() -> None:
    x, mean = np.zeros((1, 3, 2, 2)), np.zeros((1, 3, 2, 2))
    mean[0, 0] = 0.9
    assert largest_error(x, mean) == pytest.approx(0.3)


def test_bytes_and_floats_are_compared_on_one_scale() -> None:
    x = np.array([[[0, 255], [255, 0]]], dtype=np.uint8)
    assert largest_error(x, (x / 255).astype(np.float16)) == 0


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 32, 8), (5,)])
def test_titles_lie_within_their_panels(shape: tuple[int, ...]) -> None:
    labels = ["short", "inverse autoregressive flow with 4 steps", "full-covariance Gaussian, and more", "W" * 40]
    noise = np.random.default_rng(0).random((12, *shape))
    plates = [sample_grids(dict.fromkeys(labels, noise)), reconstructions(dict.fromkeys(labels, (noise, noise)), 1)]
    for figure in plates:
        figure.draw_without_rendering()
        titles = [title for axes in figure.axes for title in axes.findobj(Text) if title.get_fontweight() == "bold"]
        extents = [title.get_window_extent() for title in titles if title.get_text()]
        assert len(extents) >= len(labels)
        assert all(box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in extents)
        assert not any(one.overlaps(other) for one, other in combinations(extents, 2))


def test_many_series_have_distinct_colours() -> None:
    assert len(set(colours(7))) == 7
    assert len(set(colours(20))) == 20


def test_png_is_the_same_twice_and_white(results: dict[str, Any]) -> None:
    first, second = (png(study_chart(study_rows(results))) for _ in range(2))
    assert first == second
    assert Image.open(BytesIO(first)).convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_no_pyplot_and_no_model_code_is_imported_by_the_report() -> None:
    code = (
        "import sys, flowvae; before = set(sys.modules)\n"
        "import flowvae.report.page, flowvae.report.pages\n"
        "new = set(sys.modules) - before\n"
        "assert 'matplotlib.pyplot' not in new, 'pyplot'\n"
        "allowed = ('flowvae.report', 'flowvae.errors', 'flowvae.files')\n"
        "ours = {name for name in new if name.startswith('flowvae.') and not name.startswith(allowed)}\n"
        "assert not ours, ours\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
