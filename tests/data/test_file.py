"""One's own files: what is read, how it is dealt, what is refused and in which words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from flowvae.data import Data, inspect, load_data, resolve_data
from flowvae.data.rows import load_rows
from flowvae.errors import InputError

RANDOM = np.random.RandomState(0)


def together(data: Data) -> np.ndarray:
    return np.concatenate([split.values.numpy() for split in data.splits.values()])


def sizes(data: Data) -> list[int]:
    return [len(split) for split in data.splits.values()]


def test_rows_are_dealt_once_80_10_10_with_their_labels(tmp_path: Path) -> None:
    values = np.arange(200).reshape(100, 2) / 7
    np.savez(tmp_path / "my.npz", x=values, labels=np.arange(100))
    data = load_data(tmp_path / "my.npz")
    assert sizes(data) == [80, 10, 10]
    assert sorted(together(data)[:, 0].tolist()) == values[:, 0].astype(np.float32).tolist()
    for split in data.splits.values():
        assert split.labels is not None
        assert np.array_equal(split.values.numpy(), values[split.labels.numpy()].astype(np.float32))
    assert data.test.labels is not None
    assert data.test.labels.tolist() != list(range(90, 100))  # at random, not the end of the file


def test_the_seed_deals_and_the_digest_tells(tmp_path: Path) -> None:
    np.save(tmp_path / "my.npy", np.arange(50.0)[:, None] + 0.5)
    one, same, other = (load_data(tmp_path / "my.npy", seed=seed) for seed in (1, 1, 2))
    assert one.digest == same.digest != other.digest
    assert torch.equal(one.test.values, same.test.values)
    assert not torch.equal(one.test.values, other.test.values)


def test_digest_covers_every_split_and_the_labels(tmp_path: Path) -> None:
    arrays = {name: RANDOM.rand(5, 3) for name in ("train", "validation", "test")}
    arrays |= {f"{name}_labels": np.arange(5) for name in list(arrays)}
    np.savez(tmp_path / "a.npz", **arrays)
    digests = {load_data(tmp_path / "a.npz").digest}
    for name, array in arrays.items():
        changed = array.copy()
        changed[0] += 1
        np.savez(tmp_path / "b.npz", **{**arrays, name: changed})
        digests.add(load_data(tmp_path / "b.npz").digest)
    assert len(digests) == 7


def test_given_splits_are_kept_and_the_missing_one_is_cut_from_training(tmp_path: Path) -> None:
    train, test = RANDOM.rand(40, 3), RANDOM.rand(7, 3)
    np.savez(tmp_path / "my.npz", x_train=train, x_test=test, y_train=np.arange(40), y_test=np.arange(7))
    data = load_data(tmp_path / "my.npz", validation=0.25)
    assert sizes(data) == [30, 10, 7]
    assert np.array_equal(data.test.values.numpy(), test.astype(np.float32))
    assert data.validation.labels is not None
    assert np.array_equal(data.validation.values.numpy(), train[data.validation.labels.numpy()].astype(np.float32))


@pytest.mark.parametrize("name", ["x", "images", "arr_0", "whatever"])
def test_a_single_array_of_any_name_is_found(tmp_path: Path, name: str) -> None:
    np.savez_compressed(tmp_path / "my.npz", **{name: RANDOM.rand(10, 4), "labels": np.arange(10)})
    data = load_data(tmp_path / "my.npz")
    assert data.event_shape == (4,)
    assert data.train.labels is not None


@pytest.mark.parametrize(
    ("shape", "event"),
    [
        ((9, 5), (5,)),
        ((9, 8, 6), (1, 8, 6)),
        ((9, 8, 6, 3), (3, 8, 6)),
        ((9, 3, 8, 6), (3, 8, 6)),
        ((9, 1, 8, 6), (1, 8, 6)),
    ],
)
def test_images_have_channels_first(tmp_path: Path, shape: tuple, event: tuple) -> None:
    values = RANDOM.rand(*shape).astype(np.float32)
    np.savez(tmp_path / "my.npz", train=values, validation=values, test=values)
    data = load_data(tmp_path / "my.npz")
    assert data.event_shape == event
    expected = np.moveaxis(values, 3, 1) if shape[-1] == 3 else values.reshape(9, *event)
    assert np.array_equal(data.train.values.numpy(), expected)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([[0, 255]] * 5, dtype=np.int64), torch.uint8),
        (np.array([[0.0, 16.0]] * 5), torch.uint8),
        (np.array([[True, False]] * 5), torch.uint8),
        (np.array([[0, 256]] * 5), torch.float32),
        (np.array([[-1, 3]] * 5), torch.float32),
        (np.array([[0.5, 3]] * 5), torch.float32),
    ],
)
def test_whole_numbers_up_to_255_are_kept_as_bytes(tmp_path: Path, values: np.ndarray, dtype: torch.dtype) -> None:
    np.save(tmp_path / "my.npy", values)
    data = load_data(tmp_path / "my.npy")
    assert data.train.values.dtype == dtype
    assert data.train.batch(torch.tensor([0])).tolist() == [[float(value) for value in values[0]]]


@pytest.mark.parametrize(
    ("values", "options", "support"),
    [
        (np.array([[0, 1]] * 5), {}, "binary"),
        (np.array([[0, 255]] * 5), {"scale": 255}, "binary"),
        (np.array([[0, 128, 255]] * 5), {"scale": 255}, "levels"),
        (np.array([[0, 128, 255]] * 5), {"scale": 255, "binarise": "dynamic"}, "binary"),
        (np.array([[0, 128, 255]] * 5), {}, "real"),
        (np.array([[0.0, 0.25]] * 5), {}, "unit"),
        (np.array([[-0.1, 0.25]] * 5), {}, "real"),
    ],
)
def test_support_is_what_batches_hold(tmp_path: Path, values: np.ndarray, options: dict, support: str) -> None:
    np.save(tmp_path / "my.npy", values)
    assert load_data(tmp_path / "my.npy", **options).support == support


def test_splits_are_never_empty(tmp_path: Path) -> None:
    np.save(tmp_path / "three.npy", np.eye(3))
    assert sizes(load_data(tmp_path / "three.npy")) == [1, 1, 1]
    np.save(tmp_path / "two.npy", np.eye(2))
    with pytest.raises(InputError, match=r"expected rows to train on; got 2 rows, 1 for validation and 1 for test"):
        load_data(tmp_path / "two.npy")


@pytest.mark.parametrize("option", ["validation", "test"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_fractions_leave_something_to_every_split(tmp_path: Path, option: str, value: float) -> None:
    np.save(tmp_path / "my.npy", np.eye(9))
    with pytest.raises(InputError, match=f"data.{option}: expected"):
        load_data(tmp_path / "my.npy", **{option: value})


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_values_that_are_no_float32_are_refused_with_count_and_row(tmp_path: Path, bad: float) -> None:
    values = np.ones((20, 3))
    values[17, 1] = values[5, 0] = values[5, 2] = bad
    np.save(tmp_path / "my.npy", values)
    with pytest.raises(InputError, match=r"got 3 that are NaN, .* in 2 rows, the first in row 5 \(rows count from 0\)"):
        load_data(tmp_path / "my.npy")
    np.savez(tmp_path / "my.npz", train=np.ones((4, 3)), validation=np.ones((4, 3)), test=values)
    with pytest.raises(InputError, match=r"the first in row 5 of 'test'"):
        load_data(tmp_path / "my.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": np.eye(4), "b": np.eye(4)},
            "expected arrays train, validation and test, or one array x, .* got a, b: rename",
        ),
        ({"train": np.eye(4), "x": np.eye(4)}, "expected one of the arrays train, x in my.npz; got all"),
        ({"test": np.eye(4)}, "expected arrays train, .* got test: rename"),
        ({"x": np.array(["a", "b"])[:, None]}, "expected real numbers in 'x' of my.npz; got <U1: convert"),
        ({"x": np.eye(4) * 1j}, "expected real numbers in 'x' of my.npz; got complex128"),
        (
            {"x": np.arange(4)},
            r"expected rows \(N, \*event\) in 'x' of my.npz; got shape \(4,\): reshape it to \(N, D\)",
        ),
        ({"x": np.empty((0, 3))}, r"expected rows in 'x' of my.npz; got shape \(0, 3\), which is empty"),
        (
            {"x": np.eye(4), "labels": np.arange(3)},
            r"expected 4 whole numbers in 'labels' .* got int64 of shape \(3,\)",
        ),
        ({"x": np.eye(4), "labels": np.ones(4)}, "expected 4 whole numbers in 'labels' .* got float64"),
        ({"train": np.eye(4), "test": np.eye(3)}, r"expected one event shape; got train \(4,\), .*test \(3,\)"),
        (
            {"x": np.array([[None]])},
            "expected numbers in array 'x' of my.npz; got .*: it holds Python objects; save numbers",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, arrays: dict, message: str) -> None:
    np.savez(tmp_path / "my.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_data(tmp_path / "my.npz")


@pytest.mark.parametrize("ending", [".npz", ".npy"])
@pytest.mark.parametrize("damage", ["empty", "cut", "text", "swapped"])
def test_broken_files_are_told_in_one_sentence(tmp_path: Path, ending: str, damage: str) -> None:
    whole = tmp_path / f"whole{ending}"
    (np.savez if ending == ".npz" else np.save)(whole, RANDOM.rand(50, 50))
    content = {"empty": b"", "cut": whole.read_bytes()[:9000], "text": b"hello, world"}.get(damage)
    if content is None:
        other = tmp_path / ("other.npy" if ending == ".npz" else "other.npz")
        (np.save if ending == ".npz" else np.savez)(other, np.eye(3))
        content = other.read_bytes()
    path = tmp_path / f"my{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"expected .* got .*my{ending}|of my{ending}; got") as refused:
        load_data(path)
    assert "; write it again" in str(refused.value)
    assert "pickle" not in str(refused.value)


@pytest.mark.parametrize(
    "take", [load_data, inspect, lambda path: load_rows(resolve_data(path))], ids=["load_data", "inspect", "load_rows"]
)
def test_more_than_memory_holds_is_told_in_one_sentence(tmp_path: Path, take: Callable[[Path], object]) -> None:
    with (tmp_path / "my.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 10)})
    with pytest.raises(InputError, match=r"expected a data set that fits in memory; got one that takes 72.8 TiB for"):
        take(tmp_path / "my.npy")


def test_no_code_in_a_file_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path(tmp_path / "ran").touch, ())

    np.save(tmp_path / "my.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"my.npy, which cannot be read: it holds Python objects; save"):
        load_data(tmp_path / "my.npy")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.array([[0, 255]] * 5),
            r"expected values in \[0, 1\] to binarise; got \[0, 255\]: use --set data.scale=255, or",
        ),
        (
            np.array([[-1.0, 1.5]] * 5),
            r"got \[-1, 1.5\]: rescale the file by \(x - min\) / \(max - min\), or --set data.binarise=none",
        ),
    ],
)
@pytest.mark.parametrize("binarise", ["dynamic", "static-seeded", "threshold"])
def test_bits_are_made_of_probabilities_only(tmp_path: Path, values: np.ndarray, message: str, binarise: str) -> None:
    np.save(tmp_path / "my.npy", values)
    with pytest.raises(InputError, match=message):
        load_data(tmp_path / "my.npy", binarise=binarise)
