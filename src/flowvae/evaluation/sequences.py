"""How sequences are decoded, and how far apart two of them are."""

import math
from collections.abc import Sequence
from functools import partial

from torch import Tensor
from torch.distributions import Distribution

from flowvae.distributions import SequenceDistribution
from flowvae.errors import InputError
from flowvae.evaluation.generate import Show

FORMS = "'greedy', 'sample', 'sample:0.8' (temperature) or 'beam:8' (width)"


def decoding(way: str) -> Show:
    """What is made of p(x | z): ``greedy``, ``sample``, ``sample:TEMPERATURE``, or ``beam:WIDTH``, the best of a beam.

    Raises `InputError` for any other way.
    """
    name, _, number = way.partition(":")
    try:
        if way == "greedy":
            return partial(_decode, temperature=0.0)
        if name == "sample" and 0 <= (temperature := float(number or 1)) < math.inf:
            return partial(_decode, temperature=temperature)
        if name == "beam" and (width := int(number)) > 0:
            return partial(_best, width=width)
    except ValueError:
        pass
    raise InputError(f"expected a way to decode; got {way!r}: use {FORMS}")


def edit_distance(first: Sequence[object], second: Sequence[object]) -> int:
    """The fewest insertions, deletions and replacements that turn one sequence into the other.

    Reference: Levenshtein (1966), Soviet Physics Doklady 10(8).

    >>> edit_distance("kitten", "sitting"), edit_distance("", "abc")
    (3, 3)
    """
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            diagonal, row[j] = row[j], min(diagonal + (a != b), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def _decode(p: Distribution, temperature: float) -> Tensor:
    assert isinstance(p, SequenceDistribution)
    return _single(p.decode(temperature=temperature))


def _best(p: Distribution, width: int) -> Tensor:
    assert isinstance(p, SequenceDistribution)
    return _single(p.beam(width)[0][0])


def _single(x: Tensor) -> Tensor:
    """Of data with draws ``(1, B, L, columns)``, those of the only one."""
    if x.ndim == 4 and len(x) > 1:
        raise InputError(f"expected one draw a datum, since sequences have no mean; got {len(x)}: ask for one")
    return x[0] if x.ndim == 4 else x
