"""A file as it lies: every split holds all of its rows, in order."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowvae.data import load_data, resolve_data
from flowvae.data.rows import load_rows
from flowvae.errors import InputError


def test_a_file_without_splits_is_all_in_order(tmp_path: Path) -> None:
    x, labels = np.random.default_rng(0).random((30, 4), dtype=np.float32), np.arange(30) % 7
    np.savez(tmp_path / "my.npz", x=x, labels=labels)
    data = load_rows(resolve_data(tmp_path / "my.npz", scale=2.0))
    for split in data.splits.values():
        assert split.labels is not None
        assert split.labels.tolist() == labels.tolist()
        assert torch.equal(split.batch(torch.arange(30)), torch.from_numpy(x) / 2)


def test_whole_numbers_are_spread_where_that_is_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "my.npy", np.arange(20).reshape(10, 2) % 17)
    data = load_rows(resolve_data(tmp_path / "my.npy", scale=16.0, dequantise=True))
    assert (data.support, data.test.cells) == ("unit", 17)


def test_a_file_with_splits_keeps_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "my.npz", train=np.ones((5, 2)), test=np.zeros((3, 2)))
    table = resolve_data(tmp_path / "my.npz")
    assert load_rows(table).digest == load_data(table).digest


def test_images_are_brought_to_the_size_that_is_asked_for(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((6, 8), 10 * number, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    data = load_rows(resolve_data(tmp_path, size=2))
    assert data.event_shape == (1, 2, 2)
    assert data.test.values[:, 0, 0, 0].tolist() == [0, 10, 20]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    values = np.ones((5, 2))
    values[3, 1] = np.nan
    np.save(tmp_path / "my.npy", values)
    with pytest.raises(InputError, match=r"got 1 that are NaN, .* the first in row 3 .*: fill them in"):
        load_rows(resolve_data(tmp_path / "my.npy"))
