"""Charts of numbers: training curves, KL per dimension, and a study's rows with their intervals."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flowvae.report.curves import Curve
from flowvae.report.metrics import metric
from flowvae.report.rendering import number
from flowvae.report.rows import StudyRow
from flowvae.report.style import INK, MUTED, PALETTE, WIDTH, canvas, colours, dress, heading, legend, plain

Series = Mapping[str, Sequence[tuple[Curve, Curve]]]
TERMS = (("elbo", "−ELBO"), ("rate", "rate: KL(q ‖ p)"), ("distortion", "distortion: −E log p(x | z)"))


def training_curves(series: Series) -> Figure:
    """The terms of the bound against the epoch; −ELBO = distortion + rate, in nats per datum.

    ``series`` maps a label to (training, validation) curves, one pair a seed. Each panel's range leaves out the first
    tenth of the epochs, whose fall would flatten the rest. A dot marks the epoch whose weights were kept as best.
    """
    return crossed_curves({"": series})


def crossed_curves(groups: Mapping[str, Series]) -> Figure:
    """`training_curves` of several groups, one below the other, each with ranges of its own; a label has one colour."""
    labels = list(dict.fromkeys(label for series in groups.values() for label in series))
    colour = dict(zip(labels, colours(len(labels)), strict=True))
    figure = canvas(WIDTH, 3.48 + 2.78 * (len(groups) - 1))
    panels = figure.subplots(len(groups), len(TERMS), squeeze=False)
    for row, (group, series) in zip(panels, groups.items(), strict=True):
        below = "epoch" if group == list(groups)[-1] else ""
        for axes, (term, title) in zip(row, TERMS, strict=True):
            settled: list[np.ndarray] = []
            for label, pairs in series.items():
                for train, validation in pairs:
                    settled += _lines(axes, term, colour[label], train, validation)
            told = f"{group}, {title}" if group else title
            dress(axes, told, x=below, y="nats per datum" if axes is row[0] else "")
            axes.locator_params(axis="x", integer=True, min_n_ticks=1)
            limit(axes, settled)
    handles = [Line2D([], [], color=colour[label], linewidth=2.4) for label in labels]
    handles += [
        Line2D([], [], color=MUTED, linewidth=1.6),
        Line2D([], [], color=MUTED, linewidth=1.1, linestyle=(0, (3, 2))),
        Line2D([], [], color=MUTED, marker="o", markersize=4.5, linestyle="none"),
    ]
    legend(figure, handles, [*labels, "validation", "training", "best epoch"])
    return figure


def _lines(axes: Axes, term: str, colour: str, train: Curve, validation: Curve) -> list[np.ndarray]:
    """Draw one run's two curves; what is returned is their part after the first tenth."""
    sign = -1 if term == "elbo" else 1
    settled = []
    for curve, style in ((train, (0, (3, 2))), (validation, "-")):
        values = sign * getattr(curve, term)
        width = 1.6 if curve is validation else 1.1
        alone = "_" if len(values) == 1 else ""  # of one point no line is drawn
        axes.plot(curve.epoch, values, color=colour, linestyle=style, linewidth=width, marker=alone, alpha=0.9)
        settled.append(values[len(values) // 10 + (len(values) > 3) :])
    if validation.best is not None:
        best = validation.epoch[validation.best], sign * getattr(validation, term)[validation.best]
        axes.plot(*best, marker="o", markersize=4.5, color=colour, markeredgecolor="white", zorder=3)
    return settled


def limit(axes: Axes, settled: Sequence[np.ndarray]) -> None:
    """Let the axes show all of ``settled`` with a margin, and no more."""
    values = np.concatenate([*settled, np.empty(0)])
    values = values[np.isfinite(values)]
    if values.size:
        margin = 0.06 * (float(np.ptp(values)) or 1.0)
        axes.set_ylim(values.min() - margin, values.max() + margin)


def kl_per_dimension(found: Mapping[int, np.ndarray], top: float | None = None) -> Figure:
    """KL of the marginal of each latent dimension in nats, sorted, one panel for each of the groups, by their numbers.

    Where q correlates dimensions, they do not add up to the KL of the group: a panel's title says what its sum is.
    ``top`` is the greatest KL of the scale, for a scale common to several figures; the greatest one here by default.
    """
    groups = [np.sort(np.asarray(group, dtype=float).ravel())[::-1] for group in found.values()]
    top = top or max(float(group.max(initial=0)) for group in groups) or 1.0
    columns = min(len(groups), 4)
    rows = ceil(len(groups) / columns)
    width = WIDTH if columns > 2 else 5.18
    sums = [f"sum of marginals {number(group.sum())} nats" for group in groups]
    named = sums if list(found) == [1] else [f"group {i}: {text}" for i, text in zip(found, sums, strict=True)]
    titles = [heading(text, width / columns - 0.5) for text in named]
    figure = canvas(width, 0.7 + rows * (1.65 + max(inches for _, inches in titles)))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for i, axes in enumerate(panels.flat):
        if i >= len(groups):
            axes.set_visible(False)
            continue
        kl = groups[i]
        if len(kl) <= 64:
            axes.bar(np.arange(1, len(kl) + 1), kl, width=0.78, color=PALETTE[0])
        else:
            axes.stairs(kl, np.arange(len(kl) + 1) + 0.5, fill=True, color=PALETTE[0])
        dress(axes, titles[i][0], x="dimension, sorted", y="KL in nats" if i % columns == 0 else "")
        axes.set_xlim(0.3, len(kl) + 0.7)
        axes.locator_params(axis="x", integer=True, nbins=6, min_n_ticks=1)
        axes.set_ylim(0, 1.05 * top)
    return figure


def study_chart(rows: Sequence[StudyRow], metrics: Sequence[str] = ("elbo", "log_likelihood")) -> Figure:
    """A dot for each row's mean over seeds, a bar for its Student-t 95 % interval, a small dot for each seed.

    The distance from −log p(x) to −ELBO is the gap of the bound.
    """
    marks = list(zip(metrics, PALETTE, "oDs^", strict=False))
    lanes = np.linspace(-0.17, 0.17, len(marks)) if len(marks) > 1 else [0.0]
    figure = canvas(WIDTH, 0.88 + (0.28 + 0.22 * len(marks)) * len(rows))
    axes = figure.subplots()
    for y, row in enumerate(rows):
        for (name, colour, marker), lane in zip(marks, lanes, strict=True):
            found, seeds = row.estimates[name], list(row.values[name].values())
            if found is None:
                continue
            at = y + lane
            axes.plot([found.low, found.high], [at, at], color=colour, linewidth=1.5, solid_capstyle="butt")
            axes.plot(seeds, [at] * len(seeds), "o", color="white", markersize=3.6, markeredgecolor=colour)
            axes.plot(found.mean, at, marker, color=colour, markersize=7, markeredgecolor="white")
            value = axes.annotate(
                number(found.mean, metric(name).decimals),
                (found.mean, at),
                (0, 7 if lane <= 0 else -7),
                textcoords="offset points",
                ha="center",
                va="bottom" if lane <= 0 else "top",
                fontsize=8,
                color=colour,
            )
            plain([value])
    nats = all(metric(name).nats for name in metrics)
    dress(axes, x="nats per held-out datum, lower is better" if nats else "", grid="x")
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=9, color=INK)
    plain(axes.get_yticklabels())
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.margins(x=0.06)
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=7, linewidth=1.5, markeredgecolor="white")
        for _, colour, marker in marks
    ]
    handles.append(Line2D([], [], color="white", marker="o", markersize=3.6, markeredgecolor=MUTED, linestyle="none"))
    titles = [f"{metric(name).title}: mean and 95 % interval" for name in metrics]
    legend(figure, handles, [*titles, "one seed"])
    return figure
