"""The speed of a recipe on this machine."""

import json
from typing import Annotated

import typer

from flowvae.cli.shared import Changes, DataFolder, DataName, Json, Plugins, Recipe, load_recipe, prepare


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(bench)


def bench(
    recipe: Recipe,
    changes: Changes = None,
    data: DataName = None,
    data_dir: DataFolder = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps to time.")] = 20,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Measure how fast a recipe trains, draws and infers here, beside the peaks of matrix products and convolutions.

    Nothing is kept. --set training.compile=on measures the compiled step, --set training.precision=bf16-mixed half
    precision.
    """
    from flowvae import runs

    prepare()
    found = runs.bench(load_recipe(recipe, changes, data, data_dir), steps)
    typer.echo(json.dumps(found.to_dict()) if as_json else str(found))
