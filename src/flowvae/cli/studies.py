"""Studies, and the page that shows runs or a study."""

import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flowvae.cli.shared import DataFolder, Jobs, Plugins, Quiet, note, prepare, print_table, require_writable
from flowvae.errors import InputError, nearest

if TYPE_CHECKING:
    from flowvae.results import Record

StudyName = Annotated[str, typer.Argument(metavar="NAME", help="A packaged study, or a TOML file.")]
Runs = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Folder of all runs.")]
ResultsFolder = Annotated[Path, typer.Option("--results", metavar="DIR", help="Folder of results.")]

app = typer.Typer(rich_markup_mode=None)


def add_to(parent: typer.Typer) -> None:
    """Add the commands of this group."""
    parent.command()(report)
    parent.add_typer(app, name="study")


@app.callback(invoke_without_command=True)
def study(context: typer.Context) -> None:
    """Tables of several rows and seeds: list, run, table."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("list")
def list_studies(results: ResultsFolder = Path("results")) -> None:
    """Print the packaged studies, and how far each has come."""
    from flowvae.results import Results
    from flowvae.study import Study, studies

    width = max(map(len, studies()))
    for name in studies():
        study, have = Study.load(name), Results(results, name)
        total = len(study.rows) * len(study.seeds)
        done = sum(have.has(row.name, seed, study.digest(row, seed)) for row in study.rows for seed in study.seeds)
        typer.echo(f"{name:{width}}  {done:2} of {total} runs done  {study.title}")


@app.command("run")
def run_study(
    name: StudyName,
    jobs: Jobs = None,
    rows: Annotated[str, typer.Option("--rows", metavar="A,B", help="Only these rows.")] = "",
    seeds: Annotated[str, typer.Option("--seeds", metavar="0,1", help="These seeds in place of the study's.")] = "",
    runs: Runs = Path("runs"),
    results: ResultsFolder = Path("results"),
    data_dir: DataFolder = None,
    quiet: Quiet = False,
    plugin: Plugins = None,
) -> None:
    """Train and evaluate what is missing: stop it as you like, and run it again to go on."""
    from flowvae.jobs import jobs_of, run_jobs
    from flowvae.results import Results
    from flowvae.study import Study

    prepare()
    if data_dir:
        os.environ["FLOWVAE_DATA"] = str(data_dir)  # not in the recipe: where files lie is no part of a study
    study = Study.load(name)
    chosen = jobs_of(study, runs, _words(rows), _numbers(seeds))
    tell = (lambda message: None) if quiet else note
    place = Results(results, study.name)
    run_jobs(chosen, place, parallel=jobs or 1, quiet=quiet, tell=tell)
    if not quiet:
        note(f"next: {shlex.join(['flowvae', 'study', 'table', name, *place.elsewhere])}")


@app.command("table")
def table(
    name: StudyName,
    style: Annotated[
        Literal["text", "markdown", "html", "json"], typer.Option("--format", "-f", help="How to print it.")
    ] = "text",
    results: ResultsFolder = Path("results"),
) -> None:
    """Print a study's table: mean and standard error over seeds, paired differences, published figures."""
    record = _results(name, results)
    if style == "json":
        typer.echo(json.dumps(record, indent=1))
        return
    if style == "text":
        print_table(record)
        return
    from flowvae.report.tables import study_table

    made = study_table(record)
    typer.echo(made.markdown() if style == "markdown" else made.html())


def report(
    names: Annotated[list[str], typer.Argument(metavar="RUN...|STUDY", help="Folders of runs, or one study.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PAGE.html", help="Page to write.")] = Path("report.html"),
    runs: Runs = Path("runs"),
    results: ResultsFolder = Path("results"),
) -> None:
    """Write one self-contained HTML page: curves, samples, reconstructions, KL per dimension, tables."""
    from flowvae.report.kept import kept_figures
    from flowvae.report.page import write_report
    from flowvae.results import run_folders, seeds_elsewhere

    require_writable(out, suffixes=(".html", ".htm"))
    absent = [name for name in names if not Path(name).is_dir()]
    if len(names) > 1 and absent:
        raise InputError(
            f"expected folders of runs, or one study; got {absent[0]!r}, which is no folder: check the path"
        )
    if absent:
        record = _results(names[0], results)
        elsewhere = {
            f"{row}, seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}": _again(
                names[0], row, seeds, runs
            )
            for row, seeds in seeds_elsewhere(record, runs).items()
        }
        kept = kept_figures(results, Path(names[0]).stem, record) if elsewhere else {}
        write_report(run_folders(record, runs), out, record, kept=kept, elsewhere=elsewhere)
    else:
        write_report([Path(name) for name in names], out)
    note(f"page in {out}")


def _again(name: str, row: str, seeds: list[int], runs: Path) -> str:
    """The command that makes the folders of runs whose results are there: with these beside it, nothing is missing."""
    words = ["flowvae", "study", "run", name, "--rows", row, "--seeds", ",".join(map(str, seeds))]
    words += ["--results", "results-again", *(["--runs", str(runs)] if runs != Path("runs") else [])]
    return shlex.join(words)


def _results(name: str, folder: Path) -> "Record":
    """The results of a study by its name or file; `InputError` when neither they nor the study are known.

    Where the study is at hand, its rows are as it now tells them; else as they were when the last run was added.
    """
    from flowvae.results import Results
    from flowvae.study import Study, studies

    results = Results(folder, Path(name).stem, name)
    if name in studies() or Path(name).is_file():
        return results.of(Study.read(name))
    known = {*studies(), *(path.stem for path in folder.glob("*.json") if not path.stem.endswith("-curves"))}
    if results.name not in known:
        raise InputError(f"expected a study, or the folder of a run; got {name!r}{nearest(name, known)}")
    return results.read()


def _words(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if text and not words:
        raise InputError(f"expected names with commas between them; got {text!r}: name some, or leave the option out")
    return words


def _numbers(text: str) -> list[int]:
    if wrong := [word for word in _words(text) if not word.isdecimal()]:
        raise InputError(f"expected seeds as 0,1,2; got {wrong[0]!r}: give whole numbers")
    return [int(word) for word in _words(text)]
