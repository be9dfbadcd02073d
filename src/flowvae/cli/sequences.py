"""Sequences in print and as JSON lines."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowvae.cli.shared import note
from flowvae.errors import counted

if TYPE_CHECKING:
    import numpy as np

    from flowvae.schema import Schema

Decode = Annotated[
    str | None,
    typer.Option("--decode", metavar="WAY", help="Sequences: greedy, sample, sample:TEMPERATURE or beam:WIDTH."),
]


def tell_sequences(schema: "Schema", data: "np.ndarray", out: Path | None) -> None:
    """Print sequences, or write them as JSON lines."""
    tell([schema.text(x) for x in data], [record(schema, x) for x in data], out)


def tell_pairs(schema: "Schema", originals: "np.ndarray", decoded: "np.ndarray", out: Path | None) -> None:
    """Print sequences with what they are decoded to and how many edits lie between, or write JSON lines."""
    from flowvae.evaluation.sequences import edit_distance

    lines, records, distances = [], [], []
    for x, y in zip(originals, decoded, strict=True):
        distance = edit_distance(schema.key(x), schema.key(y))
        distances.append(distance)
        records.append({"original": schema.text(x), "decoded": schema.text(y), "distance": distance})
        lines += [f"original  {schema.text(x)}", f"decoded   {schema.text(y)}", f"distance  {distance}", ""]
    tell(lines[:-1], records, out)
    mean = sum(distances) / len(distances)
    numeric = any(feature.kind != "discrete" for feature in schema.features.values())
    right = "decoded with all types right" if numeric else "decoded exactly"
    note(f"{distances.count(0)} of {len(distances)} {right}, mean edit distance {mean:.2f}")


def record(schema: "Schema", x: "np.ndarray") -> dict[str, Any]:
    """A sequence as JSON."""
    return {"sequence": schema.text(x), "steps": schema.steps(x)}


def tell(lines: Iterable[str], records: Sequence[dict[str, Any]], out: Path | None) -> None:
    """Print the lines, or write the records."""
    from flowvae.files import write_text

    if out is None:
        typer.echo("\n".join(lines))
        return
    write_text(out, "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in records))
    note(f"{counted(len(records), 'sequence')} in {out}")
