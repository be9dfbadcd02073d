"""CIFAR-10, Frey faces, Caltech silhouettes and Omniglot: from shared files, and from archives made here."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowvae.data import cifar10, load_data, omniglot
from flowvae.data.fetch import checksum
from flowvae.errors import InputError


def part(shared_data: Path, name: str) -> str:
    if not (shared_data / name).is_dir():
        pytest.skip(f"no {name}/ in {shared_data}")
    return str(shared_data / name)


def test_a_part_of_cifar10_is_read_as_such(shared_data: Path) -> None:
    data = load_data("cifar10", dir=part(shared_data, "cifar10_lossless_subset"), subset=True, held_out=400)
    assert [len(split) for split in data.splits.values()] == [3600, 400, 1000]
    assert (data.event_shape, data.support, data.levels) == ((3, 32, 32), "levels", 256)
    assert data.train.labels is not None
    assert data.train.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # a frog, two trucks, a deer, ...
    assert data.train.values[0, :, 0, 0].tolist() == [59, 62, 63]


def test_the_official_archive_is_rows_of_a_label_and_three_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.RandomState(0)
    images, labels = random.randint(0, 256, (12, 3, 32, 32)).astype(np.uint8), np.arange(12, dtype=np.uint8)
    rows = np.concatenate([labels[:, None], images.reshape(12, -1)], 1)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    with tarfile.open(tmp_path / cifar10.NAME, "w:gz") as archive:
        for number, name in enumerate(names):
            content = rows[2 * number : 2 * number + 2].tobytes()
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(InputError, match=r"expected the official cifar-10-binary.tar.gz .* with another checksum"):
        load_data("cifar10", dir=str(tmp_path))
    monkeypatch.setattr(cifar10, "SHA256", checksum((tmp_path / cifar10.NAME).read_bytes(), cifar10.SHA256))
    data = load_data("cifar10", dir=str(tmp_path), held_out=3)
    together = torch.cat([split.values for split in data.splits.values()])
    assert (together.numpy() == images).all()
    assert [split.labels.tolist() for split in data.splits.values()] == [[*range(7)], [7, 8, 9], [10, 11]]
    with pytest.raises(InputError, match=r"expected data.held_out below 10"):
        load_data("cifar10", dir=str(tmp_path), held_out=10)


@pytest.mark.parametrize(
    ("name", "folder", "options"),
    [("cifar10", "cifar10_lossless_subset", {"subset": True, "held_out": 400}), ("frey", "frey_faces", {})],
)
def test_training_images_alone_are_mirrored(shared_data: Path, name: str, folder: str, options: dict) -> None:
    data = load_data(name, dir=part(shared_data, folder), flip=True, **options)
    assert [split.flip for split in data.splits.values()] == [True, False, False]


def test_frey_faces_are_upright(shared_data: Path) -> None:
    data = load_data("frey", dir=part(shared_data, "frey_faces"))
    assert [len(split) for split in data.splits.values()] == [1565, 200, 200]
    assert (data.event_shape, data.levels) == ((1, 28, 20), 256)
    # neighbours in a picture are alike, where rows of another length would tear it
    x = data.train.values.double()
    assert (x[:, :, 1:] - x[:, :, :-1]).abs().mean() < 20  # 46 in rows of 28
    assert (x[:, :, :, 1:] - x[:, :, :, :-1]).abs().mean() < 20


@pytest.mark.parametrize("content", [b"", b"<html>sorry, moved</html>" * 40])
def test_another_file_in_place_of_the_faces_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "frey_faces").mkdir()
    (tmp_path / "frey_faces" / "frey_rawface.mat").write_bytes(content)
    monkeypatch.setenv("FLOWVAE_DATA", str(tmp_path))
    with pytest.raises(InputError, match=f"got other content: remove it from {tmp_path} or its frey_faces/, and"):
        load_data("frey")
    with pytest.raises(InputError, match=r"got other content: check data\.dir$"):
        load_data("frey", dir=str(tmp_path))


def test_silhouettes_are_objects_on_ground(shared_data: Path) -> None:
    data = load_data("caltech", dir=part(shared_data, "caltech101_silhouettes"))
    assert [len(split) for split in data.splits.values()] == [4100, 2264, 2307]
    assert data.support == "binary"
    assert data.mean[0, 14, 14] > 0.9 > 0.2 > data.mean[0, 0, 0]
    faces = data.train.values[data.train.labels == 2].double().mean((0, 1))  # heads, higher than wide
    assert faces[:, 14].sum() > faces[14].sum() + 2


def test_omniglot_is_ink_on_ground(shared_data: Path) -> None:
    data = load_data("omniglot", dir=part(shared_data, "omniglot"))
    assert [len(split) for split in data.splits.values()] == [17_352, 1_928, 13_180]
    assert (data.event_shape, data.support) == ((1, 28, 28), "binary")
    assert data.mean[0, 0, 0] < data.mean[0, 14, 14] < 0.5


def test_official_drawings_become_shares_of_ink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = np.full((105, 105), True)
    drawing[15:30, 45:60] = False  # 4 x 4 boxes of ink, their edges on boxes' edges
    buffer = io.BytesIO()
    Image.fromarray(drawing).save(buffer, "PNG")
    for split, (name, like) in omniglot.ARCHIVES.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for place in range(10):
                archive.writestr(f"{split}/Greek/character{place // 5:02}/{place}.png", buffer.getvalue())
        digest = checksum((tmp_path / name).read_bytes(), like)
        monkeypatch.setitem(omniglot.ARCHIVES, split, (name, digest))
    data = load_data("omniglot", dir=str(tmp_path), binarise="none")
    assert [len(split) for split in data.splits.values()] == [9, 1, 10]
    expected = torch.zeros(28, 28, dtype=torch.uint8)
    expected[4:8, 12:16] = 255
    assert (data.test.values == expected).all()
    assert data.test.labels is not None
    assert data.test.labels.tolist() == [0] * 5 + [1] * 5


def test_prepared_characters_need_no_labels(tmp_path: Path) -> None:
    pixels = {name: np.full((10, 28, 28), 255, dtype=np.uint8) for name in omniglot.ARCHIVES}
    np.savez(tmp_path / omniglot.PREPARED, **pixels)
    data = load_data("omniglot", dir=str(tmp_path))
    assert [len(split) for split in data.splits.values()] == [9, 1, 10]
    assert data.test.labels is None
    np.savez(tmp_path / omniglot.PREPARED, background=pixels["background"])
    with pytest.raises(InputError, match=r"expected an array 'evaluation' in .*omniglot28.npz'; got none: add it"):
        load_data("omniglot", dir=str(tmp_path))


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    for name in ("cifar10", "frey", "caltech", "omniglot"):
        with pytest.raises(InputError, match=r"expected the official .*; got no such file: check data.dir"):
            load_data(name, dir=str(tmp_path))
    with pytest.raises(InputError, match=r"expected one train\*.npz and one test\*.npz in .*: name their folder"):
        load_data("cifar10", dir=str(tmp_path), subset=True)
