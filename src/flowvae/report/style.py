"""The look of every figure: white cards, dark ink, few lines, and colours that colour-blind eyes tell apart."""

from collections.abc import Iterable, Sequence
from io import BytesIO
from textwrap import wrap
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.text import Text

INK, MUTED, RULE = "#1c2128", "#59636e", "#e4e7eb"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")
"""Okabe and Ito (2008), "Color universal design", without its yellow, which white swallows."""

DPI = 192  # two pixels of the file to a pixel of the page
WIDTH = 10.8  # inches: a figure as wide as the page's text
PAD = 0.06  # inches around panels and legend


def colours(count: int) -> list[str]:
    """``count`` distinct colours: the palette while it lasts, then even steps of viridis."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return [to_hex(colormaps["viridis"](0.92 * i / (count - 1))) for i in range(count)]


def canvas(width: float, height: float) -> Figure:
    """An empty white figure, its layout constrained so that no label is cut."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=PAD, h_pad=PAD)
    return figure


def plain(texts: Iterable[Text]) -> None:
    """Show user's words as they stand: a dollar sign starts no formula."""
    for text in texts:
        text.set_parse_math(False)


def dress(axes: Axes, title: str = "", x: str = "", y: str = "", grid: str = "y") -> None:
    """Titles at the left, no box, and rules only across ``grid``: "x" or "y"."""
    plain([axes.set_title(title, loc="left", fontsize=9.5, color=INK, fontweight="bold", pad=7)])
    axes.set_xlabel(x, fontsize=8.5, color=MUTED)
    axes.set_ylabel(y, fontsize=8.5, color=MUTED)
    axes.tick_params(labelsize=8, colors=MUTED, length=0)
    axes.grid(axis="x" if grid == "x" else "y", color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == ("left" if grid == "x" else "bottom"))
        spine.set_color("#b8bfc7")


def bare(axes: Axes, title: str = "") -> None:
    """Axes that hold a picture: no ticks, no frame."""
    if title:
        plain([axes.set_title(title, loc="left", fontsize=9.5, color=INK, fontweight="bold", pad=5)])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def within(text: str, width: float, **font: Any) -> str:
    """The text in lines none of which is wider than ``width`` inches; ``font`` is its size and weight."""
    look, ruler = FontProperties(**font), RendererAgg(1, 1, DPI)

    def inches(line: str) -> float:
        return ruler.get_text_width_height_descent(line, look, ismath=False)[0] / DPI

    for most in range(len(text) if inches(text) > width else 0, 0, -1):
        lines = wrap(text, most)
        if all(inches(line) <= width for line in lines):
            return "\n".join(lines)
    return text


def heading(title: str, width: float) -> tuple[str, float]:
    """A panel's title in lines that ``width`` inches hold, and the inches that they take above it."""
    lines = within(title, width, size=9.5, weight="bold")
    return lines, 0.09 + 0.16 * len(lines.splitlines()) if title else 0.0


def legend(figure: Figure, handles: Sequence, labels: Sequence[str]) -> Legend:
    """One legend under the whole figure, in as many columns as its width holds; the figure grows by its height."""
    width = figure.get_figwidth() - 2 * PAD
    texts = [within(label, width - 0.5, size=8.5) for label in labels]  # half an inch for the handle
    for columns in range(len(texts), 0, -1):
        box = figure.legend(
            list(handles),
            texts,
            loc="outside lower left",
            ncols=columns,
            frameon=False,
            fontsize=8.5,
            labelcolor=INK,
            handlelength=2.2,
            columnspacing=1.8,
        )
        plain(box.get_texts())
        extent = box.get_window_extent(FigureCanvasAgg(figure).get_renderer())
        if columns == 1 or extent.width <= width * figure.dpi:
            break
        box.remove()
    figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)
    return box


def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
