"""The graph of a model, as a figure and in the DOT language; and what became of it during training."""

from collections.abc import Mapping
from typing import Any

import networkx as nx  # type: ignore[import-untyped]
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowvae.report.curves import History
from flowvae.report.figures import limit
from flowvae.report.pictures import sample_grids
from flowvae.report.rendering import number
from flowvae.report.style import INK, MUTED, PALETTE, RULE, WIDTH, bare, canvas, colours, dress

Record = Mapping[str, Any]
FAINT = 0.02
"""Probability below which an edge is not drawn."""


def name_of(node: int) -> str:
    """Nodes count from 1, as in papers.

    >>> name_of(0)
    'z1'
    """
    return f"z{node + 1}"


def as_graph(record: Record) -> nx.DiGraph:
    """The nodes in order, each with its ``kl``; the edges worth drawing, with ``mean`` and ``stands``."""
    graph = nx.DiGraph()
    for entry in record["nodes"]:
        graph.add_node(name_of(entry["node"]), kl=entry["kl"])
    for edge in record["edges"]:
        if edge["stands"] or edge["mean"] >= FAINT:
            graph.add_edge(
                name_of(edge["parent"]), name_of(edge["child"]), mean=edge["mean"], stands=edge["stands"]
            )  # fmt: skip
    return graph


def dot(record: Record) -> str:
    """The graph in the DOT language: width and label of an edge tell its probability, dashes that it does not stand."""
    lines = ["digraph structure {", "  node [shape=circle];"]
    for node, kl in as_graph(record).nodes(data="kl"):
        lines.append(f'  {node} [label="{node}{_nats(kl, chr(92) + "n")}"];')
    for parent, child, edge in as_graph(record).edges(data=True):
        style = "solid" if edge["stands"] else "dashed"
        width = f"penwidth={0.5 + 3 * edge['mean']:.2f}"
        lines.append(f'  {parent} -> {child} [label="{edge["mean"]:.2f}", {width}, style={style}];')
    return "\n".join([*lines, "}"]) + "\n"


def draw_graph(record: Record) -> Figure:
    """The graph alone: an edge as wide as it is probable, dashed where it does not stand; nodes with their KL."""
    figure = canvas(5.2, 4.4)
    _graph(figure.subplots(), record)
    return figure


def structure_figure(record: Record, history: History) -> Figure:
    """The graph, the probability of every gate against the epoch, and the bound against steps."""
    learned = bool(record["history"]["epoch"])
    figure = canvas(WIDTH, 3.7)
    left, *middle, right = figure.subplots(1, 3 if learned else 2)
    _graph(left, record)
    for axes in middle:
        _trajectories(axes, record)
    settled = []
    for curve, colour, label in ((history.train, MUTED, "training"), (history.validation, PALETTE[0], "validation")):
        if curve.step is not None:
            right.plot(curve.step, curve.elbo, color=colour, linewidth=1.3, label=label)
            settled.append(curve.elbo[len(curve) // 10 :])
    limit(right, settled)
    right.legend(frameon=False, fontsize=8, labelcolor=INK, loc="lower right")
    dress(right, "ELBO in nats per datum", x="step")
    return figure


def _trajectories(axes: Axes, record: Record) -> None:
    """A line for each edge, named at its end."""
    epochs, gates = np.array(record["history"]["epoch"]), np.array(record["history"]["gates"])
    below = -1.0
    for e, colour in sorted(enumerate(colours(gates.shape[1])), key=lambda pair: gates[-1, pair[0]]):
        edge = record["edges"][e]
        axes.plot(epochs, gates[:, e], color=colour, linewidth=1.4)
        label = f"{name_of(edge['parent'])} → {name_of(edge['child'])}"
        below = max(gates[-1, e], below + 0.045)  # names stand clear of each other
        axes.annotate(label, (epochs[-1], below), (3, 0), textcoords="offset points", fontsize=6.5, color=colour)
    axes.set_ylim(-0.03, max(1.03, below + 0.03))
    dress(axes, "probability of each gate", x="epoch")
    axes.locator_params(axis="x", integer=True, min_n_ticks=1)


def ancestral_figure(record: Record, held: np.ndarray, resampled: np.ndarray) -> Figure:
    """Two panels of ancestral samples, a row for each node: the node held fixed, the node resampled."""
    rows = ", ".join(name_of(entry["node"]) for entry in record["nodes"])
    panels = {f"held fixed: {rows}": held, f"resampled: {rows}": resampled}
    flat = {title: images.reshape(-1, *images.shape[2:]) for title, images in panels.items()}
    return sample_grids(flat, columns=held.shape[1])


def _graph(axes: Axes, record: Record) -> None:
    graph = as_graph(record)
    around = nx.circular_layout(list(graph))
    place = {node: (y, x) for node, (x, y) in around.items()} if len(graph) > 1 else around
    nodes = nx.draw_networkx_nodes(graph, place, ax=axes, node_size=1500, node_color="white", edgecolors=PALETTE[0])
    nodes.set_zorder(2)
    labels = {node: f"{node}{_nats(kl, chr(10))}" for node, kl in graph.nodes(data="kl")}
    nx.draw_networkx_labels(graph, place, labels, ax=axes, font_size=7.5, font_color=INK)
    for parent, child, edge in graph.edges(data=True):
        nx.draw_networkx_edges(
            graph, place, [(parent, child)], ax=axes, node_size=1500, arrowsize=13,
            width=0.4 + 2.8 * edge["mean"], edge_color=INK if edge["stands"] else RULE,
            style="solid" if edge["stands"] else "dashed", connectionstyle="arc3,rad=0.06",
        )  # fmt: skip
    axes.margins(0.18)
    bare(axes, "graph, and the KL of each node in nats")


def _nats(kl: float | None, line: str) -> str:
    return "" if kl is None else f"{line}{number(kl, 2)}"
