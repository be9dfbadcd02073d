"""Figures of data: samples, and originals beside their reconstructions and errors."""

from collections.abc import Mapping
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from flowvae.report.grid import as_images, enlarge, limits, save_grid, tile, to_unit
from flowvae.report.style import DPI, MUTED, PAD, PALETTE, WIDTH, bare, canvas, dress, heading
from flowvae.report.texts import is_text, text_panels

PIXELS = 900  # on a panel's longer side, so that a tile's edges stay sharp
ACROSS = 12  # data in a row of a walk or of reconstructions, or more of these where rows would outnumber columns
MANY = 8  # rows of a study whose reconstructions may stand one below the other
SCALE = 0.6  # inches beside a panel that its scale and its label take
LARGEST = 1.5  # inches of a reconstructed picture's side, however few there are
BAR, THICK = 2.2, 0.14  # inches: the scale of errors at its longest, and across
ERRORS = "magma"  # no error is black, as the pictures' own ground


def sample_grids(panels: Mapping[str, np.ndarray], columns: int | None = None, width: float = WIDTH) -> Figure:
    """A panel of samples for each label: pictures in a grid, points of the plane where they lie, all else as rows.

    Arrays are ``(N, 1, H, W)``, ``(N, 3, H, W)`` or ``(N, H, W)`` for pictures, and ``(N, 2)`` for points; other events
    ``(N, *)`` are the rows of a heat map. Strings ``(N,)``, sequences in print, are written out.
    """
    if any(is_text(images) for images in panels.values()):
        return text_panels({label: [str(line) for line in lines] for label, lines in panels.items()})
    across = min(len(panels), 4)
    down = ceil(len(panels) / across)
    side = width / across - 2 * PAD
    boards = {label: _board(images, columns) for label, images in panels.items()}
    heights = {label: _height(images, boards[label]) for label, images in panels.items()}
    tallest = min(max(heights.values()), 2.0)
    rooms = {label: side * min(1, tallest / heights[label]) - SCALE * (boards[label] is None) for label in panels}
    titles = {label: heading(label, room) for label, room in rooms.items()}
    above = [inches for _, inches in titles.values()]
    lines = sum(max(above[i : i + across]) for i in range(0, len(above), across))
    figure = canvas(width, down * (tallest * side + 2 * PAD) + lines)
    for axes, (label, images) in zip(figure.subplots(down, across, squeeze=False).flat, panels.items(), strict=False):
        board, (title, _) = boards[label], titles[label]
        if board is not None:
            axes.imshow(_rgb(board))
            axes.set_anchor("N")  # where the layout takes the title to be
            bare(axes, title)
        elif _in_the_plane(images):
            _points(axes, images, title)
        else:
            _heat_map(axes, np.asarray(images), title)
    for axes in figure.axes[len(panels) : down * across]:
        axes.set_visible(False)
    return figure


def save_samples(samples: np.ndarray, path: Path, columns: int | None = None) -> None:
    """Write samples as one picture: `save_grid` of pictures, `sample_grids` of all else."""
    if as_images(samples) is not None:
        save_grid(samples, path, columns)
    else:
        sample_grids({"": samples}, width=WIDTH / 2).savefig(path, dpi=DPI)


def reconstructions(
    panels: Mapping[str, tuple[np.ndarray, np.ndarray]], count: int = 12, worst: float | None = None
) -> Figure:
    """For each label three rows: originals x, means of p(x | z), and absolute errors |x − mean|.

    More than `ACROSS` data are in several such blocks, one below the other. More than `MANY` labels stand three
    abreast, with a third of the data each.

    ``worst`` is the error at the end of the colour scale, for a scale common to several figures; the largest one by
    default. Strings are written one below the other, without an error.
    """
    if any(is_text(x) for x, _ in panels.values()):
        lines = {label: _one_below_the_other(x[:count], means[:count]) for label, (x, means) in panels.items()}
        return text_panels(lines)
    panels = {label: (np.asarray(x)[:count], np.asarray(mean)[:count]) for label, (x, mean) in panels.items()}
    worst = worst or max(largest_error(*pair) for pair in panels.values()) or 1.0
    if any(as_images(x) is None for x, _ in panels.values()):
        return _reconstructed_rows(panels, worst)
    abreast = 3 if len(panels) > MANY else 1
    shown = ceil(count / abreast)
    panels = {label: (x[:shown], mean[:shown]) for label, (x, mean) in panels.items()}
    boards = {label: _three_rows(x, mean, worst) for label, (x, mean) in panels.items()}
    width = min(WIDTH, 1.6 + LARGEST * max(_across(len(x)) for x, _ in panels.values()) * abreast)
    side = (width - 1.6) / abreast - PAD * (abreast - 1)
    titles = {label: heading(label, side) for label in boards}
    heights = [side * board.shape[0] / board.shape[1] for board in boards.values()]
    above = [inches + 0.17 * bool(inches) for _, inches in titles.values()]
    bands = [slice(i, i + abreast) for i in range(0, len(boards), abreast)]
    figure = canvas(width, 2 * PAD + sum(max(heights[band]) + max(above[band]) for band in bands))
    every = list(figure.subplots(len(bands), abreast, squeeze=False).flat)
    for axes in every[len(boards) :]:
        axes.set_visible(False)
    for i, (axes, (label, board)) in enumerate(zip(every, boards.items(), strict=False)):
        axes.imshow(board)
        axes.set_anchor("NW")  # where the layout takes labels and title to be
        bare(axes, titles[label][0])
        if i % abreast == 0:
            data = len(panels[label][0])
            blocks = ceil(data / _across(data))
            places = [board.shape[0] * (row + 0.5) / (3 * blocks) for row in range(3 * blocks)]
            axes.set_yticks(places, ["original", "mean", "|error|"] * blocks)
            axes.tick_params(labelsize=8, colors=MUTED, length=0)
    scale = ScalarMappable(Normalize(0, worst), ERRORS)
    length = min(heights[0], BAR)
    beside = {"shrink": length / figure.get_figheight(), "aspect": length / THICK, "pad": 0.015, "anchor": (0, 1)}
    bar = figure.colorbar(scale, ax=every, panchor=False, **beside)  # else the boards would stand at the bar
    bar.set_label("|error|", fontsize=8, color=MUTED)
    _colour_bar(bar)
    return figure


def largest_error(originals: np.ndarray, means: np.ndarray) -> float:
    """The largest |x − mean| that `reconstructions` shows, averaged over the channels of a picture; 0 of text."""
    return 0.0 if is_text(originals) else float(_errors(originals, means).max(initial=0))


def _one_below_the_other(originals: np.ndarray, decoded: np.ndarray) -> list[str]:
    pairs = zip(originals, decoded, strict=True)
    return [line for x, y in pairs for line in (f"x   {x}", f"=   {y}" if x == y else f"≠   {y}", "")]


def _errors(originals: np.ndarray, means: np.ndarray) -> np.ndarray:
    x, mean = as_images(originals), as_images(means)
    if x is None or mean is None:
        return np.abs(np.asarray(originals, dtype=float) - means)
    return np.abs(x - mean).mean(-1)


def _board(images: np.ndarray, columns: int | None) -> np.ndarray | None:
    pictures = as_images(images)
    if pictures is None:
        return None
    return enlarge(tile(to_unit(pictures, *limits(pictures)), columns), PIXELS)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def _across(count: int) -> int:
    """How many of ``count`` data are in a row."""
    return min(count, max(ACROSS, ceil(sqrt(3 * count))))


def _three_rows(originals: np.ndarray, means: np.ndarray, worst: float) -> np.ndarray:
    """Originals and means in one range of grey or colour, errors in theirs: block after block of three rows."""
    pictures = [p for p in (as_images(originals), as_images(means)) if p is not None]
    low, high = limits(*pictures)
    errors = colormaps[ERRORS](_errors(originals, means) / worst)[..., :3]
    kinds = np.stack([*(_rgb(to_unit(p, low, high)) for p in pictures), errors])
    across = _across(len(errors))
    kinds = np.pad(kinds, [(0, 0), (0, -len(errors) % across), *[(0, 0)] * 3], constant_values=1)  # white
    blocks = kinds.reshape(3, -1, across, *kinds.shape[2:]).swapaxes(0, 1)
    return enlarge(tile(blocks.reshape(-1, *kinds.shape[2:]), columns=across), 2 * PIXELS)


def _in_the_plane(events: np.ndarray) -> bool:
    return events.ndim == 2 and events.shape[1] == 2


def _height(events: np.ndarray, board: np.ndarray | None) -> float:
    """Of the panel that shows the events, as a multiple of its width."""
    if board is not None:
        return board.shape[0] / board.shape[1]
    return 1.0 if _in_the_plane(events) else 0.6


def _points(axes: Axes, points: np.ndarray, title: str) -> None:
    axes.scatter(points[:, 0], points[:, 1], s=6, alpha=0.6, linewidths=0, color=PALETTE[0])
    dress(axes, title, x="first coordinate", y="second coordinate")
    axes.set_aspect("equal", adjustable="datalim")


def _colour_bar(bar: Colorbar) -> None:
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=MUTED, length=0)


def _heat_map(
    axes: Axes,
    values: np.ndarray,
    title: str,
    low: float | None = None,
    high: float | None = None,
    cmap: str = "viridis",
) -> None:
    """Events that are no pictures: a row each, a column for each of their dimensions."""
    rows = np.asarray(values, dtype=float).reshape(len(values), -1)
    image = axes.imshow(rows, aspect="auto", interpolation="nearest", cmap=cmap, vmin=low, vmax=high)
    dress(axes, title, x="dimension", y="event")
    axes.grid(False)
    axes.locator_params(integer=True, min_n_ticks=1)
    _colour_bar(axes.figure.colorbar(image, ax=axes, aspect=30, pad=0.02))


def _reconstructed_rows(panels: Mapping[str, tuple[np.ndarray, np.ndarray]], worst: float) -> Figure:
    figure = canvas(WIDTH, 2.9 * len(panels))
    for row, (label, (x, mean)) in zip(figure.subplots(len(panels), 3, squeeze=False), panels.items(), strict=True):
        low, high = min(x.min(), mean.min()), max(x.max(), mean.max())
        title, _ = heading(f"{label}: original" if label else "original", WIDTH / 3 - SCALE)
        _heat_map(row[0], x, title, low, high)
        _heat_map(row[1], mean, "mean", low, high)
        _heat_map(row[2], _errors(x, mean), "|error|", 0, worst, ERRORS)
    return figure
