"""Sequences with a greater label than those known: a surrogate on the latents, a search, and what is decoded."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from flowvae.data import Data
from flowvae.errors import InputError
from flowvae.evaluation.generate import walks
from flowvae.evaluation.regression import SURROGATES, Surrogate, known, quality
from flowvae.evaluation.sequences import decoding
from flowvae.evaluation.walk import ascend, decode
from flowvae.model import VAE
from flowvae.schema import Schema

Key = tuple[tuple[int, int], ...]

TRIES = 5  # rounds of search per proposal, before what was decoded twice ends it


@dataclass(frozen=True)
class Proposal:
    """A decoded sequence, its label as predicted before it was looked up, and as the data have it, if they do."""

    sequence: str
    predicted: float
    sd: float
    true: float | None


@dataclass(frozen=True)
class Optimised:
    """Proposals in the order they were made, with the quality of predictions on held-out data."""

    proposals: list[Proposal]
    rmse: float
    pearson: float
    best: float
    """The greatest label among the training data that predictions are from."""


def optimise(
    model: VAE,
    data: Data,
    n: int,
    *,
    method: Literal["gp", "ridge"] = "gp",
    search: Literal["bayesian", "gradient"] = "bayesian",
    points: int = 1000,
    way: str = "greedy",
    seed: int = 0,
) -> Optimised:
    """Up to ``n`` different sequences, decoded in a ``way`` of `decoding`, uphill from ``points`` training data.

    ``gradient`` ascends the prediction once, and takes the best that is decoded. ``bayesian`` ascends the expected
    improvement, one proposal at a time: its label joins the known ones, the true one where the data have it, else the
    prediction, which is believed. Raises `InputError` for data that are no sequences or have no labels.

    Reference: Gomez-Bombarelli et al. (2018), arXiv:1610.02415; Ginsbourger et al. (2010) for the believer.
    """
    schema = Schema.of(data.event_shape)
    z, y = known(model, data.train, points, seed)
    _, _, _, groups = next(walks(model, data.train.take(1), 1, seed))
    if len(groups) > 1 or z.shape[1:] != model.latents.out_shape:
        got = "several" if len(groups) > 1 else "one that a decoder does not read as it is"
        raise InputError(f"expected one group of latents to search in; got {got}: train with latents.name = 'flat'")
    surrogate = SURROGATES[method](z, y)
    rmse, pearson = quality(surrogate, *known(model, data.test, len(data.test), seed))
    finder = _Finder(model, schema, _labels(schema, data), way, seed)
    best = y.max().item()
    if search == "gradient":
        finder.take(surrogate, ascend(surrogate, z, aim="mean", best=best, seed=seed), n)
    for attempt in range(n * TRIES if search == "bayesian" else 0):
        if len(finder.proposals) == n:
            break
        at = ascend(surrogate, z, aim="improvement", best=y.max().item(), seed=seed + attempt)
        if (added := finder.take(surrogate, at, len(finder.proposals) + 1)) is None:
            continue
        z, y = torch.cat([z, added[0][None].to(z)]), torch.cat([y, y.new_tensor([added[1]])])
        surrogate = SURROGATES[method](z, y)
    return Optimised(finder.proposals, rmse, pearson, best)


class _Finder:
    """Decodes points, and proposes what was not proposed before."""

    def __init__(self, model: VAE, schema: Schema, table: dict[Key, float], way: str, seed: int):
        self.model, self.schema, self.table, self.seed = model, schema, table, seed
        self.show = decoding(way)
        self.proposals: list[Proposal] = []
        self.seen: set[Key] = set()

    def take(self, surrogate: Surrogate, z: Tensor, most: int) -> tuple[Tensor, float] | None:
        """Propose what the points ``(n, D)`` decode to, in order, until there are ``most`` proposals.

        Returns the point and the label, true or believed, of the last one; None where nothing was new.
        """
        added = None
        decoded = decode(self.model, z, seed=self.seed, show=self.show).numpy()
        for at, x, predicted, sd in zip(z, decoded, *surrogate.predict(z), strict=True):
            key = self.schema.key(x)
            if len(self.proposals) == most:
                break
            if key in self.seen:
                continue
            self.seen.add(key)
            true = self.table.get(key)
            self.proposals.append(Proposal(self.schema.text(x), predicted.item(), sd.item(), true))
            added = at, predicted.item() if true is None else true
        return added


def _labels(schema: Schema, data: Data) -> dict[Key, float]:
    """The known label of every sequence."""
    return {
        schema.key(x): float(label)
        for split in data.splits.values()
        if split.labels is not None
        for x, label in zip(split.values.numpy(force=True), split.labels.tolist(), strict=True)
    }
