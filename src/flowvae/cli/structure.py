"""The graph of a run."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flowvae.cli.shared import PICTURES, Json, Plugins, RunFolder, note, prepare
from flowvae.errors import InputError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(structure)


def structure(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the three files; RUN by default.")
    ] = None,
    as_json: Json = False,
    plugin: Plugins = None,
) -> None:
    """Print the learned graph with the probabilities of its edges; write it as structure.png, .dot and .json.

    Names count from 1, as in papers: z1 is node 0 of structure.json and of latents.edges.
    """
    from flowvae import files, runs
    from flowvae.report.graphs import dot, draw_graph
    from flowvae.report.style import DPI

    prepare()
    opened = runs.open_run(run)
    if not opened.model.latents.structure():
        name = opened.config.latents["name"]
        raise InputError(f"expected a run whose latents are a graph; got {name!r}: train with latents.name = 'graph'")
    folder = out or run
    if folder.suffix.lower() in (*PICTURES, ".dot", ".json"):
        raise InputError(f"expected a folder for the three files; got {str(folder)!r}: name one without an ending")
    for place in (run, folder):
        files.require_writable(place)
    graph = runs.keep_structure(opened)
    assert graph is not None
    text = json.dumps(graph, indent=1) + "\n"
    files.write_text(folder / "structure.json", text)
    files.write_text(folder / "structure.dot", dot(graph))
    draw_graph(graph).savefig(folder / "structure.png", dpi=DPI)
    typer.echo(text.rstrip() if as_json else told(graph))
    note(f"graph in {folder / 'structure.png'}, .dot and .json")


def told(graph: dict[str, Any]) -> str:
    """The graph in words: a node a line, in their order, with its KL and its parents."""
    from flowvae.report.graphs import name_of

    lines = [f"{'node':<6}{'KL':>7}  parents (probability of the gate)"]
    for entry in graph["nodes"]:
        edges = [edge for edge in graph["edges"] if edge["child"] == entry["node"]]
        parents = [f"{name_of(edge['parent'])} {edge['mean']:.2f}" for edge in edges if edge["stands"]]
        without = [f"{name_of(edge['parent'])} {edge['mean']:.2f}" for edge in edges if not edge["stands"]]
        said = ", ".join(parents) or "none"
        kl = "" if entry["kl"] is None else f"{entry['kl']:.2f}"
        lines.append(f"{name_of(entry['node']):<6}{kl:>7}  {said}" + (f"; not {', '.join(without)}" if without else ""))
    return "\n".join([*lines, "still open: the gates are random" if graph["open"] else "settled"])
