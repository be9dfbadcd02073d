"""A budget of memory, and chunks that keep to it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from weakref import finalize

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from flowvae.errors import InputError

DECIMAL = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

CPU_PAIRS = 1600
"""Pairs (draw, datum) of a chunk on the CPU: enough for full speed, few enough for activations to stay in caches."""

BLOCK_DATA = 128
"""Data encoded at a time, and reduced at a time: enough for the cost of a call to vanish."""


def parse_size(size: str | int) -> int:
    """Bytes in ``size``, a number of bytes or a string such as "256MiB".

    >>> parse_size("256MiB"), parse_size("1.5 GB"), parse_size(1000)
    (268435456, 1500000000, 1000)
    """
    units = {unit.lower(): bytes_ for unit, bytes_ in (DECIMAL | BINARY).items()}
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([a-z]*)\s*", str(size).lower())
    if match is None or (match[2] or "b") not in units or float(match[1]) == 0:
        raise InputError(f"expected a size of memory such as '256MiB' or '1GB'; got {size!r}: write one")
    return int(float(match[1]) * units[match[2] or "b"])


def in_words(size: int) -> str:
    """A size in the largest unit that leaves at least 1, rounded up: what is named suffices.

    >>> in_words(300 * 1024)
    '300KiB'
    """
    unit, factor = max((pair for pair in {"B": 1, **BINARY}.items() if pair[1] <= size), key=lambda pair: pair[1])
    return f"{-(-size // factor)}{unit}"


class Footprint(TorchDispatchMode):
    """Counts the bytes of the tensors made inside the context: ``peak`` is the most that were alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._alive = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._known.update(storage._cdata for storage in _storages((args, kwargs)))
        result = func(*args, **(kwargs or {}))
        for storage in _storages(result):
            if storage._cdata not in self._known:
                self._known.add(storage._cdata)
                self._alive += storage.nbytes()
                finalize(storage, self._free, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self._alive)
        return result

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._alive -= size


def _storages(tree: Any) -> Iterator[torch.UntypedStorage]:
    return (leaf.untyped_storage() for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


@dataclass(frozen=True)
class Bytes:
    """Of memory, for each datum of a block, and for each pair (draw, datum) of a chunk."""

    datum: int
    pair: int


@dataclass(frozen=True)
class Plan:
    """``block`` data are encoded at a time; of these, ``data`` times ``draws`` pairs make a chunk."""

    block: int
    data: int
    draws: int


def plan(count: int, samples: int, budget: int, cost: Bytes, groups: int, *, on_cpu: bool) -> Plan:
    """The largest chunks within ``budget`` bytes for ``count`` data of ``samples`` draws; on the CPU, not too large.

    A quarter is for a chunk and a quarter for a block's features and log-weights: the system's allocator leaves gaps of
    up to as much again, and libraries have buffers of their own.

    Raises `InputError` for a budget too small for one pair.
    """
    term = 8 * (1 + groups) + 8 * 4  # of a draw and a datum of a block: its terms, and their reduction
    least = 4 * max(cost.pair, cost.datum + term)
    if budget < least:
        raise InputError(
            f"expected memory of at least {in_words(least)} for this model; got {in_words(budget)}: raise it"
        )
    fitting = budget // 4 // cost.pair
    if on_cpu:
        fitting = min(fitting, CPU_PAIRS)
    draws = _even(samples, min(fitting, (budget // 4 - cost.datum) // term))
    most = budget // 4 // (cost.datum + draws * term)
    data = _even(count, min(fitting // draws, most))
    return Plan(block=data * max(1, min(BLOCK_DATA, most) // data), data=data, draws=draws)


def _even(total: int, most: int) -> int:
    """The size of the fewest parts of ``total`` that are at most ``most`` each, and as even as they can be."""
    return -(-total // -(-total // most))
