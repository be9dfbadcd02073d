"""A table of text cells, rendered for the terminal, for Markdown and for HTML; and the formats of its numbers."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from html import escape
from math import isfinite, isnan
from typing import Any

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from flowvae.report.intervals import Estimate

NONE = "–"
UNBOUNDED = 10_000  # columns: wider than any table


@dataclass(frozen=True)
class Column:
    """A column's title; ``numeric`` aligns right; ``below`` shares the column before, where width is short."""

    title: str
    numeric: bool = True
    below: bool = False


@dataclass(frozen=True)
class Table:
    """Cells as plain text; each renderer escapes them for its own medium."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    title: str = ""

    def without_empty_columns(self) -> "Table":
        """The same table without the columns in which no row says anything."""
        keep = [i for i in range(len(self.columns)) if i == 0 or any(row[i] not in ("", NONE) for row in self.rows)]
        rows = tuple(tuple(row[i] for i in keep) for row in self.rows)
        return Table(tuple(self.columns[i] for i in keep), rows, self.caption, self.title)

    def rich(self, width: int) -> RichTable:
        """For a terminal of that width: columns marked ``below`` share the cell before them, as far as it needs it."""
        room, apart = Console(width=UNBOUNDED), frozenset[str]()
        for title in dict.fromkeys(column.title for column in reversed(self.columns) if column.below):
            if room.measure(self._stacked(apart | {title})).maximum <= width:
                apart |= {title}
        return self._stacked(apart)

    def _stacked(self, apart: Set[str]) -> RichTable:
        """Columns marked ``below`` share the cell of the column before them, but for those with titles in ``apart``."""
        stacks: list[list[int]] = []
        for i, column in enumerate(self.columns):
            if column.below and stacks and column.title not in apart:
                stacks[-1].append(i)
            else:
                stacks.append([i])
        cells = [["\n".join(row[i] for i in stack if row[i]) for stack in stacks] for row in self.rows]
        table = RichTable(
            title=Text(self.title, style="bold") if self.title else None,
            caption=Text(self.caption, style="dim"),
            caption_justify="left",
            title_justify="left",
            header_style="bold",
            box=HORIZONTALS,
            show_lines=any("\n" in cell for line in cells for cell in line),
        )
        for stack in stacks:
            figures = [row[i] for row in self.rows for i in stack if self.columns[i].numeric]
            table.add_column(
                Text("\n".join(self.columns[i].title for i in stack)),
                justify="right" if self.columns[stack[0]].numeric else "left",
                overflow="fold",
                min_width=max((len(line) for cell in figures for line in cell.splitlines()), default=None),
            )
        for line in cells:
            table.add_row(*map(Text, line))
        return table

    def markdown(self) -> str:
        """A pipe table, the caption as a paragraph below it."""
        rule = ["---:" if column.numeric else "---" for column in self.columns]
        lines = [
            [_markdown(c.title) for c in self.columns],
            rule,
            *([_markdown(cell) for cell in row] for row in self.rows),
        ]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"{table}\n\n{_markdown(self.caption)}\n" if self.caption else f"{table}\n"

    def html(self) -> str:
        """A ``<table>``, every cell escaped; the caption stands below it."""

        def cells(tag: str, texts: Sequence[str]) -> str:
            classes = [' class="number"' if column.numeric else "" for column in self.columns]
            return "".join(f"<{tag}{c}>{escape(text)}</{tag}>" for c, text in zip(classes, texts, strict=True))

        head = f"<thead><tr>{cells('th', [column.title for column in self.columns])}</tr></thead>"
        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in self.rows)
        caption = f"<p class='caption'>{escape(self.caption)}</p>" if self.caption else ""
        return f"<div class='scroll'><table>{head}<tbody>{body}</tbody></table></div>{caption}"


def _markdown(text: str) -> str:
    """Text that Markdown shows as it stands, its lines kept apart within a cell of a pipe table."""
    for character in "\\`*_[]<>|#$":
        text = text.replace(character, "\\" + character)
    return "<br>".join(" ".join(line.split()) for line in text.strip().splitlines())


def in_words(value: Any) -> str:
    """A value of a record in one line; what is None in a mapping is left out.

    >>> in_words({"processor": "Some CPU", "cores": 2, "gpu": None}), in_words([1, 8, 8]), in_words(["a", "b"])
    ('processor Some CPU, cores 2', '1 × 8 × 8', 'a, b')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {in_words(part)}" for key, part in value.items() if part is not None)
    if isinstance(value, list):
        is_shape = all(isinstance(part, int) for part in value)
        return (" × " if is_shape else ", ").join(map(in_words, value))
    return NONE if value is None else str(value)


def number(value: float | None, decimals: int = 2) -> str:
    """A number with a true minus sign, thousands grouped where it has no decimals, never a negative zero.

    >>> number(-86.774), number(-0.001), number(12345, 0), number(None)
    ('−86.77', '0.00', '12,345', '–')
    """
    if value is None or isnan(value):
        return NONE
    if not isfinite(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.{decimals}f}" if decimals == 0 else f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def with_error(value: float | None, error: float | None, decimals: int = 2) -> str:
    """A value and, in parentheses, its standard error in the same unit and decimals.

    >>> with_error(86.774, 0.041), with_error(86.774, 0.004), with_error(86.774, None)
    ('86.77 (0.04)', '86.77 (<0.01)', '86.77')
    """
    if value is None or error is None or not isfinite(error):
        return number(value, decimals)
    least = 10.0**-decimals
    shown = f"<{least:.{decimals}f}" if 0 < error < least / 2 else number(error, decimals)
    return f"{number(value, decimals)} ({shown})"


def with_interval(difference: Estimate | None, decimals: int = 2) -> str:
    r"""A difference with its sign, its standard error in parentheses and its 95 % interval in brackets.

    >>> with_interval(Estimate(-1.95, 0.05, -2.17, -1.73, 3)), with_interval(Estimate(1.5, float("nan"), 0, 0, 1))
    ('−1.95 (0.05)\n[−2.17, −1.73]', '+1.50')
    """
    if difference is None:
        return NONE
    text = with_error(difference.mean, difference.error, decimals)
    if not text.startswith("−") and difference.mean > 0:
        text = "+" + text
    if difference.count < 2:
        return text
    return f"{text}\n[{number(difference.low, decimals)}, {number(difference.high, decimals)}]"
