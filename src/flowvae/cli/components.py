"""What there is: components, recipes and studies, and what is in a file of data."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flowvae.cli.shared import Json, Plugins
from flowvae.errors import InputError, a, nearest

FILES = ("recipe", "study")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this group."""
    app.command("list")(list_components)
    app.command()(show)
    app.command()(check)


def list_components(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="One kind alone, as 'flow' or 'recipe'.")] = None,
    plugin: Plugins = None,
) -> None:
    """Print all components, recipes and studies, with a line on each."""
    known = _known()
    if kind and kind not in known:
        raise InputError(f"expected a kind of component; got {kind!r}{nearest(kind, known)}")
    width = max(len(name) for names in known.values() for name in names)
    for each in [kind] if kind else known:
        if known[each]:
            typer.echo(each)
            for name in known[each]:
                typer.echo(f"  {name:{width}}  {_about(each, name)}")
    typer.echo("\n'flowvae show NAME' prints the documentation and options of one, or a recipe to start from.")


def show(
    component: Annotated[str, typer.Argument(metavar="COMPONENT", help="Name, or KIND/NAME if several kinds have it.")],
    plugin: Plugins = None,
) -> None:
    """Print what a component is, and its options with their types and defaults."""
    from flowvae import registry

    kind, name = _found(component)
    if kind in FILES:
        from importlib.resources import files

        folder = {"recipe": "recipes", "study": "studies"}[kind]
        typer.echo(files("flowvae").joinpath(folder, f"{name}.toml").read_text(encoding="utf-8").rstrip())
        return
    typer.echo(f"{kind} {name}\n\n{registry.describe(kind, name)}")
    if cost := registry.cost(kind, name):
        typer.echo("\ncost")
        for act, words in cost.items():
            typer.echo(f"  {act:{max(map(len, cost))}}  {words}")
    if options := registry.options(kind, name):
        width, wide = (max(len(getattr(o, part)) for o in options) for part in ("name", "type"))
        typer.echo("\noptions")
        for o in options:
            default = "none" if o.default is None else json.dumps(o.default)
            typer.echo(f"  {o.name:{width}}  {o.type:{wide}}  {default}")


def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help=".npz, .npy, .csv, .tsv or a folder of .png or .jpg.")],
    size: Annotated[int, typer.Option("--size", min=0, help="Bring images to one size first, as data.size does.")] = 0,
    as_json: Json = False,
) -> None:
    """Look at a file of data: shape, range, type, missing values, duplicates, and the likelihood that fits."""
    from flowvae.data import inspect

    if size and not Path(file).is_dir():
        raise InputError(f"expected a folder of images for --size; got {file!r}: leave --size out")
    found = inspect(file, size)
    typer.echo(json.dumps(found.to_dict()) if as_json else "\n".join(found.lines()))


def _found(component: str) -> tuple[str, str]:
    """The kind and the name that ``component`` stands for."""
    known = _known()
    kind, _, name = component.rpartition("/")
    if kind:
        if kind not in known:
            raise InputError(f"expected a kind of component; got {kind!r}{nearest(kind, known)}")
        if name not in known[kind]:
            raise InputError(f"expected {a(kind)}; got {name!r}{nearest(name, known[kind], f'flowvae list {kind}')}")
        return kind, name
    kinds = [kind for kind, names in known.items() if name in names]
    if not kinds:
        everything = {name for names in known.values() for name in names}
        raise InputError(f"expected the name of a component; got {name!r}{nearest(name, everything, 'flowvae list')}")
    if len(kinds) > 1:
        choices = " or ".join(f"'flowvae show {kind}/{name}'" for kind in kinds)
        raise InputError(f"expected one component; got {name!r}, of which there are {len(kinds)}: use {choices}")
    return kinds[0], name


def _known() -> dict[str, list[str]]:
    """The names of each kind of component, and of recipes and studies."""
    from flowvae import registry
    from flowvae.config import recipes
    from flowvae.study import studies

    return {kind: registry.names(kind) for kind in registry.PACKAGES} | {"recipe": recipes(), "study": studies()}


def _about(kind: str, name: str) -> str:
    """The first sentence of a component's documentation, a recipe's first comment, or the title of a study."""
    from flowvae import registry
    from flowvae.config import read_toml

    if kind == "study":
        return str(read_toml(name, "studies", kind)["title"])
    if kind == "recipe":
        from importlib.resources import files

        text = files("flowvae").joinpath("recipes", f"{name}.toml").read_text(encoding="utf-8")
        return text.splitlines()[0].removeprefix("# ")
    paragraph = registry.describe(kind, name).partition("\n\n")[0]
    return " ".join(paragraph.split()).partition(". ")[0].rstrip(".").replace("``", "")
