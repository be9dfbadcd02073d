"""Files to `Parts`, by their ending; nothing is refused here but what cannot be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flowvae.data.images import channels_first, read_images
from flowvae.data.parts import Part, Parts
from flowvae.data.table import read_table
from flowvae.errors import InputError
from flowvae.files import UNREADABLE

TEXTS = (".txt", ".smi", ".smiles")
"""Endings of files that hold a sequence of tokens a line."""

FITTING = ("a data set", "take fewer data, or smaller ones, as by data.count or data.size")
"""What is loaded `in_memory`, and the remedy."""

# Names of arrays in .npz files: ours first, then those that numpy, Keras and others write.
VALUES = {
    "train": ("train", "x", "images", "X", "values", "data", "arr_0", "x_train"),
    "validation": ("validation", "val", "valid", "x_validation", "x_val", "x_valid"),
    "test": ("test", "x_test"),
}
LABELS = {
    "train": ("train_labels", "labels", "label", "y", "y_train"),
    "validation": ("validation_labels", "val_labels", "valid_labels", "y_validation", "y_val", "y_valid"),
    "test": ("test_labels", "y_test"),
}


def read(path: str | Path, size: int = 0) -> Parts:
    """The parts of a file or a folder, (N, *event) with channels first; without splits all is ``train``.

    ``size`` is what images of a folder are brought to, 0 for that of the files.

    Raises `InputError` for what does not exist, an unknown ending, and content that it does not fit.
    """
    if not str(path).strip():
        raise InputError("expected a file or a folder; got an empty name: give one")
    place = Path(path).expanduser()
    if place.is_dir():
        images, names = read_images(place, size)
        return {"train": Part(images, names=names)}
    if not place.is_file():
        raise InputError(f"expected a file or a folder; got {str(path)!r}, which does not exist: check the path")
    readers = {".npz": _read_npz, ".npy": _read_npy, ".csv": read_table, ".tsv": read_table}
    if place.suffix.lower() in TEXTS:
        raise InputError(
            f"expected numbers; got the text {place.name!r}: train on it as it is, with the recipe 'tokens'"
        )
    if place.suffix.lower() not in readers:
        raise InputError(f"expected .npz, .npy, .csv, .tsv or a folder of .png or .jpg; got {place.name!r}: convert it")
    return readers[place.suffix.lower()](place)


def _read_npy(path: Path) -> Parts:
    return {"train": Part(require_values(_load(path), path.name))}


def _read_npz(path: Path) -> Parts:
    with _load(path) as file:
        names = list(file)
        found = {split: _only(known, names, path) for split, known in VALUES.items()}
        if not found["train"]:
            labels = {name for known in LABELS.values() for name in known}
            rest = [name for name in names if name not in labels and name not in found.values()]
            if len(rest) != 1:
                listed = ", ".join(names) or "no array"
                raise InputError(
                    f"expected arrays train, validation and test, or one array x, in {path.name}; "
                    f"got {listed}: rename them"
                )
            found["train"] = rest[0]
        parts = {}
        for split, name in found.items():
            if name:
                values = require_values(_array(file, name, path), f"{name!r} of {path.name}")
                marks = _only(LABELS[split], names, path)
                parts[split] = Part(values, _labels(file, marks, len(values), path) if marks else None)
        return parts


def _only(known: Sequence[str], names: Sequence[str], path: Path) -> str:
    """The one of the ``known`` names that the file has, or ""."""
    found = [name for name in known if name in names]
    if len(found) > 1:
        raise InputError(f"expected one of the arrays {', '.join(found)} in {path.name}; got all: leave out the others")
    return found[0] if found else ""


def _load(path: Path) -> Any:
    try:
        file = np.load(path, allow_pickle=False)  # data never runs code
        if isinstance(file, np.ndarray) == (path.suffix.lower() == ".npz"):
            raise ValueError("its ending is wrong")
        return file
    except UNREADABLE as error:
        raise InputError(
            f"expected a {path.suffix} file of numbers; got {path.name}, which cannot be read: {_remedy(error)}"
        ) from None


def _array(file: Any, name: str, path: Path) -> np.ndarray:
    try:
        return file[name]
    except UNREADABLE as error:
        raise InputError(
            f"expected numbers in array {name!r} of {path.name}; got what cannot be read: {_remedy(error)}"
        ) from None


def _remedy(error: Exception) -> str:
    """What to do about a file that numpy cannot read: its own advice is to run the code in it."""
    if "Object arrays" in str(error):
        return "it holds Python objects; save numbers, as array.astype(float) gives them"
    return "it is torn, or of another kind than its ending says; write it again with numpy"


def require_values(array: np.ndarray, where: str) -> np.ndarray:
    """Rows of real numbers, images channels first; `InputError` for anything else."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        kind = getattr(array, "dtype", type(array).__name__)
        raise InputError(f"expected real numbers in {where}; got {kind}: convert them")
    if array.ndim < 2:
        raise InputError(f"expected rows (N, *event) in {where}; got shape {array.shape}: reshape it to (N, D)")
    if 0 in array.shape:
        raise InputError(f"expected rows in {where}; got shape {array.shape}, which is empty: add data")
    return channels_first(array)


def require_labels(array: np.ndarray, rows: int, where: str) -> np.ndarray:
    """Labels, whole numbers and one a row; `InputError` for anything else."""
    if array.dtype.kind not in "bui" or array.shape != (rows,):
        raise InputError(
            f"expected {rows} whole numbers in {where}, one a row; "
            f"got {array.dtype} of shape {array.shape}: convert or leave out the labels"
        )
    return array


def _labels(file: Any, name: str, rows: int, path: Path) -> np.ndarray:
    return require_labels(_array(file, name, path), rows, f"{name!r} of {path.name}")
