"""The demo: a study on data that come with the package."""

from pathlib import Path
from typing import Annotated

import typer

from flowvae.cli.shared import Jobs, note, prepare, print_table


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for all it makes.")] = Path("demo"),
    jobs: Jobs = None,
) -> None:
    """Train four posteriors on handwritten digits, three seeds each: a table and a page of pictures."""
    from flowvae.jobs import cores, jobs_of, run_jobs
    from flowvae.report.page import write_report
    from flowvae.results import Results, run_folders
    from flowvae.study import Study

    prepare()
    study = Study.load("digits-demo")
    results = Results(out / "results", study.name)
    chosen = jobs_of(study, out / "runs")
    run_jobs(chosen, results, parallel=jobs or min(cores(), len(chosen)), tell=note)
    record = results.of(study)
    page = write_report(run_folders(record, out / "runs"), out / "report.html", record)
    print_table(record)
    typer.echo(
        f"\nCurves and pictures: {page}\n\nNext:\n"
        "  flowvae list                                  what models are made of\n"
        "  flowvae show iaf                              one component and its options\n"
        "  flowvae check FILE                            look at data of your own: .npz, .npy, .csv, a folder of .png\n"
        "  flowvae train digits-iaf --data FILE --out RUN\n"
        "  flowvae train mnist-iaf --out runs/mnist-iaf  MNIST, downloaded once"
    )
