"""Files that are written whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np


def atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, and move it there once it is on the disk: all of it, or none."""
    part = path.with_name(path.name + ".part")
    write(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, all of it or none."""
    atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def save_arrays(path: Path, **arrays: np.ndarray) -> None:
    """Write a compressed .npz, all of it or none."""

    def write(part: Path) -> None:
        with part.open("wb") as file:  # by its name alone, .npz would be added to it
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    atomically(path, write)
