"""Walks through the latents of a run: between two data, and towards a better label."""

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flowvae.cli.sequences import Decode, tell, tell_sequences
from flowvae.cli.shared import (
    PICTURES,
    Changes,
    DataFolder,
    DataName,
    Plugins,
    Quiet,
    RunFolder,
    Seed,
    SplitName,
    data_changes,
    note,
    prepare,
    require_new,
    require_writable,
)
from flowvae.errors import InputError, counted

if TYPE_CHECKING:
    from flowvae.data import Split
    from flowvae.runs import Opened


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command()(interpolate)
    app.command()(optimise)


def interpolate(
    run: RunFolder,
    first: Annotated[
        str,
        typer.Argument(
            metavar="A",
            help="Number of a row, from 0, or a sequence as it is printed (' 7' for one that is a number).",
        ),
    ],
    last: Annotated[str, typer.Argument(metavar="B", help="As A.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="A picture, or .jsonl of sequences.")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=2, help="Points on the way, both ends included.")] = 8,
    split: SplitName = None,
    data: DataName = None,
    data_dir: DataFolder = None,
    changes: Changes = None,
    decode: Decode = None,
    seed: Seed = 0,
    plugin: Plugins = None,
) -> None:
    """Walk in a straight line from one datum's latents to another's, and decode on the way."""
    import torch

    from flowvae import runs
    from flowvae.data import Split
    from flowvae.distributions.base import typical
    from flowvae.evaluation.sequences import decoding
    from flowvae.evaluation.walk import interpolate as walk

    prepare()
    opened = runs.open_run(run)
    numbered = first.isdecimal() or last.isdecimal()
    if decode and not opened.schema:
        raise InputError("expected --decode for sequences; got a run on other data: leave it out")
    if opened.schema and not numbered and (data or split or changes):
        raise InputError("expected the number of a row in the data that are named; got sequences: leave the data out")
    if opened.schema is None:
        out = require_writable(_needed(out), suffixes=PICTURES)
    elif out:
        require_new(out, suffixes=(".jsonl",))
    show = decoding(decode or "greedy") if opened.schema else typical
    rows = runs.rows(opened, data, split, data_changes(data_dir, changes)) if numbered else None
    ends = [_datum(opened, text, rows, seed) for text in (first, last)]
    found = walk(opened.model, Split(torch.stack(ends)), n, seed=seed, show=show).numpy()
    if opened.schema:
        tell_sequences(opened.schema, found, out)
        return
    from flowvae.report.pictures import ACROSS, save_samples

    save_samples(found, _needed(out), columns=ceil(n / ceil(n / ACROSS)))
    note(f"{n} points in {out}")


def optimise(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.jsonl", help="File to write in place of printing.")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="Proposals.")] = 10,
    method: Annotated[Literal["gp", "ridge"], typer.Option("--method", help="What predicts labels.")] = "gp",
    search: Annotated[
        Literal["bayesian", "gradient"],
        typer.Option("--search", help="Uphill on the expected improvement, one by one, or on the prediction."),
    ] = "bayesian",
    points: Annotated[int, typer.Option("--points", min=10, help="Training data that predictions are from.")] = 1000,
    data_dir: DataFolder = None,
    decode: Decode = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    plugin: Plugins = None,
) -> None:
    """Propose sequences with a greater label: predicted from the latents, and, where data have it, the true one."""
    from dataclasses import asdict

    from flowvae import runs
    from flowvae.evaluation.proposals import optimise as search_uphill

    prepare()
    if out:
        require_new(out, suffixes=(".jsonl",))
    opened = runs.open_run(run)
    data = runs.data_of(opened, changes=data_changes(data_dir)).to(opened.device)
    found = search_uphill(
        opened.model, data, n, method=method, search=search, points=points, way=decode or "greedy", seed=seed
    )
    if not quiet:
        note(f"predictions on held-out data: RMSE {found.rmse:.4g}, Pearson r {found.pearson:.3f}")
        note(f"best of the training data: {found.best:.4g}")
    if len(found.proposals) < n:
        note(f"{counted(len(found.proposals), 'proposal')}, not {n}: the search found no more that differ")
    lines = [f"{'predicted':17}  {'in data':7}  sequence"]
    for proposal in found.proposals:
        true = "unknown" if proposal.true is None else f"{proposal.true:.4f}"
        lines.append(f"{proposal.predicted:.4f} ± {proposal.sd:.4f}    {true:7}  {proposal.sequence}")
    tell(lines, [asdict(proposal) for proposal in found.proposals], out)


def _datum(run: "Opened", text: str, rows: "Split | None", seed: int) -> Any:
    """The row of that number, or the sequence that is printed so."""
    import torch

    from flowvae.data.tokens import tell_unknown

    if rows is not None and text.isdecimal():
        if int(text) >= len(rows):
            raise InputError(f"expected a row below {len(rows)}; got {text}: choose one of these")
        return rows.frozen(seed).batch(torch.tensor([int(text)], device=rows.values.device))[0]
    if run.schema is None:
        raise InputError(f"expected the number of a row; got {text!r}: only sequences can be written")
    values = run.schema.parse(text)
    tell_unknown(values, run.schema)
    return torch.from_numpy(values)


def _needed(out: Path | None) -> Path:
    if out is None:
        raise InputError("expected a file for the picture; got none: name it with -o grid.png")
    return out
