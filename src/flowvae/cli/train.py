"""Training a recipe."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from flowvae.cli.shared import Changes, DataFolder, DataName, Json, Plugins, Quiet, Recipe, load_recipe, note, prepare
from flowvae.errors import counted


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(train)


def train(
    recipe: Recipe,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="RUN", help="Folder to make for the run.")],
    changes: Changes = None,
    data: DataName = None,
    data_dir: DataFolder = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the run in the folder stopped.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Train a model: the folder gets its recipe, journal, checkpoints and weights.

    Ctrl-C and SIGTERM save and say how to go on.
    """
    from flowvae import runs
    from flowvae.registry import command_line

    prepare()
    config = load_recipe(recipe, changes, data, data_dir)
    fitted = runs.train(config, out, resume=resume, quiet=quiet or as_json)
    if int(os.environ.get("RANK", "0")):  # under torchrun the first process speaks
        return
    if as_json:
        summary = {"run": str(out), "epochs": fitted.epochs, "steps": fitted.steps, "seconds": round(fitted.seconds, 3)}
        typer.echo(json.dumps(summary | {"best_epoch": fitted.best_epoch, "validation_elbo": fitted.best_elbo}))
    elif not quiet:
        best = f"{fitted.best_elbo:.2f} at epoch {fitted.best_epoch}" if fitted.best_elbo is not None else "none"
        typer.echo(f"{counted(fitted.epochs, 'epoch')} in {fitted.seconds:.0f} s; best validation ELBO {best}")
        note(f"next: {command_line('evaluate', out)}")
