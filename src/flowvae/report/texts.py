"""Figures of data that are text: sequences in print."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from flowvae.report.style import INK, PAD, WIDTH, bare, canvas, heading, plain

LINES = 24  # of a panel
LETTERS = 150  # of a line
SIZE = 6.5  # points


def is_text(data: np.ndarray) -> bool:
    """Whether data are strings."""
    return np.asarray(data).dtype.kind == "U"


def text_panels(panels: Mapping[str, Sequence[str]]) -> Figure:
    """A panel of lines for each label, one below the other; what is too long is cut, and says so."""
    shown = {label: [_cut(line) for line in lines[:LINES]] for label, lines in panels.items()}
    titles = {label: heading(label, WIDTH - 2 * PAD) for label in shown}
    heights = [0.1 + titles[label][1] + 1.35 * SIZE / 72 * max(1, len(lines)) for label, lines in shown.items()]
    figure = canvas(WIDTH, sum(heights))
    every = figure.subplots(len(shown), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, (label, lines) in zip(every, shown.items(), strict=True):
        bare(axes, titles[label][0])
        text = "\n".join(lines)
        look = {"fontsize": SIZE, "family": "monospace", "color": INK, "linespacing": 1.3}
        plain([axes.text(0, 1, text, transform=axes.transAxes, va="top", **look)])
    return figure


def _cut(line: str) -> str:
    return line if len(line) <= LETTERS else line[: LETTERS - 1] + "…"
