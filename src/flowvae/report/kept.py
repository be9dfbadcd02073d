"""Figures from the files of a study's results: what is kept of its runs, whose folders may be elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from flowvae.files import load_arrays, load_json
from flowvae.report.crossed import groups
from flowvae.report.curves import Curve
from flowvae.report.figures import crossed_curves, study_chart, training_curves
from flowvae.report.measured import measured_figures
from flowvae.report.metrics import charted
from flowvae.report.pictures import reconstructions, sample_grids
from flowvae.report.rows import study_rows

TOLD_APART = 10
"""Rows whose curves the eye can tell apart in one panel: of more, none are drawn."""


def kept_figures(folder: Path, name: str, results: Mapping[str, Any]) -> dict[str, Figure]:
    """The figures that the results of the study ``name`` in ``folder`` allow, by kind.

    Samples and reconstructions come from ``NAME.npz`` (arrays "<row>/samples", "<row>/originals", "<row>/means"),
    curves from ``NAME-curves.json`` ({row: {seed: [[epoch, training ELBO, validation ELBO, validation rate], ...]}}),
    where they exist. What is not of a run in ``results`` is not drawn.
    """
    rows = study_rows(results)
    labels = {row.name: row.label for row in rows if row.seeds}
    arrays = load_arrays(folder / f"{name}.npz")
    figures = {} if results.get("axes") else {"rows": study_chart(rows, charted(results))}
    figures |= measured_figures(arrays, labels, results)
    samples = {label: arrays[f"{row}/samples"] for row, label in labels.items() if f"{row}/samples" in arrays}
    if samples:
        figures["samples"] = sample_grids(samples)
    pairs = {
        label: (arrays[f"{row}/originals"], arrays[f"{row}/means"])
        for row, label in labels.items()
        if f"{row}/originals" in arrays and f"{row}/means" in arrays
    }
    if pairs:
        figures["reconstructions"] = reconstructions(pairs)
    curves = folder / f"{name}-curves.json"
    record = load_json(curves) if curves.exists() else {}
    found = {
        row.name: [_curves(points) for seed, points in record[row.name].items() if int(seed) in row.seeds]
        for row in rows
        if row.name in record and row.seeds
    }
    if found and results.get("axes"):
        places = [label for _, label in results["axes"][-1]]
        crossed = {
            group: {label: found[name] for name, label in zip(names, places, strict=True) if name in found}
            for group, names in groups(results["axes"])
        }
        figures["curves"] = crossed_curves({group: series for group, series in crossed.items() if series})
    elif 0 < len(found) <= TOLD_APART:
        figures["curves"] = training_curves({labels[name]: pairs for name, pairs in found.items()})
    return figures


def _curves(points: list[list[float | None]]) -> tuple[Curve, Curve]:
    """Training and validation from rows of epoch, training ELBO, validation ELBO and validation rate."""
    epoch, train, validation, rate = np.array(points, dtype=float).reshape(-1, 4).T
    best = int(np.nanargmax(validation)) if np.isfinite(validation).any() else None
    told = np.isfinite(train)  # short epochs may end between two training lines of the journal
    unknown = np.full(told.sum(), np.nan)
    return Curve(epoch[told], train[told], unknown, unknown), Curve(epoch, validation, rate, -validation - rate, best)
