"""The structure of a trained model: its graph as plain numbers, and what each node does to ancestral samples."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from flowvae.distributions import Sampled
from flowvae.distributions.base import typical
from flowvae.errors import InputError, require_count
from flowvae.evaluation.context import evaluating
from flowvae.latents import Draw, FromPrior, Held, Latent
from flowvae.model import VAE

Record = dict[str, Any]


def graph_of(model: VAE, kl: Sequence[float] = (), history: Sequence[Mapping[str, Any]] = ()) -> Record | None:
    """The graph of a model, ready for JSON; None of a model without one.

    ``nodes`` in the order of their visit, each with its KL in nats; ``edges`` with ``parent``, ``child``, ``mean``, the
    probability of the gate, and whether the edge ``stands`` in the likely graph; ``open``, whether gates are still
    random; ``history``, the epochs of the validations and the means of the gates at each.

    Args:
        kl: of the latent groups, in order.
        history: records of the journal.

    >>> from flowvae import build_model
    >>> graph = graph_of(build_model({"latents": {"name": "graph", "nodes": 2, "gates": "open"}}, (6,)))
    >>> graph["edges"], graph["open"]
    ([{'parent': 0, 'child': 1, 'mean': 1.0, 'stands': True}], False)
    """
    found = model.latents.structure()
    if not found:
        return None
    told = [record for record in history if record.get("gates")]
    edges = zip(found["edges"], found["means"], found["stands"], strict=True)
    return {
        "nodes": [{"node": node, "kl": float(kl[n]) if n < len(kl) else None} for n, node in enumerate(found["order"])],
        "edges": [{"parent": m, "child": n, "mean": mean, "stands": stands} for (m, n), mean, stands in edges],
        "open": model.latents.random,
        "history": {"epoch": [r["epoch"] for r in told], "gates": [r["gates"] for r in told]},
    }


def ancestral(model: VAE, count: int = 10, seed: int = 0) -> dict[str, np.ndarray]:
    """Means of p(x | z) under ancestral sampling, a row a group, ``(groups, count, *event)``; column 0 is one z.

    ``held``: the group stands as it is in that z, and all others are drawn anew, parents before children.
    ``resampled``: the group is drawn anew given its parents, and only what depends on it moves. A group
    whose prior makes choices (`Sampled`) then stands still even below it. Raises `InputError` for a model without
    latents, and for no columns.

    >>> from flowvae import build_model
    >>> rows = ancestral(build_model({"latents": {"name": "graph", "nodes": 3}}, (1, 8, 8)), 4)
    >>> rows["held"].shape, bool((rows["held"][:, 0] == rows["resampled"][:, 0]).all())
    ((3, 4, 1, 8, 8), True)
    """
    require_count(count, "column")
    if not model.latents.infers:
        raise InputError("expected latents to draw; got a model without: choose a model with latents")
    with evaluating(model, seed):
        first: dict[int, Tensor] = {}

        def own(n: int, shape: torch.Size) -> Tensor:
            """The noise of the one z, for all columns."""
            if n not in first:
                first[n] = torch.randn(1, *shape[1:])
            return first[n].expand(shape)

        def anew(n: int, shape: torch.Size) -> Tensor:
            return torch.cat([own(n, shape)[:1], torch.randn(count - 1, *shape[1:])])

        def means(draw: Draw) -> Tensor:
            return typical(model.likelihood(model.latents.walk(draw, None, torch.Size((count,)))[0]))

        _, latents = model.latents.walk(FromPrior(noise=own), None, torch.Size((count,)))
        z = [latent.z[:1].expand_as(latent.z) for latent in latents]
        groups = range(len(z))
        held = [means(Held({n: z[n]}, _Around(z, groups, anew))) for n in groups]
        resampled = [
            means(_Around(z, (n,), lambda m, shape, n=n: anew(m, shape) if m == n else own(m, shape)))  # type: ignore[misc]
            for n in groups
        ]
        pictures = {"held": torch.stack(held), "resampled": torch.stack(resampled)}
        return {name: rows.float().numpy(force=True) for name, rows in pictures.items()}


@dataclass(frozen=True)
class _Around:
    """Draws from the prior around one ``z``, which is column 0: as ``noise`` decides.

    A prior that makes choices has no such noise: its group is drawn in the other columns if it is ``anew``, or is z.
    """

    z: Sequence[Tensor]
    anew: Container[int]
    noise: Callable[[int, torch.Size], Tensor]

    def __call__(self, n: int, p: Distribution, q: Callable[[], Distribution]) -> Latent:
        drawn = FromPrior(noise=self.noise)
        if not isinstance(p, Sampled):
            return drawn(n, p, q)
        z = torch.cat([self.z[n][:1], drawn(n, p, q).z[1:]]) if n in self.anew else self.z[n]
        return Held({n: z}, drawn)(n, p, q)
