"""Folders of PNG files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowvae.data import inspect, load_data
from flowvae.errors import InputError


def save(folder: Path, *images: np.ndarray) -> None:
    for place, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{place:03}.png")


def some(n: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (n, *shape)).astype(np.uint8)


SHAPES = [((6, 4), (1, 6, 4)), ((6, 4, 3), (3, 6, 4)), ((1, 4, 3), (3, 1, 4)), ((3, 4, 3), (3, 3, 4))]


@pytest.mark.parametrize(("shape", "event"), SHAPES)
def test_images_come_back_bit_for_bit_and_scaled_by_255(tmp_path: Path, shape: tuple, event: tuple) -> None:
    images = some(10, *shape)
    save(tmp_path, *images)
    (tmp_path / "notes.txt").write_text("not an image")
    data = load_data(tmp_path)
    assert data.event_shape == event
    assert [len(split) for split in data.splits.values()] == [8, 1, 1]
    channels_first = images[:, None] if len(shape) == 2 else np.moveaxis(images, 3, 1)
    expected = {image.tobytes() for image in channels_first}
    assert {row.numpy().tobytes() for split in data.splits.values() for row in split.values} == expected
    assert torch.equal(data.train.batch(torch.tensor([0])), data.train.values[:1].float() / 255)
    assert (data.support, data.levels) == ("levels", 256)


def test_a_palette_is_read_as_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(some(1, 4, 4, 3)[0]).quantize(4)
    for place in range(3):
        image.save(tmp_path / f"{place}.png")
    data = load_data(tmp_path)
    assert np.array_equal(data.train.values[0].numpy(), np.moveaxis(np.asarray(image.convert("RGB")), 2, 0))


def test_black_and_white_is_binary(tmp_path: Path) -> None:
    for place in range(3):
        Image.fromarray(np.eye(4) > 0).save(tmp_path / f"{place}.png")
    data = load_data(tmp_path)
    assert data.support == "binary"
    assert torch.equal(data.train.batch(torch.tensor([0]))[0, 0], torch.eye(4))


def test_the_first_image_that_differs_is_named(tmp_path: Path) -> None:
    save(tmp_path, *some(3, 6, 4), some(1, 5, 4)[0], some(1, 9, 9)[0])
    with pytest.raises(
        InputError,
        match=r"expected images like 000.png, 4 x 6 grey; got 003.png, 4 x 5 grey: convert it, or set data.size",
    ):
        load_data(tmp_path)


@pytest.mark.parametrize("size", [0, 4])
def test_grey_among_colours_is_named(tmp_path: Path, size: int) -> None:
    save(tmp_path, *some(3, 6, 4, 3), some(1, 6, 4)[0])
    found = r"like 000.png, \d x \d RGB; got 003.png, \d x \d grey: convert it to the same colours$"
    with pytest.raises(InputError, match=found):
        load_data(tmp_path, size=size)


@pytest.mark.parametrize(
    ("image", "options", "kind"),
    [
        (Image.fromarray(some(1, 6, 4, 4)[0]), {}, "RGBA"),
        (Image.fromarray(some(1, 6, 4)[0].astype(np.uint16) * 200), {}, "I;16"),
        (Image.fromarray(some(1, 6, 4)[0]), {"transparency": 0}, "L with transparency"),
    ],
)
def test_transparency_and_16_bits_are_not_dropped_in_silence(
    tmp_path: Path, image: Image.Image, options: dict, kind: str
) -> None:
    image.save(tmp_path / "a.png", **options)
    with pytest.raises(InputError, match=f"expected 8-bit grey or RGB images; got a.png, which is {kind}"):
        load_data(tmp_path)


@pytest.mark.parametrize("cut", [0, 20, 60])
def test_a_broken_image_is_named(tmp_path: Path, cut: int) -> None:
    save(tmp_path, *some(3, 16, 16))
    broken = tmp_path / "001.png"
    broken.write_bytes(broken.read_bytes()[:cut])
    with pytest.raises(
        InputError, match=r"expected a PNG or JPEG image; got 001.png, which cannot be read: write it again"
    ):
        load_data(tmp_path)


def test_an_image_of_too_many_pixels_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, *some(3, 16, 16))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # twice as many are refused
    with pytest.raises(InputError, match=r"got 000.png, which has too many pixels to be opened: scale it down"):
        load_data(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected .png or .jpg files in the folder .*; got nothing"):
        load_data(tmp_path)
    (tmp_path / "photo.heic").touch()
    with pytest.raises(InputError, match=r"got photo.heic: check the path, or convert them"):
        load_data(tmp_path)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ("scan.tif", "'scan.tif'"),
        ("SCAN.BMP", "'SCAN.BMP'"),
        ("deeper/0.png", "the folder 'deeper' of images"),
        ("deeper/0.tif", "the folder 'deeper' of images"),
    ],
)
def test_images_that_would_be_left_out_are_named(tmp_path: Path, other: str, named: str) -> None:
    save(tmp_path, *some(3, 4, 4))
    for beside in ("notes/readme.txt", ".thumbnails/0.png"):
        (tmp_path / beside).parent.mkdir()
        (tmp_path / beside).touch()
    assert len(load_data(tmp_path).train) == 1
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).touch()
    with pytest.raises(InputError, match=rf"expected .png or .jpg files alone in the folder .*; got {named} beside"):
        load_data(tmp_path)


def test_rows_are_called_as_their_files(tmp_path: Path) -> None:
    images = some(6, 4, 4)
    save(tmp_path, *images)
    data = load_data(tmp_path, binarise="dynamic")
    for split in data.splits.values():
        for kept in (split, split.frozen(0), split.take(1)):
            assert len(kept.names) == len(kept)
        for name, values in zip(split.names, split.values, strict=True):
            assert np.array_equal(values[0].numpy(), images[int(name[:3])])


def test_images_of_any_size_are_brought_to_one(tmp_path: Path) -> None:
    """The middle square, averaged over boxes; a JPEG is read as what it shows."""
    wide = np.zeros((4, 8), dtype=np.uint8)
    wide[:2, 2:4], wide[2:, 4:6], wide[:, 6:] = 100, 200, 255
    Image.fromarray(wide).save(tmp_path / "0.png")
    Image.fromarray(np.full((30, 20), 77, dtype=np.uint8)).save(tmp_path / "1.jpg")
    Image.fromarray(np.full((2, 2), 9, dtype=np.uint8)).save(tmp_path / "2.PNG")
    data = load_data(tmp_path, size=2)
    assert data.event_shape == (1, 2, 2)
    found = {tuple(row.flatten().tolist()) for split in data.splits.values() for row in split.values}
    assert found == {(100, 0, 0, 200), (77,) * 4, (9,) * 4}
    assert inspect(tmp_path, 2).shapes == {"train": (3, 1, 2, 2)}


def test_a_photograph_is_turned_as_it_is_to_be_shown(tmp_path: Path) -> None:
    """A camera that is held upright writes rows as columns, and says so in the file."""
    image, exif = Image.fromarray(some(1, 4, 6)[0]), Image.Exif()
    exif[0x0112] = 6  # the tag of the orientation: to be turned clockwise
    for place in range(3):
        image.save(tmp_path / f"{place}.png", exif=exif)
    data = load_data(tmp_path)
    assert data.event_shape == (1, 6, 4)
    assert np.array_equal(data.train.values[0, 0].numpy(), np.rot90(np.asarray(image), -1))


def test_training_images_are_mirrored_by_coins_of_their_own(tmp_path: Path) -> None:
    save(tmp_path, *some(20, 6, 4))
    data, plain = load_data(tmp_path, flip=True), load_data(tmp_path)
    rows = torch.arange(len(data.train))
    batch, upright = data.train.batch(rows), plain.train.batch(rows)
    mirrored = (batch == upright.flip(-1)).flatten(1).all(1)
    assert (mirrored | (batch == upright).flatten(1).all(1)).all()
    assert 0 < mirrored.sum() < len(rows)
    assert not torch.equal(batch, data.train.batch(rows))
    assert torch.equal(data.train.frozen(0).batch(rows), upright)
    assert torch.equal(data.test.batch(torch.arange(1)), plain.test.batch(torch.arange(1)))
    assert torch.allclose(data.mean, torch.stack([upright, upright.flip(-1)]).mean((0, 1)))
