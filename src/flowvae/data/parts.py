"""Parts of a file as they were read, and how rows are dealt to the three splits."""

from dataclasses import dataclass

import numpy as np

from flowvae.data.base import stream
from flowvae.data.ranges import missing
from flowvae.errors import InputError, counted

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Part:
    """Rows (N, *event) with their labels (N,), as numpy read them, and what the file calls rows and columns."""

    values: np.ndarray
    labels: np.ndarray | None = None
    names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, indices: np.ndarray | slice) -> "Part":
        """The rows ``indices`` with their labels and names."""
        labels = None if self.labels is None else self.labels[indices]
        names = tuple(np.array(self.names)[indices].tolist()) if self.names else ()
        return Part(self.values[indices], labels, names, self.columns)


Parts = dict[str, Part]
"""Parts by the name of their split; a file without splits is all ``train``."""


def partition(parts: Parts, *, validation: float, test: float, seed: int) -> Parts:
    """Cut from ``train``, at random by ``seed``, the splits that ``parts`` lacks; rows keep their order.

    ``validation`` and ``test`` are fractions of the rows that are dealt; a split has at least one row. Raises
    `InputError` where they leave nothing to train on.
    """
    pool, sizes = parts["train"], shares(parts, validation=validation, test=test)
    if not sizes:
        return parts
    order = stream(seed).permutation(len(pool))
    dealt: Parts = {}
    for name, size in sizes.items():
        chosen, order = order[:size], order[size:]
        dealt[name] = pool.rows(np.sort(chosen))
    return {**parts, "train": pool.rows(np.sort(order)), **dealt}


def require_one_shape(parts: Parts) -> None:
    """Raise `InputError` where events of the ``parts`` differ in shape."""
    shapes = {split: part.values.shape[1:] for split, part in parts.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{split} {shape}" for split, shape in shapes.items())
        raise InputError(f"expected one event shape; got {listed}: give all parts the same")


def shares(parts: Parts, *, validation: float = 0.1, test: float = 0.1) -> dict[str, int]:
    """How many rows of ``train`` go to each split that ``parts`` lacks; `InputError` where none would be left."""
    rows, fractions = len(parts["train"]), {"validation": validation, "test": test}
    sizes = {name: max(1, round(fraction * rows)) for name, fraction in fractions.items() if name not in parts}
    if sum(sizes.values()) >= rows:
        wanted = " and ".join(f"{size} for {name}" for name, size in sizes.items())
        raise InputError(
            f"expected rows to train on; got {counted(rows, 'row')}, {wanted}: "
            "add rows, or lower data.validation and data.test"
        )
    return sizes


def stratified(part: Part, *, validation: int, test: int, seed: int) -> Parts:
    """Deal the rows so that every label has its share of each split, within a row; rows keep their order."""
    assert part.labels is not None
    shuffled = stream(seed).permutation(len(part))
    order = shuffled[np.argsort(part.labels[shuffled], kind="stable")]
    to_test = _evenly(len(order), test)
    rest = order[~to_test]
    to_validation = _evenly(len(rest), validation)
    chosen = {"train": rest[~to_validation], "validation": rest[to_validation], "test": order[to_test]}
    return {name: part.rows(np.sort(indices)) for name, indices in chosen.items()}


def find_missing(parts: Parts) -> tuple[int, int, str]:
    """How many rows hold values that float32 cannot, how many such values, and the name of the first row."""
    rows, count, first = 0, 0, ""
    for split, part in parts.items():
        lost, values = missing(part.values)
        if values and not first:
            first = f"row {lost[0]}" if len(parts) == 1 else f"row {lost[0]} of {split!r}"
        rows, count = rows + len(lost), count + values
    return rows, count, first


def _evenly(n: int, k: int) -> np.ndarray:
    """A mask over n places with k set, as evenly spaced as can be."""
    steps = np.arange(n + 1) * k // n
    return steps[1:] > steps[:-1]
