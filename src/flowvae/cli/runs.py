"""What is asked of a trained run: its bound, samples, reconstructions, latents and scores."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowvae.cli.sequences import Decode, tell_pairs, tell_sequences
from flowvae.cli.shared import (
    MOST_SEED,
    PICTURES,
    Changes,
    DataFolder,
    DataName,
    Json,
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
)  # fmt: skip
from flowvae.errors import InputError, counted

if TYPE_CHECKING:
    from flowvae.runs import Opened

Samples = Annotated[int | None, typer.Option("--samples", "-k", min=1, metavar="K", help="Importance samples a datum.")]
Memory = Annotated[str | None, typer.Option("--memory", help="Bound on the memory of the evaluation: 256MiB.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    for command in (evaluate, sample, reconstruct, encode, score):
        app.command()(command)


def evaluate(
    run: RunFolder,
    samples: Samples = None,
    split: SplitName = None,
    data: DataName = None,
    data_dir: DataFolder = None,
    changes: Changes = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=MOST_SEED, help="Seed of bits and importance samples.")
    ] = None,
    memory: Memory = None,
    quiet: Quiet = False,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Print the bound and log p(x) on held-out data; on those of the run's recipe, keep them in the run."""
    from flowvae import files, runs

    prepare()
    opened = runs.open_run(run)
    options = opened.config.evaluation.with_options(samples=samples, split=split, seed=seed, memory=memory)
    rows = runs.rows(opened, data, options.split, data_changes(data_dir, changes))
    kept = not (data or changes) and options.split == opened.config.evaluation.split
    if kept:
        runs.require_journal(opened)
        files.require_writable(run)
    with _bar("evaluating", quiet or as_json) as progress:
        result = runs.evaluate_rows(opened, rows, options, progress)
    record = {"split": options.split, **result.to_dict()}
    typer.echo(json.dumps({"run": str(run), **record}) if as_json else str(result))
    if not kept:
        if not quiet:
            note("on other data than the run is reported on, so that it is not kept in the run")
    elif (before := runs.keep_evaluation(opened, rows, record)) and before != record and not quiet:
        note(f"kept in the run, in place of an evaluation with K = {before['samples']}, seed {before['seed']}")


def sample(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="A picture (.png), arrays (.npz), a table (.csv) or sequences (.jsonl).",
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many.")] = 64,
    temperature: Annotated[float, typer.Option("--temperature", "-t", min=0, help="Scale of the prior's noise.")] = 1.0,
    decode: Decode = None,
    seed: Seed = 0,
    plugin: Plugins = None,
) -> None:
    """Draw from the prior: a picture shows the means of p(x | z), points of the plane where they lie; arrays hold
    draws of x, `samples`, and `means` where they are known, as behind a flow they are not. A table holds draws of rows.

    Sequences are printed, or written as JSON lines: draws of x, unless --decode says otherwise.
    """
    from flowvae import evaluation, files, runs

    prepare()
    if out is not None:
        require_writable(out, suffixes=(*PICTURES, ".npz", ".csv", ".jsonl"))
    opened = runs.open_run(run)
    model = opened.model
    out = _output(out, opened, decode, (".npz", ".csv") if len(model.event_shape) == 1 else (".npz",))
    if opened.schema is not None and (out is None or out.suffix.lower() == ".jsonl"):
        show = evaluation.decoding(decode or "sample")
        drawn = evaluation.sample(model, n, temperature=temperature, seed=seed, show=show)
        tell_sequences(opened.schema, drawn, out)
        return
    assert out is not None
    draw = partial(evaluation.sample, model, n, temperature=temperature, seed=seed)
    if out.suffix.lower() == ".npz":
        means = {"means": draw()} if evaluation.has_typical(model) else {}
        files.save_arrays(out, samples=draw(mean=False), **means)
    elif out.suffix.lower() == ".csv":
        rows = draw(mean=False)
        names = opened.columns or [f"x{number}" for number in range(rows.shape[1])]
        files.save_table(out, dict(zip(names, rows.T.astype(float).tolist(), strict=True)))
    else:
        from flowvae.report.pictures import save_samples

        save_samples(draw(), out)
    note(f"{counted(n, 'sample')} in {out}")


def reconstruct(
    run: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="A picture or .npz, RUN/reconstructions.png by default; or .jsonl."
        ),
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many.")] = 12,
    split: SplitName = None,
    data: DataName = None,
    data_dir: DataFolder = None,
    changes: Changes = None,
    decode: Decode = None,
    seed: Seed = 0,
    plugin: Plugins = None,
) -> None:
    """Encode and decode data: originals, means of p(x | z) and absolute errors, as a picture or as arrays.

    Sequences are printed, or written as JSON lines, with what they are decoded to and the edit distance between.
    """
    from flowvae import evaluation, files, runs

    prepare()
    opened = runs.open_run(run)
    out = _output(out or (None if opened.schema else run / "reconstructions.png"), opened, decode)
    rows = runs.rows(opened, data, split, data_changes(data_dir, changes))
    if opened.schema is not None and (out is None or out.suffix.lower() == ".jsonl"):
        show = evaluation.decoding(decode or "greedy")
        pairs = evaluation.reconstruct(opened.model, rows.take(n), seed=seed, show=show)
        tell_pairs(opened.schema, pairs["originals"], pairs["means"], out)
        return
    assert out is not None
    pairs = evaluation.reconstruct(opened.model, rows.take(n), seed=seed)
    errors = abs(pairs["originals"] - pairs["means"])
    if out.suffix.lower() == ".npz":
        files.save_arrays(out, **pairs, errors=errors)
    else:
        from flowvae.report.pictures import reconstructions
        from flowvae.report.style import DPI

        reconstructions({"": (pairs["originals"], pairs["means"])}, n).savefig(out, dpi=DPI)
    note(f"{counted(len(errors), 'reconstruction')} in {out}; mean absolute error {errors.mean():.4f}")


def encode(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.npz", help="File of arrays to make.")],
    data: DataName = None,
    split: SplitName = None,
    data_dir: DataFolder = None,
    changes: Changes = None,
    samples: Annotated[
        int, typer.Option("--samples", "-k", min=1, help="Posterior draws for mean and sd, where they are not known.")
    ] = 64,
    seed: Seed = 0,
    plugin: Plugins = None,
) -> None:
    """Write the latents of every datum: one posterior draw `z`, and the posterior's `mean` and `sd`."""
    import numpy as np

    from flowvae import evaluation, files, runs

    prepare()
    require_new(out, suffixes=(".npz",))
    opened = runs.open_run(run)
    rows = runs.rows(opened, data, split, data_changes(data_dir, changes))
    arrays = evaluation.encode(opened.model, rows, samples=samples, seed=seed)
    if rows.labels is not None:
        arrays["labels"] = rows.labels.cpu().numpy()
    if rows.names:
        arrays["files"] = np.array(rows.names)
    files.save_arrays(out, **arrays)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    note(f"{out}: {shapes}")


def score(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.csv", help="Table to make.")],
    data: DataName = None,
    split: SplitName = None,
    data_dir: DataFolder = None,
    changes: Changes = None,
    samples: Samples = None,
    seed: Seed = 0,
    memory: Memory = None,
    quiet: Quiet = False,
    plugin: Plugins = None,
) -> None:
    """Write log p(x), the bound and the effective sample size of every datum, in nats, row by row."""
    from flowvae import files, runs

    prepare()
    require_new(out, suffixes=(".csv",))
    opened = runs.open_run(run)
    options = opened.config.evaluation.with_options(samples=samples, seed=seed, memory=memory)
    rows = runs.rows(opened, data, split, data_changes(data_dir, changes))
    with _bar("scoring", quiet) as progress:
        result = runs.evaluate_rows(opened, rows, options, progress)
    found = result.per_datum
    assert found is not None
    named = {"file": rows.names} if rows.names else {}
    columns = {"row": range(len(rows)), **named, "log_px": found.log_px_hat, "elbo": found.elbo, "ess": found.ess}
    if rows.labels is not None:
        columns["label"] = rows.labels.tolist()
    files.save_table(out, columns)
    drawn = counted(result.samples, "sample")
    note(f"{out}: {counted(len(rows), 'row')}, mean log p(x) {result.log_likelihood:.2f} with {drawn}")


def _output(out: Path | None, run: "Opened", decode: str | None, arrays: tuple[str, ...] = (".npz",)) -> Path | None:
    """A picture may replace an earlier one; data may not. Sequences are printed where there is no file."""
    if decode and (run.schema is None or (out and out.suffix.lower() != ".jsonl")):
        raise InputError("expected --decode for sequences in print or in a .jsonl; got another output: leave it out")
    if out is None:
        if run.schema is None:
            raise InputError("expected a file for what is made; got none: name it with -o grid.png, or -o x.npz")
        return None
    data = (".jsonl", ".npz") if run.schema else arrays
    if out.suffix.lower() in data or run.schema:
        return require_new(out, suffixes=data)
    return require_writable(out, suffixes=(*PICTURES, *data))


@contextmanager
def _bar(title: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal; nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(title)
        yield lambda done, total: progress.update(task, completed=done, total=total)
