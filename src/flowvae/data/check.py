"""A look at one's own data before training: what it holds, what is wrong with it, which likelihood fits."""

import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flowvae import registry
from flowvae.data.base import Data
from flowvae.data.parts import Parts, find_missing, require_one_shape, shares
from flowvae.data.ranges import are_bits, fitting_scale, interval, rescaling, unlike_scales, value_range
from flowvae.data.readers import FITTING, read
from flowvae.errors import InputError, counted, in_memory

WORDS = {
    "binary": "bits",
    "levels": "whole numbers up to 255 over their greatest one, as bytes over 255,",
    "unit": "values in [0, 1]",
    "real": "real values",
    "sequence": "sequences",
    "nothing": "no observation",
}

LEVELS = "discretised_logistic"
"""What is recommended for bytes."""


@dataclass(frozen=True)
class Inspection:
    """What a file holds.

    ``minimum`` and ``maximum`` are those of the finite values (NaN where there are none); ``missing`` counts
    values that are NaN, infinite or beyond float32, in ``missing_rows`` rows, ``first_missing`` being the
    first of these; ``duplicates`` counts rows that repeat an earlier one, ``shared`` those that repeat a row
    of an earlier part. ``refusal`` is why training would not take the file, and what to do, or ""; ``scales`` is what
    columns of unlike scales want, or "". ``likelihood`` is the recommended one, with the ``scale`` that it needs, or
    None where none that is registered fits; ``advice`` says it in words.
    """

    path: str
    shapes: dict[str, tuple[int, ...]]
    dtype: str
    minimum: float
    maximum: float
    whole: bool
    labels: bool
    missing: int
    missing_rows: int
    first_missing: str
    duplicates: int
    shared: int
    refusal: str
    scales: str
    likelihood: str | None
    scale: float
    advice: str

    def lines(self) -> list[str]:
        """The findings, one a line, and a line more for what else the data could be."""
        shapes = ", ".join(f"{split} {shape}" for split, shape in self.shapes.items())
        if len(self.shapes) == 1:
            shapes = f"{self.shapes['train']}, without splits"
        lost = f"{counted(self.missing, 'value')} in {counted(self.missing_rows, 'row')}"
        first, *others = self.advice.split("; ")
        again = f"{counted(self.duplicates, 'row')} {'repeats' if self.duplicates == 1 else 'repeat'} an earlier one"
        if len(self.shapes) > 1:
            again += f", {self.shared} of them one of another part"
        return [
            f"file        {self.path}",
            f"shape       {shapes}{', with labels' if self.labels else ''}",
            f"range       {interval(self.minimum, self.maximum)}",
            f"type        {self.dtype}, {'whole' if self.whole else 'real'} numbers",
            f"not finite  {f'{lost}, the first in {self.first_missing}' if self.missing else 'none'}",
            f"duplicates  {again if self.duplicates else 'none'}",
            f"likelihood  {first}",
            *(f"            or {other}" for other in others),
            *([f"scales      {self.scales}"] if self.scales else []),
            *([f"training    would refuse it: {self.refusal}"] if self.refusal else []),
        ]

    def to_dict(self) -> dict[str, Any]:
        """The findings as a table for JSON, NaN being None."""
        table = asdict(self) | {"shapes": {split: list(shape) for split, shape in self.shapes.items()}}
        return {key: None if value != value else value for key, value in table.items()}


@in_memory(*FITTING)
def inspect(path: str | Path, size: int = 0) -> Inspection:
    """Look at a file or a folder without refusing what it holds; ``size`` is what images are brought to, if not 0.

    Raises `InputError` only where it cannot be read: no such path, an unknown ending, text among the numbers.
    """
    parts = read(path, size)
    arrays = [part.values for part in parts.values()]
    finite = [array[np.isfinite(array)] for array in arrays]
    finite = [array for array in finite if array.size]
    low, high = value_range(finite) if finite else (np.nan, np.nan)
    whole = all(bool((array == np.floor(array)).all()) for array in finite)
    rows, count, first = find_missing(parts)
    duplicates, shared = _repeated(parts)
    is_folder = Path(path).expanduser().is_dir()
    bits = high >= 0 and all(are_bits(array, high) for array in finite)
    likelihood, scale, advice = _recommend(low, high, whole, bits, default=255.0 if is_folder else 1.0)
    return Inspection(
        path=str(path),
        shapes={split: part.values.shape for split, part in parts.items()},
        dtype=" and ".join(sorted({array.dtype.name for array in arrays})),
        minimum=low,
        maximum=high,
        whole=whole,
        labels=any(part.labels is not None for part in parts.values()),
        missing=count,
        missing_rows=rows,
        first_missing=first,
        duplicates=duplicates,
        shared=shared,
        refusal=_refusal(parts, count),
        scales=unlike_scales(parts["train"].values),
        likelihood=likelihood,
        scale=scale,
        advice=advice,
    )


def require_support(data: Data, likelihood: str, accepts: Collection[str], levels: int | None = None) -> None:
    """Raise `InputError` unless ``data`` is of a kind that ``likelihood`` ``accepts``, with the remedies.

    ``levels`` is how many the likelihood has been told of, where it is one of levels.
    """
    if data.support in accepts or (data.support == "levels" and "unit" in accepts):
        if levels not in (None, data.levels):
            raise InputError(
                f"expected data of {levels} levels for {likelihood!r}; got {data.levels}: "
                f"use --set likelihood.levels={data.levels}"
            )
        return
    # Bits are values in [0, 1] too, and go without saying where those are accepted.
    kinds = [kind for kind in WORDS if kind in accepts and not (kind == "binary" and "unit" in accepts)]
    expected = " or ".join(WORDS[kind] for kind in kinds)
    arrays = [split.values.numpy(force=True) for split in data.splits.values()]
    low, high = value_range(arrays)
    scale, binarise = data.train.scale, data.train.binarise
    got = interval(low / scale, high / scale) if binarise == "none" else f"bits (data.binarise={binarise})"
    got = WORDS[data.support] if data.support in ("sequence", "nothing") else got
    remedies = [f"use --set likelihood.name={name}" for name in _accepting(data.support)]
    if data.support == "real":
        whole = arrays[0].dtype == np.uint8
        remedies = [rescaling(low, high, whole), *([] if whole else remedies)]  # a density of bytes as they are is none
    elif data.support in ("levels", "unit") and "binary" in accepts:
        remedies.insert(0, "use --set data.binarise=dynamic")
    elif binarise != "none" and {"levels", "unit", "real"} & set(accepts):
        remedies.insert(0, "use --set data.binarise=none")
    if "sequence" in accepts:  # its encoder takes nothing else either
        remedies = ["choose sequences, or a recipe of other data, as 'digits' is"]
    remedy = " or ".join(remedies) or "choose other data"
    raise InputError(f"expected {expected} for {likelihood!r}; got {got}: {remedy}")


def _recommend(low: float, high: float, whole: bool, bits: bool, default: float) -> tuple[str | None, float, str]:
    """The likelihood that fits, the scale that it needs (``default`` is the source's own), both in words."""
    if np.isnan(low):
        return None, default, "none fits: no value is finite"
    if bits:
        scale = high or default
        return "bernoulli", scale, f"bernoulli{_with(_scaled(scale, default))}: values are bits"
    fitting = fitting_scale(low, high, whole)
    if fitting is not None and (fitting == 1 or (whole and high <= 255)):
        scale = max(fitting, default)
        scaled = _scaled(scale, default)
        as_bits = f"bernoulli{_with([*scaled, 'data.binarise=dynamic'])} draws bits with them as probabilities"
        if whole:
            numbers = "bytes" if scale == 255 else f"whole numbers 0 to {scale:g}"
            own = [] if scale == 255 else [f"likelihood.levels={scale + 1:g}"]
            settings = _with([*_of_values(LEVELS), *scaled, *own])
            return LEVELS, scale, f"{LEVELS}{settings}: values are {numbers}; {as_bits}"
        return "bernoulli", scale, f"{as_bits}: values are intensities"
    if accepting := _accepting("real"):
        chosen = "gaussian" if "gaussian" in accepting else accepting[0]
        return chosen, default, f"{chosen}{_with(_of_values(chosen))}: values are real"
    advice = f"none fits: values are real, as a Gaussian has them; for bernoulli {rescaling(low, high, whole)}"
    return None, default, advice


def _refusal(parts: Parts, lost: int) -> str:
    """Why a file of these ``parts``, ``lost`` of whose values are not finite, would be refused by training, or ""."""
    try:
        require_one_shape(parts)
        shares(parts)
    except InputError as error:
        return str(error)
    return "values are not finite: fill them in, or leave their rows out" if lost else ""


def _of_values(likelihood: str) -> list[str]:
    """What makes a recipe of bits one of values as they are."""
    return [f"likelihood.name={likelihood}", "data.binarise=none"]


def _scaled(scale: float, default: float) -> list[str]:
    """What sets the scale, unless it is the source's own."""
    return [] if scale == default else [f"data.scale={scale:.10g}"]


def _with(settings: list[str]) -> str:
    return " with" + "".join(f" --set {setting}" for setting in settings) if settings else ""


def _accepting(support: str) -> list[str]:
    """The registered likelihoods that are densities of such data."""
    wanted = {support} | ({"unit"} if support == "levels" else set())
    components = {name: registry.component("likelihood", name) for name in registry.names("likelihood")}
    return [name for name, component in components.items() if wanted & set(getattr(component, "accepts", ()))]


def _repeated(parts: Parts) -> tuple[int, int]:
    """How many rows repeat an earlier row, and how many of these a row of an earlier part."""
    home: dict[bytes, str] = {}
    duplicates = shared = 0
    for split, part in parts.items():
        for row in np.ascontiguousarray(part.values):
            key = hashlib.blake2b(row.data, digest_size=16).digest()
            duplicates += key in home
            shared += home.setdefault(key, split) != split
    return duplicates, shared
