"""The graph structure: nodes that depend on earlier nodes, through gates that are learned or given."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationError, WrapValidator
from torch import Tensor, nn
from torch.distributions import Distribution

from flowvae import registry
from flowvae.errors import InputError
from flowvae.latents.base import Draw, Latent, Latents, bind
from flowvae.latents.gating import Gates, LearnedGates
from flowvae.posteriors import Amortised, Behind, Flowed, Posterior
from flowvae.registry import Count, Kind, NonNegative, Spec, register

Nodes = Annotated[int, Field(ge=1, le=1000, strict=True)]
"""Of a graph that may have half a million edges."""

Edge = tuple[NonNegative, NonNegative]


def _told(value: Any, validate: Callable[[Any], Any]) -> Any:
    """As ``validate`` says, or else what is expected of all kinds of edges at once."""
    try:
        return validate(value)
    except ValidationError:
        raise InputError(
            "expected 'all', 'chain', 'none' or a list of pairs [parent, child] of nodes, counted from 0; "
            f"got {value!r}: use one of them"
        ) from None


Edges = Annotated[list[Edge] | Literal["all", "chain", "none"], WrapValidator(_told)]


@register("latents", "graph")
class Graph(Latents):
    """Nodes z_n of ``dim`` coordinates, each given its gated parents: p(z | c) = prod_n p(z_n | c_mn z_m, m before n).

    The gates c_mn lie on candidate edges: from all earlier nodes (``edges = "all"``), from the one before ("chain",
    Markov), from none ("none", independent nodes), or on the listed pairs [parent, child] of nodes, counted from 0.
    ``gates`` learns which of them stand, or leaves them open, so that the graph is given. Parents are multiplied by
    their gates and concatenated; ``prior`` is built for their width. A node without candidates is a root: its prior is
    ``root``, and its posterior sees the datum alone unless ``fuse_root`` is set, for posteriors that read priors. The
    nodes are visited in their order, or from the last to the first (``order``). The decoder sees all of them side by
    side, or the last visited one (``visible``), which with a chain is a ladder of stochastic layers.

    A flow of the posterior acts at each node, and children see what comes out of it; ``shared_flow`` makes it one flow
    for all nodes, each with a context of its own.

    Reference: He, Gong, Marino, Mori, Lehrmann (2019), "Variational autoencoders with jointly optimized latent
    dependency structure".

    >>> graph = Graph(5, nodes=3, dim=2, edges=[(0, 2), (1, 2)], gates="open")
    >>> h, batch = torch.randn(4, 5), torch.Size((7, 4))
    >>> from flowvae.latents import FromPosterior
    >>> c, nodes = graph.walk(FromPosterior(), h, batch)
    >>> c.shape, [tuple(node.z.shape) for node in nodes]
    (torch.Size([7, 4, 6]), [(7, 4, 2), (7, 4, 2), (7, 4, 2)])
    """

    def __init__(
        self,
        features: int,
        *,
        nodes: Nodes = 5,
        dim: Count = 16,
        edges: Edges = "all",
        order: Literal["given", "reversed"] = "given",
        gates: Annotated[Spec, Kind("gates")] = "relaxed",
        prior: Annotated[Spec, Kind("prior")] = "gaussian",
        root: Annotated[Spec, Kind("prior")] = "standard",
        posterior: Annotated[Spec, Kind("posterior")] = "fused",
        fuse_root: bool = False,
        shared_flow: bool = False,
        visible: Literal["all", "last"] = "all",
    ):
        super().__init__()
        self.order = list(range(nodes)) if order == "given" else list(reversed(range(nodes)))
        self.edges = candidates(self.order, edges)
        self.parents = [[self.order.index(m) for m, child in self.edges if child == n] for n in self.order]
        self.fuse_root, self.visible = fuse_root, visible
        self.out_shape = (dim if visible == "last" else nodes * dim,)
        self.gates: Gates = registry.build("gates", gates if self.edges else "open", len(self.edges))
        self.priors = nn.ModuleList(
            registry.build("prior", prior if parents else root, (dim,), len(parents) * dim) for parents in self.parents
        )
        led = [prior for prior, parents in zip(self.priors, self.parents, strict=True) if parents]
        if led and not list(led[0].parameters()):
            raise InputError("expected a prior that its parents can move; got one without parameters: use 'gaussian'")
        self.posteriors = nn.ModuleList(registry.build("posterior", posterior, features, (dim,)) for _ in self.order)
        if fuse_root:
            _require_reader(self.posteriors[0])
        if shared_flow:
            _share_flow(self.posteriors)
        for own, posterior_of in zip(self.priors, self.posteriors, strict=True):
            bind(own, posterior_of, features)

    def walk(self, draw: Draw, h: Tensor | None, batch: torch.Size) -> tuple[Tensor, tuple[Latent, ...]]:
        own = self.gates(batch).split([len(parents) for parents in self.parents], -1)
        found: list[Latent] = []
        for n, (prior, posterior) in enumerate(zip(self.priors, self.posteriors, strict=True)):
            gated = [own[n][..., i : i + 1] * found[m].z for i, m in enumerate(self.parents[n])]
            p = prior(torch.cat(gated, -1) if gated else self.no_parents(batch))
            seen = p if gated or self.fuse_root else None
            found.append(replace(draw(n, p, partial(_expanded, posterior, h, seen, batch)), gates=own[n]))
        visible = found[-1:] if self.visible == "last" else [found[self.order.index(n)] for n in sorted(self.order)]
        return torch.cat([latent.z for latent in visible], -1), tuple(found)

    def anneal(self, epochs: float) -> None:
        self.gates.anneal(epochs)

    def surcharge(self, log_w: Tensor, latents: tuple[Latent, ...]) -> Tensor:
        gates = [latent.gates for latent in latents if latent.gates is not None]
        return self.gates.surcharge(torch.cat(gates, -1), log_w)

    def account(self) -> dict[str, list[float]]:
        return {"gates": self.gates.means.tolist()} if isinstance(self.gates, LearnedGates) else {}

    def structure(self) -> dict[str, Any]:
        stands = (self.gates.likely() > 0).tolist()
        return {"order": self.order, "edges": self.edges, "means": self.gates.means.tolist(), "stands": stands}

    @property
    def random(self) -> bool:
        return self.gates.random

    def settled(self, generator: torch.Generator) -> AbstractContextManager[None]:
        return self.gates.settled(generator)

    def extra_repr(self) -> str:
        return f"order={self.order}, edges={self.edges}, fuse_root={self.fuse_root}, visible={self.visible!r}"


def candidates(order: Sequence[int], edges: Edges) -> list[Edge]:
    """The candidate edges (parent, child) among the nodes in ``order``, child after child, parents as visited.

    >>> candidates([0, 1, 2], "all"), candidates([2, 1, 0], "chain")
    ([(0, 1), (0, 2), (1, 2)], [(2, 1), (1, 0)])

    Raises `InputError` for a listed edge of unknown nodes, or against the order.
    """
    possible = [(m, n) for k, n in enumerate(order) for m in order[:k]]
    if edges == "all":
        return possible
    if edges == "chain":
        return list(pairwise(order))
    listed = [] if edges == "none" else [(m, n) for m, n in edges]
    for edge in listed:
        if edge not in possible:
            turned = edge[::-1] in possible
            remedy = "turn it round, or set latents.order" if turned else "choose two different ones of them"
            raise InputError(
                f"expected edges [parent, child] among {len(order)} nodes, counted from 0 and visited in the order "
                f"{', '.join(map(str, order))}; got {list(edge)}: {remedy}"
            )
    return [edge for edge in possible if edge in listed]


def _expanded(posterior: nn.Module, h: Tensor | None, p: Distribution | None, batch: torch.Size) -> Distribution:
    """The posterior of a node, with the whole batch of the walk."""
    return posterior(h, p).expand(batch)


def _require_reader(posterior: nn.Module) -> None:
    """`InputError` unless a part of ``posterior`` looks at the prior."""
    parts = [part for part in posterior.modules() if isinstance(part, Posterior)]
    if parts and all(type(part) in (Amortised, Behind, Flowed) for part in parts):  # others may look
        raise InputError("expected a posterior that reads the prior, for fuse_root; got one that does not: use 'fused'")


def _share_flow(posteriors: nn.ModuleList) -> None:
    """Give every posterior the flow of the first."""
    flowed = [module for posterior in posteriors for module in posterior.modules() if isinstance(module, Flowed)]
    if not flowed:
        raise InputError("expected a flow to share among the nodes; got none: set latents.posterior.flow")
    for module in flowed:
        module.flow = flowed[0].flow
