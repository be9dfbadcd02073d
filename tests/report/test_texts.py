"""Sequences in figures: written out, one below the other, and cut where they are too long."""

import numpy as np

from flowvae.report.pictures import largest_error, reconstructions, sample_grids
from flowvae.report.texts import LETTERS, LINES


def lines(figure) -> list[list[str]]:
    return [axes.texts[0].get_text().split("\n") for axes in figure.axes]


def test_samples_are_written_out() -> None:
    first, second = np.array(["a b", "c"]), np.array(["x" * 500] + ["y"] * 50)
    shown = lines(sample_grids({"one": first, "two": second}))
    assert shown[0] == ["a b", "c"]
    assert shown[1][0] == "x" * (LETTERS - 1) + "…"
    assert len(shown[1]) == LINES


def test_reconstructions_stand_below_their_originals() -> None:
    pair = np.array(["a b", "c", "d"]), np.array(["a b", "e", "d"])
    assert lines(reconstructions({"": pair}, count=2)) == [["x   a b", "=   a b", "", "x   c", "≠   e", ""]]
    assert largest_error(*pair) == 0
