from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowvae.errors import InputError
from flowvae.report.grid import as_images, limits, save_grid, tile


def test_tiles_lie_row_by_row_with_white_between() -> None:
    images = np.stack([np.full((2, 3, 1), v) for v in (0.1, 0.2, 0.3)])
    board = tile(images, columns=2)[..., 0]
    assert board.shape == (5, 7)
    np.testing.assert_allclose(board[:2, :3], 0.1)
    np.testing.assert_allclose(board[:2, 4:], 0.2)
    np.testing.assert_allclose(board[3:, :3], 0.3)
    np.testing.assert_allclose(board[2], 1)  # the gap
    np.testing.assert_allclose(board[3:, 4:], 1)  # the empty place


@pytest.mark.parametrize(("shape", "mode"), [((1, 5, 5), "L"), ((5, 5), "L"), ((3, 5, 5), "RGB")])
def test_saved_grid_has_the_values(tmp_path: Path, shape: tuple[int, ...], mode: str) -> None:
    images = np.full((2, *shape), 0.2)
    images[1] = 0.6
    picture = Image.open(save_grid(images, tmp_path / "new" / "grid.png", columns=2))
    assert picture.mode == mode
    pixels = np.asarray(picture)
    assert max(pixels.shape[:2]) >= 640
    assert np.unique(pixels[0, 0]) == 51
    assert np.unique(pixels[-1, -1]) == 153


def test_colours_are_channels_first() -> None:
    images = np.zeros((1, 3, 2, 2))
    images[0, 0] = 1
    pictures = as_images(images)
    assert pictures is not None
    np.testing.assert_array_equal(pictures[0, 0, 0], [1, 0, 0])


def test_bytes_are_scaled_and_binary_bytes_are_not() -> None:
    for image, top in ((np.full((1, 2, 2), 255, np.uint8), 1.0), (np.ones((1, 2, 2), np.uint8), 1.0)):
        pictures = as_images(image)
        assert pictures is not None
        assert pictures.max() == top


def test_values_beyond_the_unit_range_are_stretched() -> None:
    assert limits(np.array([0.25, 0.5])) == (0, 1)
    assert limits(np.array([-3.0, np.nan, 5.0])) == (-3, 5)
    assert limits(np.array([7.0, 7.0])) == (6.5, 7.5)
    assert limits(np.array([np.nan])) == (0, 1)


def test_what_cannot_be_a_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"got \(3, 5\).*\.npz"):
        save_grid(np.zeros((3, 5)), tmp_path / "a.png")
    with pytest.raises(InputError, match="got none"):
        save_grid(np.zeros((0, 5, 5)), tmp_path / "a.png")
    with pytest.raises(InputError, match="column"):
        save_grid(np.zeros((2, 5, 5)), tmp_path / "a.png", columns=0)
    with pytest.raises(InputError, match=r"end it in \.png"):
        save_grid(np.zeros((2, 5, 5)), tmp_path / "a.nonsense")
    assert list(tmp_path.iterdir()) == []
