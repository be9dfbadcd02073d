"""Figures of what measures found: posteriors on the latent plane, and the manifold of a decoder."""

from collections.abc import Callable, Mapping
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowvae.report.grid import as_images, limits, to_unit
from flowvae.report.pictures import sample_grids
from flowvae.report.style import MUTED, WIDTH, bare, canvas, plain

DENSITY = "magma"

Arrays = Mapping[str, Mapping[str, np.ndarray]]
"""What a measure kept, by the label of the row and the name of the array."""


def posteriors(found: Arrays) -> Figure:
    """A line a row: prior and aggregate posterior on the plane, then p(z | x) and q(z | x) of each datum."""
    count = max(len(arrays["x"]) for arrays in found.values())
    side = WIDTH / (2 * count + 2)
    figure = canvas(WIDTH, 0.92 * side * len(found) + 0.4)
    panels = figure.subplots(len(found), 2 * count + 2, squeeze=False)
    for line, (label, arrays) in zip(panels, found.items(), strict=True):
        _density(line[0], arrays["prior"])
        _density(line[1], arrays["aggregate"])
        for i in range(count):
            _density(line[2 + 2 * i], arrays["true"][i])
            _density(line[3 + 2 * i], arrays["q"][i])
            _inset(line[2 + 2 * i], arrays["x"][i])
        plain([line[0].set_ylabel(fill(label, 18), fontsize=7.5, color=MUTED)])
    titles = ["p(z)", "mean of q(z | x)", *("p(z | x)", "q(z | x)") * count]
    for axes, title in zip(panels[0], titles, strict=True):
        plain([axes.set_title(title, fontsize=8, color=MUTED)])
    return figure


def targets(found: Arrays, axes: list[list[list[str]]]) -> Figure:
    """A study that crosses axes: the target of each column above, and below it each row's q."""
    columns = [label for _, label in axes[-1]]
    labels = list(dict.fromkeys(label.rpartition(", ")[0] for label in found))
    side = min(1.5, WIDTH / len(columns))
    figure = canvas(side * len(columns) + 1.4, (len(labels) + 1) * side + 0.3)
    panels = figure.subplots(len(labels) + 1, len(columns), squeeze=False)
    for j, column in enumerate(columns):
        for i, label in enumerate(labels):
            arrays = found.get(f"{label}, {column}")
            if arrays is None:
                panels[i + 1, j].set_visible(False)
                continue
            _density(panels[i + 1, j], arrays["q"][0])
            _density(panels[0, j], arrays["true"][0])
            if j == 0:
                text = panels[i + 1, 0].set_ylabel(label, fontsize=8, color=MUTED, rotation=0, ha="right", va="center")
                plain([text])
        plain([panels[0, j].set_title(column, fontsize=8.5, color=MUTED)])
    return figure


def manifolds(found: Arrays) -> Figure:
    """The decoder's means over the latent plane, a panel a row, each pictured as it lies."""
    side = round(len(next(iter(found.values()))["means"]) ** 0.5)
    return sample_grids({label: arrays["means"] for label, arrays in found.items()}, columns=side)


FIGURES: dict[str, Callable[[Arrays], Figure]] = {"true_posterior": posteriors, "manifold": manifolds}
"""How the arrays of a measure are drawn, by its name."""


def measured_figures(
    arrays: Mapping[str, np.ndarray], labels: Mapping[str, str], record: Mapping[str, Any]
) -> dict[str, Figure]:
    """The figures of a study's measures from the arrays "ROW/MEASURE/NAME" of its results."""
    figures = {}
    for measure, draw in FIGURES.items():
        found: dict[str, dict[str, np.ndarray]] = {}
        for row, label in labels.items():
            prefix = f"{row}/{measure}/"
            own = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
            if own:
                found[label] = own
        if found:
            crossed = record.get("axes") and measure == "true_posterior"
            figures[measure] = targets(found, record["axes"]) if crossed else draw(found)
    return figures


def _density(axes: Axes, values: np.ndarray) -> None:
    axes.imshow(np.asarray(values, dtype=float), cmap=DENSITY, interpolation="bilinear", vmin=0)
    bare(axes)


def _inset(axes: Axes, x: np.ndarray) -> None:
    """The datum in the corner, if it is a picture."""
    pictures = as_images(x[None])
    if pictures is not None:
        corner = axes.inset_axes((0.02, 0.68, 0.3, 0.3))
        corner.imshow(np.broadcast_to(to_unit(pictures, *limits(pictures))[0], (*pictures.shape[1:3], 3)))
        bare(corner)
