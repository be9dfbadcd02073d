"""What a measure finds, and what it says beforehand that it will find."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

import numpy as np

from flowvae import registry
from flowvae.registry import Spec

M = TypeVar("M", bound=Callable[..., object])


@dataclass(frozen=True, eq=False)
class Measured:
    """Figures by name, for the results, and arrays by name, for pictures."""

    figures: Mapping[str, float] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


def finds(*figures: str) -> Callable[[M], M]:
    """Decorator: the names of a measure's figures, so that a study's metrics are checked before any run.

    A name may hold options, ``"log_likelihood_{samples}"``, and end in ``*`` for any number of them.
    """

    def declare(measure: M) -> M:
        measure.figures = figures  # type: ignore[attr-defined]
        return measure

    return declare


def figures_of(spec: Spec, path: str = "measure") -> tuple[str, ...] | None:
    """The names of a measure's figures, options filled in, as patterns; None of one that declares none or is unknown.

    Unknown is one of a plugin that is not loaded. Raises `InputError` for options that a measure has not, at ``path``.
    """
    if (spec if isinstance(spec, str) else spec.get("name")) not in registry.names("measure"):
        return None
    table = registry.resolve("measure", spec, path=path)
    declared = getattr(registry.component("measure", table.pop("name")), "figures", None)
    return None if declared is None else tuple(name.format(**table) for name in declared)


def is_figure(name: str, figures: tuple[str, ...]) -> bool:
    """Whether ``name`` is one of the ``figures``, as `figures_of` tells them."""
    return any(fnmatchcase(name, figure) for figure in figures)
