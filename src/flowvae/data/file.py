"""One's own data, by path: an array, a table, or a folder of images."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from flowvae.data.assemble import assemble
from flowvae.data.base import Binarise, Data
from flowvae.data.parts import Parts, find_missing, partition
from flowvae.data.readers import read
from flowvae.errors import InputError, counted
from flowvae.registry import NonNegative, Positive, Seed, register

Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
"""A part of the rows, never none and never all."""


@register("data", "file")
def file(
    *,
    path: str = "",
    scale: Positive = 1.0,
    binarise: Binarise = "none",
    seed: Seed = 0,
    validation: Share = 0.1,
    test: Share = 0.1,
    dequantise: bool = False,
) -> Data:
    """A file of rows, x = values / scale: .npz, .npy, .csv or .tsv.

    A .npz holds ``train``, ``validation`` and ``test`` (N, *event), with ``train_labels`` and so on where
    there are labels, or one array ``x`` with ``labels``; a .npy holds one array (N, *event); a .csv has a
    column for each number. Splits that the file lacks are cut from its training rows at random by ``seed``,
    ``validation`` and ``test`` being their fractions. Images (N, H, W) and (N, H, W, 3) become (N, 1, H, W)
    and (N, 3, H, W). ``dequantise`` spreads whole numbers 0 to scale: x = (values + u) / (scale + 1) with
    uniform noise u, afresh in every batch.

    Raises `InputError` for a file that cannot be read, text or missing values among the numbers, too few
    rows, and values outside [0, 1] that are to become bits.
    """
    return _own(path, scale, binarise, seed, validation, test, dequantise)


@register("data", "folder")
def folder(
    *,
    path: str = "",
    scale: Positive = 255.0,
    binarise: Binarise = "none",
    seed: Seed = 0,
    validation: Share = 0.1,
    test: Share = 0.1,
    dequantise: bool = False,
    size: NonNegative = 0,
    flip: bool = False,
) -> Data:
    """A folder of 8-bit PNG or JPEG images, grey (1, H, W) or RGB (3, H, W): x = intensity / scale.

    They are of one size, or brought to ``size`` x ``size``: the middle square of each, averaged over boxes. ``flip``
    mirrors every training image left to right with probability 1/2, afresh in every batch; ``dequantise`` is as for a
    file.

    The images are dealt to the three splits at random by ``seed``, ``validation`` and ``test`` being
    fractions. Raises `InputError` for a folder without images, and names the first one that cannot be read or
    differs.
    """
    return _own(path, scale, binarise, seed, validation, test, dequantise, size, flip)


def _own(
    path: str,
    scale: float,
    binarise: Binarise,
    seed: int,
    validation: float,
    test: float,
    dequantise: bool,
    size: int = 0,
    flip: bool = False,
) -> Data:
    if not path:
        raise InputError("expected the path of a file or a folder; got none: set data.path")
    return dealt(
        Path(path).name,
        read_finite(path, size),
        scale=scale,
        binarise=binarise,
        seed=seed,
        validation=validation,
        test=test,
        flip=flip,
        dequantise=dequantise,
    )


def dealt(name: str, parts: Parts, *, seed: int, validation: float, test: float, **settings: Any) -> Data:
    """The data set of ``parts``, whose splits are complete or cut by ``seed``; ``settings`` are those of `assemble`."""
    splits = partition(parts, validation=validation, test=test, seed=seed)
    return assemble(name, splits, seed=seed, **settings)


def read_finite(path: str, size: int = 0) -> Parts:
    """The parts of a file or a folder, as `read` has them; `InputError` where a value is missing or not finite."""
    parts = read(path, size)
    require_finite(parts, path)
    return parts


def require_finite(parts: Parts, where: str) -> None:
    """Raise `InputError` where a value is missing or not finite."""
    rows, count, first = find_missing(parts)
    if count:
        raise InputError(
            f"expected finite numbers in {where}; got {count} that are NaN, infinite or beyond float32 in "
            f"{counted(rows, 'row')}, the first in {first} (rows count from 0): fill them in, or leave these rows out"
        )
