"""A file as it lies, for a model that is trained: nothing is dealt to splits."""

from pathlib import Path
from typing import Any

from flowvae.data.assemble import assemble
from flowvae.data.base import Data
from flowvae.data.file import read_finite
from flowvae.data.loading import load_data
from flowvae.data.parts import SPLITS, Part
from flowvae.data.readers import FITTING
from flowvae.data.tokens import TABLES, read_sequences
from flowvae.errors import in_memory
from flowvae.schema import Schema


@in_memory(*FITTING)
def load_rows(table: dict[str, Any], schema: Schema | None = None) -> Data:
    """The data of a resolved ``table`` with a path: every split holds all rows, in order, unless the file has splits.

    With a ``schema`` the file is a text or a table, and its lines, or the cells of its ``column``, are sequences of
    that schema. Raises `InputError` as `load_data` does, and for lines that are no such sequences.
    """
    name = Path(table["path"]).name
    if schema is not None:
        column = table.get("column", "") if Path(name).suffix.lower() in TABLES else ""
        whole = Part(read_sequences(table["path"], schema, column))
        return assemble(name, dict.fromkeys(SPLITS, whole), schema=schema)
    parts = read_finite(table["path"], table.get("size", 0))
    if len(parts) > 1:
        return load_data(table)
    settings = {key: table[key] for key in ("scale", "binarise", "seed", "dequantise")}
    return assemble(name, dict.fromkeys(SPLITS, parts["train"]), **settings)
