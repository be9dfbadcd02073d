"""Options that several commands share, and what they have in common."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowvae.errors import InputError

if TYPE_CHECKING:
    from flowvae.config import Config


def _load_plugins(paths: list[Path] | None) -> list[Path] | None:
    if paths:
        from flowvae.registry import load_plugin

        for path in paths:
            load_plugin(path)
    return paths


def _require_folder(path: Path | None) -> Path | None:
    if path is not None and not path.expanduser().is_dir():
        raise InputError(f"expected a folder that holds data for --data-dir; got {str(path)!r}: check the path")
    return path and path.expanduser()


PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""The endings of pictures that can be written."""

Recipe = Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of a packaged recipe.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, as 'flowvae train' makes it.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Change an entry of the recipe; may be repeated.")
]
DataName = Annotated[
    str | None, typer.Option("--data", metavar="DATA", help="A data set by name, or the path of a file or a folder.")
]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", callback=_require_folder, help="Folder that holds the files of a named data set."
    ),
]
SplitName = Annotated[str | None, typer.Option("--split", help="train, validation or test.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE.py", callback=_load_plugins, help="Python file with components of your own."
    ),
]
MOST_SEED = 2**63 - 1
Seed = Annotated[int, typer.Option("--seed", min=0, max=MOST_SEED, help="Seed of the random numbers.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notices.")]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Runs at a time, which share the cores.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def prepare() -> None:
    """Once in a process that computes: distributions check no arguments, and memory is kept."""
    from torch.distributions import Distribution

    from flowvae.engine import keep_memory

    Distribution.set_default_validate_args(False)
    keep_memory()


def note(message: str) -> None:
    """Say something beside the result, on standard error."""
    print(message, file=sys.stderr, flush=True)


def load_recipe(recipe: str, changes: list[str] | None, data: str | None, data_dir: Path | None) -> "Config":
    """The recipe with what the command line says of it; ``--set`` has the last word.

    Other data become bits, or are dequantised, as the recipe's own are, where they can be.
    """
    from flowvae.config import Config, read_recipe
    from flowvae.data import resolve_data, taken_over
    from flowvae.overrides import with_overrides

    tables, named = read_recipe(recipe), data_changes(data_dir)
    if data is not None:
        own = tables.get("data", "")
        with suppress(InputError):  # data that are not used need not be there
            own = resolve_data(own)
        taken = taken_over(own, resolve_data(data)["name"]) if isinstance(own, dict) else {}
        named = [*(f"data.{key}={_toml(value)}" for key, value in {"name": data, **taken}.items()), *named]
    return Config.resolve(with_overrides(with_overrides(tables, named), changes or []))


def data_changes(data_dir: Path | None, changes: list[str] | None = None) -> list[str]:
    """What the command line says of a run's data, as changes of its recipe."""
    place = [f"data.dir={_toml(str(data_dir))}"] if data_dir else []
    return [*place, *(changes or [])]


def _toml(value: str | bool) -> str:
    """Text or a truth value in TOML, which unlike JSON has no pairs of surrogates."""
    return json.dumps(value, ensure_ascii=False)


def require_new(path: Path, *, suffixes: tuple[str, ...]) -> Path:
    """The path of a file of data that is to be written: of a known ending, and not there yet."""
    require_writable(path, suffixes=suffixes)
    if path.exists():
        raise InputError(f"expected a new file; got {str(path)!r}, which exists: choose another name, or move it away")
    return path


def require_writable(path: Path, *, suffixes: tuple[str, ...]) -> Path:
    """The path of a file that is to be written; `InputError` before any work is done for nothing."""
    from flowvae import files

    if path.suffix.lower() not in suffixes:
        raise InputError(f"expected a name that ends in {' or '.join(suffixes)}; got {str(path)!r}: rename it")
    if path.is_dir():
        raise InputError(f"expected a file to write; got the folder {str(path)!r}: name a file in it")
    files.require_writable(path.parent)
    return path


def print_table(results: Mapping[str, Any]) -> None:
    """The table of a study's results, as wide as the terminal is, or as it needs elsewhere."""
    from rich.console import Console

    from flowvae.report.tables import study_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(study_table(results).rich(console.width))
