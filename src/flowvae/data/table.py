"""Tables of numbers: .csv with or without a header, its delimiter found by looking."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

from flowvae.data.parts import Part, Parts
from flowvae.errors import InputError

DELIMITERS = ";\t|,"  # in this order: where another fits too, a comma is a decimal one
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
LOOK = 50  # rows by which the delimiter is found
LONGEST = 2**31 - 1  # of a cell: a row that another delimiter does not cut is one


def read_table(path: Path) -> Parts:
    """The columns of ``path`` as rows (N, D); a column called label or labels holds whole numbers, the
    labels.

    The first row is a header where it holds names, or 0, 1, 2, ... as pandas numbers columns. Cells that are
    empty or say NA are NaN. Raises `InputError` for rows of different lengths, and names columns that hold
    something else.
    """
    try:
        with long_cells():
            delimiter = _delimiter(path)
            head = [row for _, row in islice(_rows(path, delimiter), 2)]
            names = _header(head, path)
            values = _numbers(path, delimiter, names, skip=1 if names else 0)
    except UnicodeDecodeError as error:
        got = f"expected a table as UTF-8 text in {path.name}; got something else ({error})"
        raise InputError(f"{got}: save it as UTF-8") from None
    if values.shape[1] == 1:
        _refuse_gaps(path, delimiter)
    if not names:
        return {"train": Part(values)}
    _refuse_index(names, values, path)
    return {"train": _without_labels(names, values, path)}


@contextmanager
def long_cells() -> Iterator[None]:
    """Python's own bound on the length of a cell, which is one for the whole process, lifted for a while."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each after the number of lines read so far."""
    return ((line, row) for line, row in _lines(path, delimiter) if _is_row(row))


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """All rows, each after the number of lines read so far."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        for row in reader:
            yield reader.line_num, row


def _is_row(row: list[str]) -> bool:
    """Whether a row is not blank: "" in quotes is a cell, and empty."""
    return any(cell.strip() for cell in row) or len(row) > 1 or row == [""]


def _delimiter(path: Path) -> str:
    """The delimiter that cuts the first rows into equally many columns, or that cuts the first row most."""
    widths = {d: [len(row) for _, row in islice(_rows(path, d), LOOK)] for d in DELIMITERS}
    if not widths[","]:
        raise InputError(f"expected a table in {path.name}; got no rows: check the file")
    even = [d for d, width in widths.items() if min(width) == max(width) > 1]
    return even[0] if even else max(DELIMITERS, key=lambda d: (widths[d][0], d == ","))


def _header(head: list[list[str]], path: Path) -> list[str]:
    """The names of the columns, or none where the first row is data."""
    first = [cell.strip() for cell in head[0]]
    below = head[1] if len(head) > 1 else []
    text = [cell != "" and _number(cell) is None for cell in first]
    named = any(
        is_text and not (column < len(below) and _number(below[column]) is None) for column, is_text in enumerate(text)
    )
    numbered = len(first) > 2 and first == [str(column) for column in range(len(first))]
    if not (named or numbered or all(text)):
        return []
    if not below:
        raise InputError(f"expected rows below the header of {path.name}; got none: add data")
    return first


def _numbers(path: Path, delimiter: str, names: list[str], skip: int) -> np.ndarray:
    """The table as float64 (N, D): by numpy where all cells are numbers, else cell by cell to name the rest."""
    lines = next(line for line, _ in _rows(path, delimiter)) if skip else 0
    try:
        return np.loadtxt(
            path,
            delimiter=delimiter,
            skiprows=lines,
            quotechar='"',
            comments=None,
            ndmin=2,
            encoding="utf-8-sig",
        )
    except ValueError:
        return _cell_by_cell(path, delimiter, names, skip)


def _cell_by_cell(path: Path, delimiter: str, names: list[str], skip: int) -> np.ndarray:
    table: list[list[float]] = []
    text: dict[int, str] = {}
    width = len(names)
    for line, row in islice(_rows(path, delimiter), skip, None):
        width = width or len(row)
        if len(row) != width:
            raise InputError(
                f"expected {width} columns in every row of {path.name}; got {len(row)} in line {line}: mend the row"
            )
        cells = [_number(cell) for cell in row]
        for column, cell in enumerate(cells):
            if cell is None:
                text.setdefault(
                    column,
                    f"{names[column] if names else f'column {column}'!r}: {row[column]!r} in line {line}",
                )
        table.append([np.nan if cell is None else cell for cell in cells])
    if text:
        shown = [text[column] for column in sorted(text)[:5]]
        more = f" and {len(text) - 5} more columns" if len(text) > 5 else ""
        raise InputError(
            f"expected numbers in every column of {path.name}; got text in {', '.join(shown)}{more}: "
            "leave out or encode these columns, and write decimals with a point; sequences in one of them are what the "
            "recipe 'tokens' trains on, with data.column"
        )
    return np.array(table)


def _number(cell: str) -> float | None:
    """The number in a cell, NaN where it is missing, None for text, as 2019_01 is, which Python would take."""
    cell = cell.strip()
    if cell.lower() in MISSING:
        return np.nan
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _refuse_gaps(path: Path, delimiter: str) -> None:
    """In a table of one column an empty line between others is a row whose value is missing."""
    known = gap = 0
    for line, row in _lines(path, delimiter):
        if not _is_row(row):
            gap = gap or (line if known else 0)
        elif gap:
            raise InputError(
                f"expected a number in every row of {path.name}; got none in line {gap}: fill it in, or leave it out"
            )
        else:
            known = line


def _refuse_index(names: list[str], values: np.ndarray, path: Path) -> None:
    """A nameless first column that counts the rows, from 0 or 1, is an index: a model would learn it as data."""
    counts = len(values) > 1 and values[0, 0] in (0, 1) and bool((np.diff(values[:, 0]) == 1).all())
    if names[0] in ("", "Unnamed: 0") and counts:
        raise InputError(
            f"expected data in every column of {path.name}; got a row number without a name in the first: "
            "write the file without it (pandas: index=False; R: row.names = FALSE)"
        )


def _without_labels(names: list[str], values: np.ndarray, path: Path) -> Part:
    found = [column for column, name in enumerate(names) if name.lower() in ("label", "labels")]
    columns = tuple(name for column, name in enumerate(names) if column not in found)
    if not found:
        return Part(values, columns=columns)
    if len(found) > 1:
        both = " and ".join(repr(names[column]) for column in found)
        raise InputError(f"expected one column of labels in {path.name}; got {both}: rename or leave out all but one")
    labels = values[:, found[0]]
    wrong = np.flatnonzero(~(np.abs(labels) < 2**63) | (labels != np.floor(labels)))
    if wrong.size:
        name, first = names[found[0]], wrong[0]
        raise InputError(
            f"expected whole numbers of 64 bits in {name!r} of {path.name}; got {labels[first]:g} in row {first}, "
            "counted from 0: correct it, or rename the column if it holds no labels"
        )
    if values.shape[1] == 1:
        raise InputError(f"expected columns beside {names[0]!r} in {path.name}; got none: add data")
    return Part(np.delete(values, found, axis=1), labels.astype(np.int64), columns=columns)
