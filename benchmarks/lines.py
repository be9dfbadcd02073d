"""Lines of tokens, all of one length, the same at every call."""

from pathlib import Path

import numpy as np

from benchmarks.settings import Settings


def write(path: Path, settings: Settings) -> None:
    """A text of numbers as words, each line a random walk, so that there is something to learn."""
    random = np.random.default_rng(0)
    shape = settings.lines, settings.length
    walks = random.integers(settings.vocabulary, size=(settings.lines, 1)) + random.integers(4, size=shape).cumsum(1)
    path.write_text("".join(" ".join(map(str, walk % settings.vocabulary)) + "\n" for walk in walks))


def read(path: Path) -> np.ndarray:
    """The words as numbers, (lines, length)."""
    return np.array([[int(word) for word in line.split()] for line in path.read_text().splitlines()])
