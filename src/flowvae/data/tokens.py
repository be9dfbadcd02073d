"""One's own sequences of tokens: a text with one a line, or a column of a table."""

import csv
import io
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Data
from flowvae.data.file import Share
from flowvae.data.parts import Part, partition
from flowvae.data.table import long_cells
from flowvae.errors import InputError, nearest
from flowvae.registry import Count, Seed, register
from flowvae.schema import END, Schema, Type

log = logging.getLogger(__name__)

UNKNOWN = "<unk>"
SMILES = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|.")
"""Brackets, two-letter atoms and two-digit ring bonds in one piece; else character by character."""

TABLES = {".csv": ",", ".tsv": "\t"}
"""What separates the cells of a table."""

Unit = Literal["words", "characters", "smiles"]


@register("data", "tokens")
def tokens(
    *,
    path: str = "",
    column: str = "",
    unit: Unit = "words",
    length: Count = 64,
    longer: Literal["refuse", "drop", "cut"] = "refuse",
    vocabulary: Count = 10_000,
    at_least: Count = 1,
    validation: Share = 0.1,
    test: Share = 0.1,
    seed: Seed = 0,
) -> Data:
    """Sequences of tokens from a text with one a line, or from the ``column`` of a .csv or .tsv: event (L, 1).

    A token is a word, a character, or a symbol of SMILES. The vocabulary is that of the training rows: the tokens that
    occur ``at_least`` so many times, and the most frequent ``vocabulary`` of them; any other is unknown. L is the
    length of the longest sequence, ``length`` at most; ``longer`` says what becomes of one that exceeds it. Empty lines
    are left out. Validation and test rows are cut off at random by ``seed``.

    Raises `InputError` for a file or column that cannot be read, too few rows, and sequences that are too long.
    """
    if not path:
        raise InputError("expected the path of a text; got none: use --data lines.txt, or set data.path")
    rows = [split(line, unit) for line in read_lines(path, column)]
    too_long = sum(len(row) > length for row in rows)
    if too_long and longer == "refuse":
        raise InputError(
            f"expected sequences of at most {length} tokens; got {too_long} that are longer: raise data.length, or set "
            "data.longer to 'drop' or 'cut'"
        )
    rows = [row[:length] for row in rows if len(row) <= length or longer == "cut"]
    if len(rows) < 3:
        raise InputError(f"expected at least 3 sequences in {path}; got {len(rows)}: add data")
    places = partition({"train": Part(np.arange(len(rows)))}, validation=validation, test=test, seed=seed)
    training = [rows[place] for place in places["train"].values]
    schema = schema_of(training, max(map(len, rows)), " " if unit == "words" else "", vocabulary, at_least)
    parts = {
        name: Part(np.stack([schema.values([(token, None) for token in rows[place]]) for place in part.values]))
        for name, part in places.items()
    }
    return assemble(Path(path).name, parts, schema=schema)


def read_lines(path: str | Path, column: str = "") -> list[str]:
    """The lines of a text that are not empty, or the ``column`` of a table: by default its only one."""
    place = Path(path).expanduser()
    try:
        text = place.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"expected a text in UTF-8; got {place.name!r}, which is not: convert it") from None
    lines: Iterable[str] = text.replace("\r\n", "\n").split("\n")
    if place.suffix.lower() in TABLES:
        with long_cells():
            table = csv.DictReader(io.StringIO(text, newline=""), delimiter=TABLES[place.suffix.lower()])
            names, rows = list(table.fieldnames or []), list(table)
        column = column or (names[0] if len(names) == 1 else "")
        if column not in names:
            hint = nearest(column, names) if column else f": set data.column to one of {', '.join(names)}"
            raise InputError(f"expected a column of {place.name}; got {repr(column) if column else 'none'}{hint}")
        lines = [row[column] or "" for row in rows]
    elif column:
        raise InputError(f"expected a .csv or .tsv for data.column; got {place.name!r}: leave the column out")
    return [line.strip() for line in lines if line.strip()]


def read_sequences(path: str | Path, schema: Schema, column: str = "") -> np.ndarray:
    """The lines of a text as data of a schema, ``(N, L, columns)``; `InputError` names the first that is none."""
    data = []
    for number, line in enumerate(read_lines(path, column), 1):
        try:
            data.append(schema.parse(line))
        except InputError as error:
            raise InputError(f"{path}, sequence {number}: {error}") from None
    if not data:
        raise InputError(f"expected sequences in {path}; got none: write one a line")
    values = np.stack(data)
    tell_unknown(values, schema)
    return values


def tell_unknown(values: np.ndarray, schema: Schema) -> None:
    """Say how many tokens of the sequences ``(*, L, columns)`` are ones that training had not seen."""
    if schema.unknown is not None:
        types = values[..., 0]
        if unknown := int((types == schema.numbers[schema.unknown]).sum()):
            log.info("%d of %d tokens are unknown to the run", unknown, int((types != END).sum()))


def split(line: str, unit: Unit) -> list[str]:
    """The tokens of a line.

    >>> split("to be", "words"), split("to", "characters"), split("C[nH]Cl", "smiles")
    (['to', 'be'], ['t', 'o'], ['C', '[nH]', 'Cl'])
    """
    if unit == "words":
        return line.split()
    return SMILES.findall(line) if unit == "smiles" else list(line)


def schema_of(rows: Sequence[Sequence[str]], length: int, separator: str, vocabulary: int, at_least: int) -> Schema:
    """The schema of such sequences: `UNKNOWN` first, then the tokens, the most frequent first."""
    counts = Counter(token for row in rows for token in row if token != UNKNOWN)
    known = sorted((token for token, n in counts.items() if n >= at_least), key=lambda token: (-counts[token], token))
    types = [Type(UNKNOWN), *map(Type, known[:vocabulary])]
    return Schema(length, types, separator, unknown=UNKNOWN)
