"""Random networks of linear, dropout and convolutional layers, drawn from a grammar by seed."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from flowvae.data.assemble import assemble
from flowvae.data.base import Data, stream
from flowvae.data.parts import Part, partition
from flowvae.registry import Count, Seed, register
from flowvae.schema import Feature, Schema, Step, Type

LENGTH = 17
"""Of the longest network: three blocks of three layers, flatten, three hidden layers with dropout, and linear."""
SIZES = tuple(str(2**power) for power in range(2, 11))
RATES = tuple(f"{tenth / 10:g}" for tenth in range(1, 8))
CHANNELS, UNITS, RATE = (4.0, 256.0), (4.0, 1024.0), (0.1, 0.7)
"""The least and the greatest feature of each type."""


@register("data", "grammar")
def grammar(
    *,
    count: Count = 20_000,
    features: Literal["continuous", "discrete"] = "continuous",
    rates: Literal["unit", "continuous-bernoulli"] = "unit",
    seed: Seed = 0,
) -> Data:
    """``count`` random networks, sequences of at most 17 layers (type, feature): conv with its channels, linear with
    its units, dropout with its rate, and pool and flatten without a feature; event (17, 2).

        network  -> [ image flatten ] dense linear
        image    -> block{1..3}         block -> conv [ dropout ] [ pool ]     channels do not shrink
        dense    -> hidden{0..3}        hidden -> linear [ dropout ]           units do not grow

    Channels and units are log-normal given what comes before, rates lie in [0, 1] with a density of the kind
    ``rates``; ``discrete`` rounds them all to powers of two and tenths. ``seed`` draws the networks, and a tenth of
    them for validation and a tenth for test.
    """
    noise = stream(seed)
    networks = [draw(noise) for _ in range(count)]
    if features == "discrete":
        networks = [[rounded(step) for step in network] for network in networks]
        sizes, rate = Feature("discrete", levels=SIZES), Feature("discrete", levels=RATES)
        schema = schema_of(sizes, sizes, rate)
    else:
        schema = schema_of(scaled(networks, "conv"), scaled(networks, "linear"), Feature(rates))
    values = np.stack([schema.values(network) for network in networks])
    parts = partition({"train": Part(values)}, validation=0.1, test=0.1, seed=seed)
    return replace(assemble("grammar", parts, schema=schema), valid=is_valid)


def schema_of(channels: Feature, units: Feature, rate: Feature) -> Schema:
    """The columns of networks with such features."""
    types = [Type("conv", channels), Type("linear", units), Type("dropout", rate), Type("pool"), Type("flatten")]
    return Schema(LENGTH, types)


def draw(noise: np.random.RandomState) -> list[Step]:
    """A network drawn from the grammar."""
    network: list[Step] = []
    if noise.random_sample() < 0.5:
        channels = _between(noise, *CHANNELS, spread=0.5)
        for _ in range(noise.randint(1, 4)):
            network.append(("conv", f"{channels:.0f}"))
            channels = min(channels * math.exp(abs(noise.normal(0, 0.5))), CHANNELS[1])
            network += _dropout(noise, 0.3)
            network += [("pool", None)] * int(noise.random_sample() < 0.5)
        network.append(("flatten", None))
    units = _between(noise, *UNITS, spread=1.0)
    for _ in range(noise.randint(0, 4)):
        network.append(("linear", f"{units:.0f}"))
        units = max(units * math.exp(-abs(noise.normal(0, 0.5))), UNITS[0])
        network += _dropout(noise, 0.5)
    return [*network, ("linear", f"{units:.0f}")]


def is_valid(steps: Sequence[Step]) -> bool:
    """Whether types and features follow the grammar: channels, one at least, do not shrink, and units do not grow.

    Rates lie in [0, 1] by their density.

    >>> is_valid([("conv", "8"), ("flatten", None), ("linear", "10")]), is_valid([("conv", "8"), ("linear", "10")])
    (True, False)
    >>> is_valid([("conv", "8"), ("conv", "4"), ("flatten", None), ("linear", "10")])
    False
    """
    channels, units = ([float(shown or 1) for own, shown in steps if own == name] for name in ("conv", "linear"))
    if min([*channels, *units], default=1.0) < 1 or channels != sorted(channels) or units != sorted(units)[::-1]:
        return False
    names = [name for name, _ in steps]
    image, dense = [], names
    if "flatten" in names:
        cut = names.index("flatten")
        image, dense = names[:cut], names[cut + 1 :]
        if not image:
            return False
    blocks = _items(image, "conv", ("dropout", "pool"))
    hidden = _items(dense, "linear", ("dropout",))
    return blocks is not None and hidden is not None and blocks <= 3 and 1 <= hidden <= 4 and dense[-1] == "linear"


def _items(names: Sequence[str], head: str, tail: Sequence[str]) -> int | None:
    """How many items there are, each a ``head`` and some of ``tail`` in their order; None where that is not so."""
    count, at = 0, len(tail)
    for name in names:
        if name == head:
            count, at = count + 1, 0
        elif name in tail[at:] and count:
            at = tail.index(name, at) + 1
        else:
            return None
    return count


def rounded(step: Step) -> Step:
    """A step with its feature at the nearest level."""
    name, shown = step
    if shown is None:
        return step
    if name == "dropout":
        return name, min(RATES, key=lambda level: abs(float(level) - float(shown)))
    return name, min(SIZES, key=lambda level: abs(math.log(float(level) / float(shown))))


def scaled(networks: Sequence[Sequence[Step]], name: str) -> Feature:
    """The log-normal feature of the type ``name``, its logarithms of mean 0 and deviation 1 on the normalised scale."""
    logs = np.log([float(shown) for network in networks for own, shown in network if own == name and shown])
    if len(logs) < 2:
        return Feature("log-normal")
    return Feature("log-normal", shift=float(logs.mean()), scale=float(max(logs.std(), 1e-3)))


def _between(noise: np.random.RandomState, low: float, high: float, spread: float) -> float:
    """A log-normal size around the geometric middle, kept within its ends."""
    middle = 0.5 * (math.log(low) + math.log(high))
    return min(max(math.exp(noise.normal(middle, spread)), low), high)


def _dropout(noise: np.random.RandomState, chance: float) -> list[Step]:
    if noise.random_sample() >= chance:
        return []
    return [("dropout", f"{noise.uniform(*RATE):.3f}")]
