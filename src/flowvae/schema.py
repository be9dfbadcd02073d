"""What the columns of a sequence mean: one declaration for data, networks, likelihood, decoding and printing."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from flowvae.errors import InputError, nearest

END = 0
"""The type that ends a sequence, and fills the places behind it."""

Step = tuple[str, str | None]
"""A type's name, and its feature as it is printed."""


@dataclass(frozen=True)
class Feature:
    """The number that goes with a type, and its density given that type.

    ``normal``: (x - shift) / scale is normal; ``log-normal``: (log x - shift) / scale is. ``unit``: x in [0, 1] is
    normal, truncated to it; ``continuous-bernoulli``: x in [0, 1] has that density. ``discrete``: x is one of
    ``levels``. Data hold x on the normalised scale, or the index of its level, and densities are those of what data
    hold.
    """

    kind: Literal["normal", "log-normal", "unit", "continuous-bernoulli", "discrete"]
    shift: float = 0.0
    scale: float = 1.0
    levels: tuple[str, ...] = ()

    def store(self, shown: str) -> float:
        """What data hold for a value as it is printed; `InputError` for none of the feature's values.

        >>> Feature("log-normal", shift=math.log(100), scale=2.0).store("100"), Feature("unit").store("0.25")
        (0.0, 0.25)
        """
        if self.kind == "discrete":
            if shown not in self.levels:
                raise InputError(f"expected a level; got {shown!r}{nearest(shown, self.levels)}")
            return float(self.levels.index(shown))
        try:
            x = float(shown)
        except ValueError:
            raise InputError(f"expected a number; got {shown!r}: write it as 0.5 or 32") from None
        least, most = {"normal": (-math.inf, math.inf), "log-normal": (0, math.inf)}.get(self.kind, (0, 1))
        if not (math.isfinite(x) and least <= x <= most and (x > 0 or self.kind != "log-normal")):
            raise InputError(f"expected a value between {least} and {most}; got {shown}: correct it")
        return ((math.log(x) if self.kind == "log-normal" else x) - self.shift) / self.scale

    def show(self, stored: float) -> str:
        """The value that data hold, as it is printed: three digits of a number."""
        if self.kind == "discrete":
            return self.levels[int(stored)]
        x = stored * self.scale + self.shift
        return f"{math.exp(min(x, 700.0)) if self.kind == 'log-normal' else x:.3g}"


@dataclass(frozen=True)
class Type:
    """What may stand in a place of a sequence, with its feature if it has one."""

    name: str
    feature: Feature | None = None


class Schema(tuple[int, ...]):
    """The shape (L, columns) of a datum that is a sequence of at most L steps, and what its columns mean.

    Column 0 holds the type, from 1; behind the last step it is `END`, and so are all places that follow. Column 1, if
    any type has a feature, holds the feature, 0 where there is none. ``separator`` stands between steps in print, and
    ``unknown`` names the type that stands for whatever has none.

    >>> schema = Schema(4, [Type("linear", Feature("log-normal")), Type("dropout", Feature("unit")), Type("flatten")])
    >>> schema
    (4, 2) of 3 types
    >>> values = schema.parse("linear:1 dropout:0.5 flatten")
    >>> values.tolist()
    [[1.0, 0.0], [2.0, 0.5], [3.0, 0.0], [0.0, 0.0]]
    >>> schema.text(values)
    'linear:1 dropout:0.5 flatten'
    """

    types: tuple[Type, ...]
    separator: str
    unknown: str | None

    def __new__(cls, length: int, types: Sequence[Type], separator: str = " ", unknown: str | None = None) -> "Schema":
        schema = super().__new__(cls, (length, 1 + any(entry.feature is not None for entry in types)))
        schema.types, schema.separator, schema.unknown = tuple(types), separator, unknown
        return schema

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.length, self.types, self.separator, self.unknown

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Schema):
            return self.__getnewargs__() == other.__getnewargs__()
        return tuple(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__

    def __repr__(self) -> str:
        return f"{tuple(self)} of {len(self.types)} types"

    @property
    def length(self) -> int:
        """L, the most steps of a sequence."""
        return self[0]

    @cached_property
    def features(self) -> dict[int, Feature]:
        """The features by the number of their type."""
        return {number: entry.feature for number, entry in enumerate(self.types, 1) if entry.feature is not None}

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The numbers of the types by their names."""
        return {entry.name: number for number, entry in enumerate(self.types, 1)}

    def steps(self, values: np.ndarray) -> list[Step]:
        """The steps of a datum (L, columns), up to its end."""
        found: list[Step] = []
        for row in values:
            if (number := int(row[0])) == END:
                break
            feature = self.features.get(number)
            found.append((self.types[number - 1].name, feature.show(float(row[1])) if feature else None))
        return found

    def values(self, steps: Sequence[Step]) -> np.ndarray:
        """The datum float32 (L, columns) of the steps; `InputError` for too many of them, and for what is unknown."""
        if len(steps) > self.length:
            raise InputError(f"expected at most {self.length} steps; got {len(steps)}: shorten the sequence")
        datum = np.zeros(self, dtype=np.float32)
        for row, (name, shown) in zip(datum, steps, strict=False):
            known = name in self.numbers
            if not known and self.unknown is None:
                raise InputError(f"expected a type; got {name!r}{nearest(name, self.numbers)}")
            row[0] = number = self.numbers[name if known or self.unknown is None else self.unknown]
            feature = self.features.get(number)
            if feature is not None and shown is None and "" in feature.levels:
                shown = ""
            if (feature is None) != (shown is None):
                form = name if feature is None else f"{name}:VALUE"
                raise InputError(f"expected {form!r}; got {name if shown is None else f'{name}:{shown}'!r}: correct it")
            if feature is not None and shown is not None:
                row[1] = feature.store(shown)
        return datum

    def text(self, values: np.ndarray) -> str:
        """A datum in print: ``type`` or ``type:feature``, step by step."""
        return self.separator.join(f"{name}:{shown}" if shown else name for name, shown in self.steps(values))

    def parse(self, text: str) -> np.ndarray:
        """The datum float32 (L, columns) that is printed as ``text``; `InputError` as for `values`."""
        words = text.split() if self.separator else self._units.findall(text.strip())
        return self.values([self._step(word) for word in words])

    def key(self, values: np.ndarray) -> tuple[tuple[int, int], ...]:
        """What makes two data the same: types and discrete features; other numbers only come close to each other."""
        steps = values[: len(self.steps(values))]
        discrete = {number for number, feature in self.features.items() if feature.kind == "discrete"}
        return tuple((int(row[0]), int(row[-1]) if int(row[0]) in discrete else 0) for row in steps)

    def table(self) -> dict[str, Any]:
        """The schema as a table for JSON; `of_table` reads it."""
        types = [
            {"name": entry.name} | ({"feature": asdict(entry.feature)} if entry.feature else {})
            for entry in self.types
        ]  # fmt: skip
        return {"length": self.length, "types": types, "separator": self.separator, "unknown": self.unknown}

    @classmethod
    def of_table(cls, table: dict[str, Any]) -> "Schema":
        """The schema that `table` describes."""
        types = []
        for entry in table["types"]:
            feature = entry.get("feature")
            feature = feature and Feature(**{**feature, "levels": tuple(feature["levels"])})
            types.append(Type(entry["name"], feature))
        return cls(table["length"], types, table["separator"], table["unknown"])

    @classmethod
    def of(cls, event_shape: tuple[int, ...]) -> "Schema":
        """The shape itself, where it is one of sequences; `InputError` for any other."""
        if isinstance(event_shape, Schema):
            return event_shape
        raise InputError(
            f"expected sequences; got data of shape {tuple(event_shape)}: use a data set of sequences, such as "
            "'grammar', or another component"
        )

    @cached_property
    def _units(self) -> re.Pattern[str]:
        """Names as long as can be, and single characters for what has none."""
        names = sorted(self.numbers, key=len, reverse=True)
        return re.compile("|".join([*map(re.escape, names), "."]), re.DOTALL)

    def _step(self, word: str) -> Step:
        if self[1] == 1 or word in self.numbers:
            return word, None
        name, colon, shown = word.partition(":")
        return name, shown if colon else None
