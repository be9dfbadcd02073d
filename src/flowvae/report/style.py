"""The look of every figure: white cards, dark ink, few lines, and colours that colour-blind eyes tell apart."""

from collections.abc import Iterable, Sequence
from io import BytesIO

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

INK, MUTED, RULE = "#1c2128", "#59636e", "#e4e7eb"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")
"""Okabe and Ito (2008), "Color universal design", without its yellow, which white swallows."""

DPI = 192  # two pixels of the file to a pixel of the page
WIDTH = 10.8  # inches: a figure as wide as the page's text


def colours(count: int) -> list[str]:
    """``count`` distinct colours: the palette while it lasts, then even steps of viridis."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return [to_hex(colormaps["viridis"](0.92 * i / (count - 1))) for i in range(count)]


def canvas(width: float, height: float) -> Figure:
    """An empty white figure, its layout constrained so that no label is cut."""
    figure = Figure(figsize=(width, height), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
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


def legend(figure: Figure, handles: Sequence, labels: Sequence[str], columns: int = 8) -> Legend:
    """One legend under the whole figure."""
    box = figure.legend(
        list(handles),
        list(labels),
        loc="outside lower left",
        ncols=min(columns, len(labels)),
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        handlelength=2.2,
        columnspacing=1.8,
    )
    plain(box.get_texts())
    return box


def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
