"""What every model is trained on: three splits that hold bytes and yield batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flowvae.data.ranges import are_bits
from flowvae.errors import InputError
from flowvae.schema import Step

Binarise = Literal["dynamic", "static-seeded", "threshold", "none"]
"""How intensities x in [0, 1] become bits: ``dynamic`` draws Bernoulli(x) afresh for every batch,
``static-seeded`` drew it once by seed, ``threshold`` takes x > 1/2, ``none`` leaves x as it is."""

Support = Literal["binary", "levels", "unit", "real", "sequence", "nothing"]
"""What batches hold: bits, whole numbers 0 to scale over the scale, which is 255 at most (that of bytes), values in
[0, 1], any real numbers, sequences, whose event shape is a `Schema`, or nothing: a 0 that stands for no observation."""

BLOCK = 4096  # rows drawn at a time when a split is frozen: bounds memory, has no influence on the result


def stream(*key: int) -> np.random.RandomState:
    """Random numbers by key, the same for good: numpy freezes the streams of this class, unlike torch's."""
    return np.random.RandomState(np.random.MT19937(np.random.SeedSequence(key)))


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set: ``values`` (N, *event), uint8 or float32, with x = values / scale.

    Raises `InputError` for a split without rows, or labels of another number.

    >>> split = Split(torch.tensor([[0, 255], [51, 102]], dtype=torch.uint8), scale=255)
    >>> split.batch(torch.tensor([1]))
    tensor([[0.2000, 0.4000]])
    """

    values: Tensor
    scale: float = 1.0
    binarise: Binarise = "none"
    labels: Tensor | None = None
    flip: bool = False
    """Whether a batch mirrors every image left to right, or not, by a coin of its own."""
    cells: int = 0
    """Where not 0, the number L of levels k that a batch spreads by uniform noise u on [0, 1): x = (k + u) / L."""
    names: tuple[str, ...] = ()
    """What the rows are called, as the images of a folder by their files; none where they have no names."""

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor):
            raise InputError(f"expected a tensor of rows; got {type(self.values).__name__}: use torch.from_numpy(x)")
        if self.values.ndim < 2 or self.values.dtype not in (torch.uint8, torch.float32):
            raise InputError(
                f"expected values (N, *event) of uint8 or float32; got {tuple(self.values.shape)} of "
                f"{self.values.dtype}: reshape or convert them"
            )
        if 0 in self.values.shape:
            raise InputError(f"expected rows that are not empty; got shape {tuple(self.values.shape)}: add data")
        if self.labels is not None and len(self.labels) != len(self):
            raise InputError(f"expected {len(self)} labels, one a row; got {len(self.labels)}: match them")
        if self.binarise == "static-seeded" and (self.scale != 1 or not are_bits(self.values)):
            raise InputError("expected bits in a 'static-seeded' split; got intensities: draw them with frozen(seed)")

    def __len__(self) -> int:
        return len(self.values)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one datum: (D,) or (C, H, W)."""
        return tuple(self.values.shape[1:])

    @property
    def is_binary(self) -> bool:
        """Whether all batches are of zeros and ones, drawn or there already."""
        return self.binarise != "none" or (not self.cells and are_bits(self.values, self.scale))

    @property
    def mean(self) -> Tensor:
        """Mean of the rows as a batch holds them, float32 (*event)."""
        if self.binarise == "threshold":
            mean = self.values.gt(self.scale / 2).mean(0, dtype=torch.float32)
        else:
            mean = (self.values.mean(0, dtype=torch.float64) / self.scale).float()
        if self._spreads:
            mean = (mean * self.scale + 0.5) / self.cells
        return 0.5 * (mean + mean.flip(-1)) if self.flip else mean

    def examples(self, n: int) -> Tensor:
        """n data ``(n, *event)``, evenly spread over the rows; some of them again where there are fewer."""
        return self.batch(torch.linspace(0, len(self) - 1, n, device=self.values.device).long())

    @property
    def _spreads(self) -> bool:
        """Whether noise is still to come: it has been added to values that are real."""
        return self.cells > 0 and self.values.dtype == torch.uint8

    def batch(self, indices: Tensor) -> Tensor:
        """Rows ``indices`` (B,) as float32 (B, *event), on the device of the values.

        ``dynamic`` draws P(bit = 1) = values / scale from torch's default generator, ``flip`` its coins, and
        ``cells`` the noise.
        """
        x = self.values.index_select(0, indices).to(torch.float32)
        if self.flip:
            coins = torch.rand(len(x), *(1,) * (x.ndim - 1), device=x.device) < 0.5
            x = torch.where(coins, x.flip(-1), x)
        if self._spreads:
            return x.add_(torch.rand_like(x)).div_(self.cells)
        if self.scale != 1:
            x.div_(self.scale)
        if self.binarise == "dynamic":
            return torch.rand_like(x).lt_(x)  # in place: the comparison writes 0. and 1. without a bool copy
        if self.binarise == "threshold":
            return x.gt_(0.5)
        return x

    def frozen(self, seed: int) -> "Split":
        """The same split, its bits drawn once by ``seed`` and kept as bytes, and no image mirrored.

        A row's bits depend on the seed and its place: not on batch sizes, the device, or the rows behind it.
        """
        if self._spreads:
            return self._spread(seed)
        if self.binarise in ("none", "static-seeded"):
            return replace(self, binarise="none", flip=False)
        values = self.values.cpu().numpy()
        bits = np.empty(values.shape, dtype=np.uint8)
        noise = stream(seed)
        for start in range(0, len(values), BLOCK):
            rows = slice(start, start + BLOCK)
            x = values[rows].astype(np.float64) / self.scale
            bits[rows] = x > 0.5 if self.binarise == "threshold" else noise.random_sample(x.shape) < x
        return Split(torch.from_numpy(bits).to(self.values.device), labels=self.labels, names=self.names)

    def _spread(self, seed: int) -> "Split":
        """The same split with the noise of ``cells`` drawn once, by ``seed``."""
        values = self.values.cpu().numpy()
        spread = np.empty(values.shape, dtype=np.float32)
        noise = stream(seed)
        for start in range(0, len(values), BLOCK):
            rows = slice(start, start + BLOCK)
            spread[rows] = (values[rows] + noise.random_sample(values[rows].shape)) / self.cells
        return replace(self, values=torch.from_numpy(spread).to(self.values.device), scale=1.0, flip=False)

    def to(self, device: torch.device | str) -> "Split":
        """The same split on ``device``."""
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, values=self.values.to(device), labels=labels)

    def take(self, n: int) -> "Split":
        """The first ``n`` rows, or all where there are fewer."""
        if n < 1:
            raise InputError(f"expected at least one row; got {n}: take 1 or more")
        labels = None if self.labels is None else self.labels[:n]
        return replace(self, values=self.values[:n], labels=labels, names=self.names[:n])


@dataclass(frozen=True, eq=False)
class Data:
    """A data set: three splits of one event shape.

    ``support`` says what batches hold; ``digest`` is the SHA-256 of all values and labels; ``spec`` is the
    resolved table that `load_data` loads it by.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    event_shape: tuple[int, ...]
    support: Support
    digest: str
    spec: dict[str, Any]
    columns: tuple[str, ...] = ()
    """What the columns of rows (D,) are called, where a table says so."""
    valid: Callable[[Sequence[Step]], bool] | None = None
    """Where data are sequences with rules: whether steps keep to them."""

    @property
    def levels(self) -> int | None:
        """How many levels the values of ``support = "levels"`` have: scale + 1, as 256 of bytes."""
        return round(self.train.scale) + 1 if self.support == "levels" else None

    @property
    def mean(self) -> Tensor:
        """Mean of the training data, float32 (*event)."""
        return self.train.mean

    def examples(self, n: int) -> Tensor:
        """n training data ``(n, *event)``, evenly spread over the rows."""
        return self.train.examples(n)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def to(self, device: torch.device | str) -> "Data":
        """The same data on ``device``."""
        train, validation, test = (split.to(device) for split in self.splits.values())
        return replace(self, train=train, validation=validation, test=test)
