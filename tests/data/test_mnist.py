"""MNIST from the official files; facts about its pixels and labels."""

import gzip
import shutil
from pathlib import Path

import pytest
import torch

from flowvae.data import Data, load_data
from flowvae.data.mnist import FILES, parse_idx
from flowvae.errors import InputError


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    if not (shared_data / "mnist").is_dir():
        pytest.skip(f"no mnist/ in {shared_data}")
    return shared_data / "mnist"


@pytest.fixture(scope="module")
def mnist(folder: Path) -> Data:
    return load_data("mnist", dir=str(folder))


def test_sizes_and_types(mnist: Data) -> None:
    assert [len(split) for split in mnist.splits.values()] == [50_000, 10_000, 10_000]
    assert mnist.event_shape == (1, 28, 28)
    assert mnist.train.values.dtype == torch.uint8
    assert mnist.support == "binary"


def test_intensities_have_the_known_mean_and_deviation(mnist: Data) -> None:
    images = torch.cat([mnist.train.values, mnist.validation.values])
    assert len(images) == 60_000
    histogram = torch.bincount(images.flatten().int(), minlength=256).double()
    x = torch.arange(256, dtype=torch.float64) / 255
    mean = (histogram * x).sum() / histogram.sum()
    deviation = ((histogram * x**2).sum() / histogram.sum() - mean**2).sqrt()
    assert mean.item() == pytest.approx(0.13066, abs=5e-6)
    assert deviation.item() == pytest.approx(0.30811, abs=5e-6)


def test_labels_have_the_known_counts(mnist: Data) -> None:
    train, validation, test = (split.labels for split in mnist.splits.values())
    assert train is not None
    assert validation is not None
    assert test is not None
    both = torch.bincount(torch.cat([train, validation]))
    assert both.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # in the order of the file
    assert test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_validation_is_the_end_of_the_training_file_and_test_its_own(mnist: Data, folder: Path) -> None:
    train = parse_idx(gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes()))
    test = parse_idx(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()))
    assert (mnist.validation.values[:, 0].numpy() == train[-10_000:]).all()
    assert (mnist.test.values[:, 0].numpy() == test).all()
    held = [{row.numpy().tobytes() for row in split.values} for split in mnist.splits.values()]
    assert not held[0] & held[2]
    assert not held[1] & held[2]


def test_ink_is_as_frequent_as_bright(mnist: Data) -> None:
    p = mnist.test.values.double() / 255
    bits = mnist.test.frozen(seed=1).values.double()
    assert (bits - p).sum().abs() < 4 * (p * (1 - p)).sum().sqrt()


@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw"])
def test_unpacked_files_are_found_in_the_usual_folders(folder: Path, tmp_path: Path, mnist: Data, place: str) -> None:
    target = tmp_path / place
    target.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        with gzip.open(folder / f"{name}.gz") as packed, (target / name).open("wb") as file:
            shutil.copyfileobj(packed, file)
    assert load_data("mnist", dir=str(tmp_path)).digest == mnist.digest


def test_environment_names_the_folder(folder: Path, mnist: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWVAE_DATA", str(folder.parent))
    monkeypatch.setattr("flowvae.data.mnist.MIRRORS", ())
    assert load_data("mnist").digest == mnist.digest


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"expected the official train-images-idx3-ubyte .* got no such file: check data.dir"
    ):
        load_data("mnist", dir=str(tmp_path))


@pytest.mark.parametrize("content", [b"not MNIST", gzip.compress(b"other", mtime=0)[:-9]])
def test_other_files_of_these_names_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.gz with another checksum"):
        load_data("mnist", dir=str(tmp_path))


def test_idx_arrays_are_read_row_by_row() -> None:
    header = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3])
    assert parse_idx(header + bytes(range(6))).tolist() == [[0, 1, 2], [3, 4, 5]]
