"""Files that are written whole or not at all, and how they are read again."""

import csv
import io
import json
import os
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowvae.errors import InputError

UNREADABLE = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, tokenize.TokenError)
"""What numpy raises of a .npy or .npz that it cannot read."""


def atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, and move it there once it is on the disk: all of it, or none."""
    part = path.with_name(path.name + ".part")
    write(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def require_writable(folder: Path) -> None:
    """Make the folder; `InputError` where nothing can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"expected a folder that can be written to; got {str(folder)!r} ({error.strerror}): name another one, or "
            "change what forbids it"
        ) from None


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, all of it or none."""
    atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write a compressed .npz, all of it or none."""

    def write(part: Path) -> None:
        with part.open("wb") as file:  # by its name alone, .npz would be added to it
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    atomically(path, write)


def save_table(path: Path, columns: Mapping[str, Iterable[object]]) -> None:
    """Write columns by name as a .csv, real numbers with six decimals."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for line in zip(*columns.values(), strict=True):
        table.writerow([f"{value:.6f}" if isinstance(value, float) else value for value in line])
    write_text(path, text.getvalue())


def load_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file; `InputError` where it is torn."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"expected JSON in {str(path)!r}; got {error}: restore the file or move it away") from None


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz, never unpickled; none where there is no such file, and `InputError` where it is torn."""
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except UNREADABLE as error:
        raise InputError(f"expected arrays in {str(path)!r}; got {error}: restore the file or move it away") from None
